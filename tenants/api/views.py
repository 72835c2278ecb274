"""The base of all views: one transaction, one scope, one declared right for each action."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions, mixins, viewsets
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.data import Caller
from tenants.isolation import scope

from . import problems
from .authentication import caller_of

REASON_LENGTH = 300


class Pages(CursorPagination):
    """Newest first; `limit` rows a page."""

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "limit"
    ordering = "-id"


class TakenBack(Exception):
    """An answer that is an error: leaving by an exception takes back what its transaction had changed."""

    def __init__(self, response: Any) -> None:
        super().__init__(self.__doc__)
        self.response = response


class ManagementView(viewsets.GenericViewSet[Any]):
    """A view of the management plane.

    `rights` says which right of `tenants.roles` each action needs; an action that is not in it is refused. Objects are
    looked up before rights are: what the wall hides answers 404, whatever was asked of it.
    """

    rights: ClassVar[dict[str, str]] = {}
    pagination_class = Pages
    authentication_classes = ()
    permission_classes = ()
    lookup_value_regex = "[^/]+"
    caller: Caller

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        reason = request.headers.get("X-Audit-Reason", "")[:REASON_LENGTH]
        try:
            self.caller = caller_of(request)
            with scope(self.caller.scope(reason)):
                response = super().dispatch(request, *args, **kwargs)
                if response.status_code >= 400:
                    raise TakenBack(response)
                return response
        except TakenBack as taken:
            answer: HttpResponseBase = taken.response
            return answer
        except exceptions.APIException as error:
            return self._refuse(request, error)
        except IntegrityError:
            return self._refuse(request, problems.Conflict("It refers to something that is not there, or is in use."))
        except OperationalError:
            return self._refuse(request, problems.Unavailable())

    def _refuse(self, request: HttpRequest, error: exceptions.APIException) -> HttpResponseBase:
        """An answer for what went wrong outside of the view."""
        self.headers = self.default_response_headers
        drf_request = self.initialize_request(request)
        response = problems.handler(error, {})
        assert response is not None
        return self.finalize_response(drf_request, response)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        action: str | None = self.action
        if action is None:
            return  # no such method here: 405
        if self.lookup_field in self.kwargs:
            self.get_object()
        right = self.rights.get(action)
        if right is None or not self.caller.may(right):
            raise exceptions.PermissionDenied(f"The role {self.caller.role} may not do this.")

    def get_object(self) -> Any:
        """By id, or by the name that `names` allows; read once a request."""
        if not hasattr(self, "_object"):
            self._object = super().get_object() if self._by_id() else self._named()
        return self._object

    def _by_id(self) -> bool:
        from uuid import UUID

        try:
            UUID(self.kwargs[self.lookup_field])
        except ValueError:
            return False
        return True

    def _named(self) -> Any:
        raise exceptions.NotFound("There is no such object.")

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, IntegrityError):
            exc = problems.Conflict("Something of that name is there already, or it is still in use.")
        elif isinstance(exc, OperationalError):
            exc = problems.Unavailable()
        elif isinstance(exc, DataError | ValidationError):  # a null character, an id that is none: no row has such
            exc = exceptions.ValidationError("A value in the address or the body is malformed.")
        return super().handle_exception(exc)


class ReadView(mixins.ListModelMixin, mixins.RetrieveModelMixin, ManagementView):
    """Lists and shows."""


class FullView(mixins.CreateModelMixin, mixins.UpdateModelMixin, mixins.DestroyModelMixin, ReadView):
    """Everything that one does with a plain object; PATCH changes, PUT is not offered."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
