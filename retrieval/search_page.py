"""The Search page: what would a model be given for this question? Passages with their scores by stage, in one's own
rights or as somebody else sees them, and what people hold of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from audit.actions import Action
from audit.services import record
from tenants.console.member import Member, member_of
from tenants.data import Caller
from tenants.isolation import Scope
from tenants.models import Membership, MembershipDepartment
from tenants.roles import Role
from tenants.services import caller_of_member

from . import feedback
from .analyser import terms
from .data import Passage
from .errors import RetrievalError
from .models import Collection, Document
from .search import recall_now

PAGE = "console/search.html"
RIGHT = "documents.search"
#: Whoever may see as somebody else does: they see the members and could give each of them these rights.
AS_WHOM = "memberships.change"
MOST = 20
_WORDS = re.compile(r"(\W+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says."""

    question: str
    collections: tuple[str, ...]
    filter: str
    below: bool  #: passages that do not reach the threshold as well
    whom: str  #: a membership's id; '' oneself


def page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The form, and what is found."""
    member, caller = _who(request)
    asked = Asked(
        question=request.GET.get("q", "").replace("\0", " ").strip(),
        collections=tuple(request.GET.getlist("collection")),
        filter=request.GET.get("filter", "").strip(),
        below=bool(request.GET.get("below")),
        whom=request.GET.get("as", ""),
    )
    people = _people(member)
    found, problem = None, ""
    if asked.question:
        try:
            found = _found(asked, caller, people)
        except RetrievalError as error:
            problem = str(error)
    return TemplateResponse(
        request,
        PAGE,
        {
            **context,
            "title": "Search",
            "asked": asked,
            "people": people,
            "collections": list(Collection.objects.order_by("name")),
            "found": found,
            "problem": problem,
            "documents": reverse("admin:retrieval_document_changelist"),
            "judge_url": reverse("admin:retrieval_judge"),
            "here": request.get_full_path(),
            "may_tend": caller.may("documents.change"),
            "set_url": reverse("feedback-evaluation-set"),
            "unanswered": feedback.unanswered(caller) if caller.may("documents.change") else [],
        },
    )


@require_POST
def judge(request: HttpRequest) -> HttpResponse:
    """What somebody holds of a passage; back to what was found."""
    _, caller = _who(request)
    back = reverse("admin:retrieval_search") + "?" + request.POST.get("back", "").partition("?")[2]
    try:
        chunk = UUID(request.POST.get("chunk", ""))
        feedback.judge(caller, request.POST.get("question", ""), chunk, request.POST.get("useful") == "1")
    except (ValueError, RetrievalError) as error:
        messages.error(request, str(error) if isinstance(error, RetrievalError) else "There is no such passage.")
    else:
        messages.success(request, "Thank you. It is kept with the question.")
    return HttpResponseRedirect(back)


def _who(request: HttpRequest) -> tuple[Member, Caller]:
    member, caller = member_of(request), caller_of_member(request)
    if member is None or caller is None or not member.may(RIGHT):
        raise PermissionDenied("Your role does not search documents.")
    return member, caller


def _people(member: Member) -> list[Membership]:
    """As whom this person may search."""
    if not member.may(AS_WHOM):
        return []
    return list(Membership.objects.exclude(user=member.user).select_related("user").order_by("user__name"))


def _found(asked: Asked, caller: Caller, people: Sequence[Membership]) -> list[dict[str, Any]]:
    """Raises RetrievalError."""
    wanted = caller.scope()
    if asked.whom:
        place = next((place for place in people if str(place.pk) == asked.whom), None)
        if place is None:
            raise RetrievalError("There is no such person to search as. Load the page again and choose another.")
        wanted = _as(place, caller)
        record(Action.DOCUMENT_SEARCH_AS, object_type="membership", object_id=str(place.pk))
    passages = recall_now(
        wanted,
        asked.question,
        collections=asked.collections or None,
        top_k=MOST,
        filter=_filter(asked.filter),
        min_score=-1.0 if asked.below else None,
    )
    # through somebody else's eyes one sees less, never more: the wall shows which documents are one's own to read
    readable = set(Document.objects.filter(pk__in={one.document_id for one in passages}).values_list("pk", flat=True))
    passages = [passage for passage in passages if passage.document_id in readable]
    held = feedback.own(caller, asked.question, [passage.chunk_id for passage in passages])
    return [_row(passage, asked.question, held) for passage in passages]


def _as(place: Membership, caller: Caller) -> Scope:
    """The scope of another member."""
    departments: tuple[UUID, ...] | None = None
    if place.role not in (Role.OWNER, Role.ADMIN):
        rows = MembershipDepartment.objects.filter(membership=place)
        departments = tuple(rows.values_list("department_id", flat=True))
    actor = {"type": "user", "id": str(place.user_id), "name": place.user.name}
    who = replace(caller.scope(), user=place.user_id, actor=actor)
    return replace(who, departments=departments, clearance=place.clearance)


def _filter(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RetrievalError(f"The filter is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise RetrievalError('The filter must be an object, such as {"year": {"$gte": 2024}}.')
    return found


def _row(passage: Passage, question: str, held: dict[UUID, bool]) -> dict[str, Any]:
    place = [f"page {passage.page}" if passage.page else "", passage.section]
    return {
        "passage": passage,
        "place": ", ".join(part for part in place if part),
        "link": reverse("admin:retrieval_document_change", args=[passage.document_id]),
        "stages": [
            (name, f"{value:.2f}", round(max(0.0, min(value, 1.0)) * 100, 1))
            for name, value in (("vector", passage.vector), ("words", passage.lexical), ("together", passage.score))
        ],
        "text": marked(passage.text, question),
        "held": held.get(passage.chunk_id),
    }


def marked(text: str, question: str) -> SafeString:
    """A passage with the words marked that search has found in it."""
    wanted = {term.slot for term in terms(question)}
    pieces = []
    for piece in _WORDS.split(text):
        hit = any(term.slot in wanted for term in terms(piece))
        pieces.append(format_html("<mark>{}</mark>", piece) if hit else conditional_escape(piece))
    return SafeString("".join(pieces))
