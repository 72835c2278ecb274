"""The routes of /scim/v2: a key of the tenant, its scope, one transaction, and SCIM's own shapes of answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import RequestDataTooBig
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.db.models import F, Prefetch, Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from tenants.api import versions
from tenants.data import Caller
from tenants.isolation import scope
from tenants.models import ScimContact, ScimGroup, ScimMember, ScimUser
from tenants.services import caller_of_key

from . import discovery, errors, filters, patch, provisioning, resources
from .attributes import GROUP, KINDS, USER, Kind
from .discovery import MOST_RESULTS
from .filters import Column

log = logging.getLogger("customhouse.scim")

CONTENT_TYPE = "application/scim+json"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
RIGHT = "scim.use"
LARGEST = 2 * 1024 * 1024
USUAL_RESULTS = 100
#: of how many rows each is asked, where the database cannot answer a filter by itself
MOST_ASKED = 10_000
CONTACT = timedelta(minutes=1)


@method_decorator(csrf_exempt, name="dispatch")
class ScimView(View):
    """One route. Whatever goes wrong is answered in SCIM's form, and takes back what its transaction had changed."""

    http_method_names = ["get"]
    caller: Caller

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return self._answer(request, *args, **kwargs)
        except errors.ScimError as error:
            return _refusal(error)
        except RequestDataTooBig:
            return _refusal(errors.TooLarge())
        except IntegrityError as error:
            return _refusal(_conflict(error))
        except DataError:
            return _refusal(errors.invalid_value("A value is malformed, or too long."))
        except (OperationalError, InterfaceError):
            return _refusal(errors.Unavailable())
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _failed()

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        said = str(request.META.get("CONTENT_LENGTH") or "0")
        if said.isdecimal() and int(said) > LARGEST:
            raise errors.TooLarge
        self.caller = _caller(request)
        # The person behind a key is left out: of other tenants nothing is to be seen here, whoever they are.
        with scope(replace(self.caller.scope(), user=None)):
            _note_contact()
            answer = super().dispatch(request, *args, **kwargs)
            assert isinstance(answer, HttpResponse)
            return answer

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = _json({"schemas": [MESSAGES + "Error"], "status": "405", "detail": "Not here."}, 405)
        answer["Allow"] = ", ".join(name.upper() for name in self.http_method_names)
        return answer

    def address(self, endpoint: str, identity: Any) -> str:
        """The absolute address of a resource."""
        return self.request.build_absolute_uri(f"/scim/v2{endpoint}" + (f"/{identity}" if identity else ""))


def _caller(request: HttpRequest) -> Caller:
    """Whose key it is. Raises Unknown, Forbidden."""
    word, _, credential = request.headers.get("Authorization", "").partition(" ")
    if word.lower() != "bearer":
        raise errors.Unknown
    found = caller_of_key(credential.strip(), request.META.get("REMOTE_ADDR", ""))
    if found is None:
        raise errors.Unknown
    if not found.may(RIGHT):
        raise errors.Forbidden
    return found


def _note_contact() -> None:
    """Remembers that the identity provider was here, at most once a minute."""
    now = timezone.now()
    seen = ScimContact.objects.first()
    if seen is None:
        ScimContact.objects.bulk_create([ScimContact(seen_at=now)], ignore_conflicts=True)
    elif seen.seen_at < now - CONTACT:
        ScimContact.objects.filter(pk=seen.pk).update(seen_at=now)


