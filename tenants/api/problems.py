"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

CONTENT_TYPE = "application/problem+json"


class Conflict(exceptions.APIException):
    """Something of that name is there already, or still in use."""

    status_code = 409
    default_code = "conflict"


class Unavailable(exceptions.APIException):
    """The database does not answer at the moment."""

    status_code = 503
    default_code = "unavailable"
    default_detail = "The database does not answer at the moment. Try again shortly."


class TooLarge(exceptions.APIException):
    """What was sent is larger than what is accepted."""

    status_code = 413
    default_code = "too_large"
    default_detail = __doc__


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None lets Django answer with 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is no such object.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    headers = {}
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status_code == 503:
        headers["Retry-After"] = "2"
    return Response(
        body(error.status_code, error.detail), status=error.status_code, headers=headers, content_type=CONTENT_TYPE
    )


def body(status: int, detail: Any) -> dict[str, Any]:
    """The object: `detail` is a sentence, `errors` the places that are wrong."""
    found: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if isinstance(detail, dict):
        errors = [{"field": str(name), "message": _sentence(value)} for name, value in detail.items()]
        found |= {"detail": "; ".join(f"{e['field']}: {e['message']}" for e in errors), "errors": errors}
    else:
        found["detail"] = _sentence(detail)
    return found


def _sentence(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_sentence(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_sentence(inner) for inner in value if inner)
    return str(value)


def no_such_route(request: HttpRequest) -> JsonResponse:
    """Any address under /api that is none."""
    return JsonResponse(body(404, f"There is no route {request.path}."), status=404, content_type=CONTENT_TYPE)
