"""The base of all views: one transaction, one scope, one declared right for each action."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DataError, IntegrityError, OperationalError
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions, mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.data import Caller
from tenants.isolation import scope
from tenants.isolation.scope import REASON_LENGTH

from . import problems, repeats, versions
from .authentication import caller_of
from .lists import Filter, Filters, Pages

log = logging.getLogger("customhouse.management")

FORM = 1024 * 1024
UNSAFE = frozenset({"POST", "PATCH", "PUT", "DELETE"})

#: fields of answers that are shown once
ONCE = ("key", "owner_key", "secret", "link", "ingest_job")


class TakenBack(Exception):
    """An answer that is an error: leaving by an exception takes back what its transaction had changed."""

    def __init__(self, response: Any) -> None:
        super().__init__(self.__doc__)
        self.response = response


class ManagementView(viewsets.GenericViewSet[Any]):
    """A view of the management plane.

    `rights` says which right of `tenants.roles` each action needs; an action that is not in it is refused. Objects are
    looked up before rights are: what the wall hides answers 404, whatever was asked of it.

    Lists are narrowed by `filters`, searched in the columns `searched` and ordered by `orderings` (which are never
    null). An object is addressed by its id or, where `named_by` is a column, by that. `passing` are fields that change
    by themselves, so that they are no part of the object's ETag. `unkept` are POST actions which change nothing.
    Grants on objects of the kind `granted` widen and narrow what the role may do with each.
    """

    rights: ClassVar[dict[str, str]] = {}
    filters: ClassVar[Mapping[str, Filter]] = {}
    searched: ClassVar[tuple[str, ...]] = ()
    orderings: ClassVar[tuple[str, ...]] = ()
    named_by: ClassVar[str] = ""
    passing: ClassVar[tuple[str, ...]] = ()
    unkept: ClassVar[frozenset[str]] = frozenset()
    granted: ClassVar[str] = ""
    pagination_class = Pages
    filter_backends = (Filters,)
    authentication_classes = ()
    permission_classes = ()
    lookup_value_regex = "[^/]+"
    caller: Caller

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        reason = request.headers.get("X-Audit-Reason", "")[:REASON_LENGTH]
        try:
            _check_size(request)
            self.caller = caller_of(request)
            with scope(self.caller.scope(reason)):
                response: HttpResponseBase = self._answer(request, *args, **kwargs)
                if response.status_code >= 400:
                    raise TakenBack(response)
                return response
        except TakenBack as taken:
            answer: HttpResponseBase = taken.response
            return answer
        except exceptions.APIException as error:
            return self._refuse(request, error)
        except RequestDataTooBig:
            return self._refuse(request, problems.TooLarge())
        except IntegrityError:
            return self._refuse(request, problems.Conflict("It refers to something that is not there, or is in use."))
        except OperationalError:
            return self._refuse(request, problems.Unavailable())
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return self._refuse(request, exceptions.APIException("The server failed; the operator's log knows why."))

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """One answer; to a POST that is sent again with its Idempotency-Key, the one before."""
        key = request.headers.get("Idempotency-Key")
        wanted = self.action_map.get("post", "") if request.method == "POST" else ""
        if key is None or not wanted or wanted in self.unkept:
            return super().dispatch(request, *args, **kwargs)
        before = repeats.answer_before(self.caller, request, key)
        if before is not None:
            return before
        response: Any = super().dispatch(request, *args, **kwargs)
        if response.status_code < 400:
            repeats.keep(self.caller, request, key, response.render())
        return response

    def _refuse(self, request: HttpRequest, error: exceptions.APIException) -> HttpResponseBase:
        """An answer for what went wrong outside of the view."""
        self.headers = self.default_response_headers
        drf_request = self.initialize_request(request)
        response = problems.handler(error, {})
        assert response is not None
        return super().finalize_response(drf_request, response)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        action: str | None = self.action
        if action is None:
            return  # no such method here: 405
        if self.lookup_field in self.kwargs:
            self.get_object()
        self.check_right(action)
        if request.method in UNSAFE and self.lookup_field in self.kwargs:
            self._check_version(request)

    def check_right(self, action: str) -> None:
        """Raises PermissionDenied unless the caller may do this here."""
        right = self.rights.get(action)
        if right is None or not (self.caller.may(right) if not self.granted else self._may(action, right)):
            raise exceptions.PermissionDenied(f"The role {self.caller.role} may not do this.")

    def _may(self, action: str, right: str) -> bool:
        """By role, or by a grant on the object; a list is for those who may see any."""
        if self.lookup_field in self.kwargs:
            return self.caller.may_on(right, self.granted, self.get_object().pk, right.partition(".")[2])
        shown = action == "list" and (self.caller.scopes is None or right in self.caller.scopes)
        return self.caller.may(right) or (shown and bool(self.caller.grants.shown(self.granted)))

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What the view's filters leave of what the caller may see."""
        if self.granted:
            grants = self.caller.grants
            hidden = grants.hidden(self.granted)
            queryset = queryset.exclude(pk__in=hidden) if hidden else queryset
            if self.action == "list" and not self.caller.may(self.rights["list"]):
                queryset = queryset.filter(pk__in=grants.shown(self.granted))
        return super().filter_queryset(queryset)

    def _check_version(self, request: Request) -> None:
        """Raises PreconditionFailed unless the object still is as `If-Match` says; from here on it stays so."""
        wanted = request.headers.get("If-Match")
        if not wanted:
            return
        identity = self.get_object().pk
        self.get_queryset().model._default_manager.select_for_update().filter(pk=identity).first()
        del self._object
        if not versions.names(wanted, self._etag(self.get_serializer(self.get_object()).data)):
            raise versions.PreconditionFailed

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        shows = request.method in ("GET", "HEAD", "PATCH") or answer.status_code == 201
        if not shows or answer.status_code >= 300 or getattr(answer, "data", None) is None:
            return answer
        tag = self._etag(answer.data)
        answer["ETag"] = tag
        unchanged = request.method in ("GET", "HEAD") and not self.passing and "If-None-Match" in request.headers
        if unchanged and versions.names(request.headers["If-None-Match"], tag):
            answer.data, answer.status_code = None, 304
        return answer

    def _etag(self, shown: Any) -> str:
        return versions.etag(shown, (*self.passing, *ONCE))

    def get_object(self) -> Any:
        """By id, or by the name that `named_by` allows; read once a request."""
        if not hasattr(self, "_object"):
            self._object = super().get_object() if self._by_id() else self._named()
        return self._object

    def _by_id(self) -> bool:
        try:
            UUID(self.kwargs[self.lookup_field])
        except ValueError:
            return False
        return True

    def _named(self) -> Any:
        """The caller's own object of that name, before the platform's."""
        found = None
        if self.named_by:
            own = Case(When(tenant_id=self.caller.tenant, then=Value(0)), default=Value(1), output_field=IntegerField())
            rows = self.filter_queryset(self.get_queryset()).filter(**{self.named_by: self.kwargs[self.lookup_field]})
            found = (rows.alias(own=own).order_by("own", "-id") if _has_tenant(rows.model) else rows).first()
        if found is None:
            raise exceptions.NotFound("There is no such object.")
        return found

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, IntegrityError):
            exc = problems.Conflict("Something of that name is there already, or it is still in use.")
        elif isinstance(exc, OperationalError):
            exc = problems.Unavailable()
        elif isinstance(exc, DataError | ValidationError | UnicodeError | OverflowError):
            # a null character, half of a character, an id that is none, a number beyond all bounds: no row has such
            exc = exceptions.ValidationError("A value in the address or the body is malformed.")
        return super().handle_exception(exc)


def _check_size(request: HttpRequest) -> None:
    """Raises TooLarge for a body that nothing here would read; a form has some room for what is around its file."""
    said = request.META.get("CONTENT_LENGTH") or "0"
    if said.isdigit() and int(said) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE + FORM:
        raise problems.TooLarge


def _has_tenant(model: Any) -> bool:
    return any(field.name == "tenant" for field in model._meta.fields)


class ReadView(mixins.ListModelMixin, mixins.RetrieveModelMixin, ManagementView):
    """Lists and shows."""


class FullView(mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin, ReadView):
    """Everything that one does with a plain object; PATCH changes, PUT is not offered."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