def _json(body: Mapping[str, Any], status: int = 200, **headers: str) -> HttpResponse:
    head = {"Cache-Control": "no-store", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HttpResponse(json.dumps(body), status=status, content_type=CONTENT_TYPE, headers=head)


def _refusal(error: errors.ScimError) -> HttpResponse:
    body = {"schemas": [MESSAGES + "Error"], "status": str(error.status), "detail": str(error)}
    answer = _json(body | ({"scimType": error.word} if error.word else {}), error.status)
    if error.status == 401:
        answer["WWW-Authenticate"] = "Bearer"
    if error.status == 503:
        answer["Retry-After"] = "2"
    return answer


def _failed() -> HttpResponse:
    detail = "The server failed; the operator's log knows why."
    return _json({"schemas": [MESSAGES + "Error"], "status": "500", "detail": detail}, 500)


def _conflict(error: IntegrityError) -> errors.ScimError:
    """Two at the same moment. What they met over is named only where it is the tenant's own."""
    return errors.Taken() if "scim_" in str(error) else errors.Unavailable()


def _listed(found: list[dict[str, Any]], total: int, start: int = 1) -> HttpResponse:
    return _json(
        {
            "schemas": [MESSAGES + "ListResponse"],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": len(found),
            "Resources": found,
        }
    )


# -- what the server tells of itself ----------------------------------------------------------------------------------


class SettingsView(ScimView):
    def get(self, request: HttpRequest) -> HttpResponse:
        return _json(discovery.settings(self.address))


class _ToldView(ScimView):
    """Lists that are the same for everybody; they are not filtered (RFC 7644, 4)."""

    def all(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def get(self, request: HttpRequest, name: str = "") -> HttpResponse:
        if request.GET.get("filter"):
            raise errors.Forbidden("This list is not filtered.")
        told = self.all()
        if not name:
            return _listed(told, len(told))
        found = next((one for one in told if one["id"].lower() == name.lower()), None)
        if found is None:
            raise errors.Missing
        return _json(found)


class TypesView(_ToldView):
    def all(self) -> list[dict[str, Any]]:
        return [discovery.type_of(kind, self.address) for kind in KINDS.values()]


class SchemasView(_ToldView):
    def all(self) -> list[dict[str, Any]]:
        return [discovery.schema_of(kind, self.address) for kind in KINDS.values()]


class NotOfferedView(ScimView):
    """`/Bulk`, `/Me`, and searches by POST."""

    http_method_names = ["get", "post", "put", "patch", "delete"]

    def get(self, request: HttpRequest, *args: Any) -> HttpResponse:
        raise errors.NotOffered

    post = put = patch = delete = get


class NowhereView(NotOfferedView):
    def get(self, request: HttpRequest, *args: Any) -> HttpResponse:
        raise errors.Missing(f"There is no route {request.path}.")

    post = put = patch = delete = get


# -- users and groups -------------------------------------------------------------------------------------------------


class ResourcesView(ScimView):
    """Lists and makes, shows, changes and removes the resources of one kind."""

    kind: ClassVar[Kind]
    columns: ClassVar[Mapping[str, Column]]
    #: one-valued attributes in lower case -> what their rows are ordered by
    orders: ClassVar[Mapping[str, Any]]
    #: the status of a PATCH's answer when no attributes are asked for
    patched = 200

    def rows(self, wanted: resources.Projection) -> QuerySet[Any]:
        """The rows with what is to be shown of them."""
        raise NotImplementedError

    def shown(self, row: Any, wanted: resources.Projection) -> dict[str, Any]:
        raise NotImplementedError

    def create(self, body: dict[str, Any]) -> Any:
        raise NotImplementedError

    def change(self, row: Any, body: dict[str, Any]) -> Any:
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        raise NotImplementedError

    def wanted(self) -> resources.Projection:
        given = self.request.GET
        return resources.Projection(self.kind, given.get("attributes", ""), given.get("excludedAttributes", ""))

    def one(self, identity: str) -> Any:
        """The row with an id, with all that is shown. Raises Missing, for another tenant's as well."""
        try:
            found = self.rows(resources.Projection(self.kind)).filter(pk=UUID(identity)).first()
        except ValueError:
            found = None
        if found is None:
            raise errors.Missing(f"There is no {self.kind.name} {identity[:100]!r}.")
        return found

    def answer(self, row: Any, status: int = 200) -> HttpResponse:
        shown = self.wanted().of(self.shown(row, self.wanted()))
        head = {"ETag": resources.version(row)}
        if status == 201:
            head["Location"] = self.address(self.kind.endpoint, row.pk)
        return _json(shown, status, **head)


class ListView(ResourcesView):
    """`GET` and `POST` of all."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        start, count = max(1, self._number("startIndex", 1)), max(0, self._number("count", USUAL_RESULTS))
        wanted = self.wanted()
        page, total = self._page(wanted, start - 1, min(count, MOST_RESULTS))
        return _listed([wanted.of(self.shown(row, wanted)) for row in page], total, start)

    def post(self, request: HttpRequest) -> HttpResponse:
        body = resources.writable(_body(request), self.kind)
        provisioning.one_at_a_time()
        return self.answer(self.one(str(self.create(body).pk)), 201)

    def _number(self, name: str, usual: int) -> int:
        text = self.request.GET.get(name, "")
        if not text:
            return usual
        if not text.removeprefix("-").isdecimal() or len(text) > 9:
            raise errors.invalid_value(f"{name} is a number.")
        return int(text)

    def _page(self, wanted: resources.Projection, start: int, count: int) -> tuple[list[Any], int]:
        """The rows of a page, and how many there are in all."""
        text = self.request.GET.get("filter", "")
        if not text:
            rows = self._ordered(self.rows(wanted))
            return list(rows[start : start + count]), rows.count()
        node = filters.parse(text, self.kind)
        narrowed = filters.narrowed(node, self.columns)
        if narrowed.exact:
            rows = self._ordered(self.rows(wanted).filter(narrowed.condition))
            return list(rows[start : start + count]), rows.count()
        unasked = ",".join(name for name in ("groups", "members") if name not in text.lower())
        whole = resources.Projection(self.kind, excluded=unasked)
        asked = list(self._ordered(self.rows(whole).filter(narrowed.condition))[: MOST_ASKED + 1])
        if len(asked) > MOST_ASKED:
            raise errors.Invalid("Too many could be meant: filter by userName, externalId or displayName.", "tooMany")
        found = [row.pk for row in asked if filters.matches(node, self.shown(row, whole))]
        page = {row.pk: row for row in self.rows(wanted).filter(pk__in=found[start : start + count])}
        return [page[identity] for identity in found[start : start + count]], len(found)

    def _ordered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        path = self.request.GET.get("sortBy", "")
        if not path:
            return rows.order_by("pk")
        column = self.orders.get(resources.position(self.kind, path))
        if column is None:
            raise errors.invalid_path(f"Nothing is sorted by {path[:100]!r}.")
        backwards = self.request.GET.get("sortOrder", "").lower() == "descending"
        return rows.order_by(column.desc() if backwards else column.asc(), "pk")


class OneView(ResourcesView):
    """`GET`, `PUT`, `PATCH` and `DELETE` of one."""

    http_method_names = ["get", "put", "patch", "delete"]

    def get(self, request: HttpRequest, identity: str) -> HttpResponse:
        row = self.one(identity)
        seen = request.headers.get("If-None-Match")
        if seen and versions.names(seen, resources.version(row).removeprefix("W/")):
            return HttpResponse(status=304, headers={"ETag": resources.version(row)})
        return self.answer(row)

    def put(self, request: HttpRequest, identity: str) -> HttpResponse:
        body = resources.writable(_body(request), self.kind)
        row = self._to_be_changed(identity)
        self.change(row, body)
        return self.answer(self.one(identity))

    def patch(self, request: HttpRequest, identity: str) -> HttpResponse:
        asked = _body(request)
        row = self._to_be_changed(identity)
        schemas = asked.get("schemas")
        if not isinstance(schemas, list) or patch.SCHEMA.lower() not in (str(one).lower() for one in schemas):
            raise errors.Invalid(f"`schemas` names {patch.SCHEMA}.")
        operations = next((value for name, value in asked.items() if name.lower() == "operations"), None)
        before = resources.writable(self.shown(row, resources.Projection(self.kind)), self.kind)
        self.change(row, patch.apply(operations, before, self.kind))
        if self.patched == 204 and "attributes" not in request.GET:
            return HttpResponse(status=204, headers={"ETag": resources.version(row)})
        return self.answer(self.one(identity))

    def delete(self, request: HttpRequest, identity: str) -> HttpResponse:
        self.remove(self._to_be_changed(identity))
        return HttpResponse(status=204)

    def _to_be_changed(self, identity: str) -> Any:
        """The row, which nobody else changes from here on. Raises Missing, Changed."""
        provisioning.one_at_a_time()
        row = self.one(identity)
        seen = self.request.headers.get("If-Match")
        if seen and not versions.names(seen, resources.version(row).removeprefix("W/")):
            raise errors.Changed
        return row


def _body(request: HttpRequest) -> dict[str, Any]:
    """The request's JSON object. Raises Invalid, TooLarge."""
    if len(request.body) > LARGEST:
        raise errors.TooLarge
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise errors.Invalid("The body is a JSON object.")
    return found


class _Users(ResourcesView):
    """What is particular to users."""

    kind = USER
    columns: ClassVar[Mapping[str, Column]] = {
        "id": filters.identity(lambda identity: Q(pk=identity)),
        "externalid": filters.text("external_id", exact=True),
        "username": filters.text("user_name"),
        "displayname": filters.text("display_name"),
        "name.formatted": filters.text("formatted"),
        "name.familyname": filters.text("family_name"),
        "name.givenname": filters.text("given_name"),
        "active": filters.present("membership"),
        "emails": filters.somewhere_in("emails"),
        "emails.value": filters.somewhere_in("emails"),
        "meta.created": filters.time("created_at"),
        "meta.lastmodified": filters.time("updated_at"),
    }
    orders: ClassVar[Mapping[str, Any]] = {
        "id": F("pk"),
        "externalid": F("external_id"),
        "username": Lower("user_name"),
        "displayname": Lower("display_name"),
        "name.formatted": Lower("formatted"),
        "name.familyname": Lower("family_name"),
        "name.givenname": Lower("given_name"),
        "meta.created": F("created_at"),
        "meta.lastmodified": F("updated_at"),
    }

    def rows(self, wanted: resources.Projection) -> QuerySet[ScimUser]:
        rows = ScimUser.objects.select_related("membership")
        places = ScimMember.objects.select_related("group").order_by("pk")
        return rows.prefetch_related(Prefetch("groups", places)) if wanted.shows("groups") else rows

    def shown(self, row: ScimUser, wanted: resources.Projection) -> dict[str, Any]:
        return resources.shown_user(row, self.address, with_groups=wanted.shows("groups"))

    def create(self, body: dict[str, Any]) -> ScimUser:
        return provisioning.create_user(resources.user_values(body))

    def change(self, row: ScimUser, body: dict[str, Any]) -> ScimUser:
        """Who is active stays so, and who is not, unless something is said of it."""
        told = {"active": row.membership_id is not None} | body
        return provisioning.change_user(row, resources.user_values(told))

    def remove(self, row: ScimUser) -> None:
        provisioning.delete_user(row)


class UsersView(_Users, ListView):
    """/Users"""


class UserView(_Users, OneView):
    """/Users/{id}"""


def _with_member(user: UUID) -> Q:
    """The groups that a user is in."""
    return Q(pk__in=ScimMember.objects.filter(user_id=user).values("group_id"))


class _Groups(ResourcesView):
    """What is particular to groups. After a PATCH a large one is not shown whole, unless that is asked for."""

    kind = GROUP
    patched = 204
    columns: ClassVar[Mapping[str, Column]] = {
        "id": filters.identity(lambda identity: Q(pk=identity)),
        "externalid": filters.text("external_id", exact=True),
        "displayname": filters.text("display_name"),
        "members": filters.identity(_with_member),
        "members.value": filters.identity(_with_member),
        "meta.created": filters.time("created_at"),
        "meta.lastmodified": filters.time("updated_at"),
    }
    orders: ClassVar[Mapping[str, Any]] = {
        "id": F("pk"),
        "externalid": F("external_id"),
        "displayname": Lower("display_name"),
        "meta.created": F("created_at"),
        "meta.lastmodified": F("updated_at"),
    }

    def rows(self, wanted: resources.Projection) -> QuerySet[ScimGroup]:
        rows = ScimGroup.objects.all()
        members = ScimMember.objects.select_related("user").order_by("pk")
        return rows.prefetch_related(Prefetch("members", members)) if wanted.shows("members") else rows

    def shown(self, row: ScimGroup, wanted: resources.Projection) -> dict[str, Any]:
        return resources.shown_group(row, self.address, with_members=wanted.shows("members"))

    def create(self, body: dict[str, Any]) -> ScimGroup:
        return provisioning.create_group(resources.group_values(body))

    def change(self, row: ScimGroup, body: dict[str, Any]) -> ScimGroup:
        return provisioning.change_group(row, resources.group_values(body))

    def remove(self, row: ScimGroup) -> None:
        provisioning.delete_group(row)


class GroupsView(_Groups, ListView):
    """/Groups"""


class GroupView(_Groups, OneView):
    """/Groups/{id}"""
