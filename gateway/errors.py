"""What can go wrong with a call, and what the client is told: one table from error to status, type, code and retry.

GatewayError
 ├── InvalidRequest          400 invalid_request
 ├── InvalidKey              401 invalid_api_key
 ├── PolicyViolation         403 policy_violation
 │    └── PersonalDataBlocked    403 pii_blocked
 ├── ModelNotAllowed         403 model_not_allowed
 ├── ModelNotFound           404 model_not_found
 ├── RouteNotFound           404 not_found
 ├── RequestTooLarge         413 request_too_large
 ├── RateLimited             429 rate_limit_exceeded (retry-after)
 ├── BudgetExhausted         429 insufficient_quota (x-should-retry: false)
 ├── UpstreamRateLimited     429 upstream_rate_limited (retry-after)
 ├── UpstreamRejected        400 upstream_rejected (the vendor's own 4xx about the request)
 ├── UpstreamError           502 upstream_error
 │    ├── UpstreamUnauthorized   502 upstream_error (the vendor refused the gateway's credential)
 │    └── UpstreamDisconnected   502 upstream_error (the connection was lost before any byte of the answer)
 ├── UpstreamTimeout         504 upstream_timeout
 └── Unavailable             503 service_unavailable (retry-after)
      └── DetectorUnavailable    503 pii_unavailable (retry-after)
"""

from __future__ import annotations

from typing import Any, ClassVar

import orjson


class GatewayError(Exception):
    """The call cannot be answered. `str(error)` is the sentence that the client reads; it never holds personal data."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "server_error"
    retry: ClassVar[bool | None] = None  #: x-should-retry, None leaves the SDK's own rule

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.param, self.retry_after = param, retry_after

    def body(self) -> dict[str, Any]:
        """OpenAI's shape."""
        return {"error": {"message": str(self), "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers beyond content type and request id."""
        found = []
        if self.retry_after is not None:
            found.append((b"retry-after", b"%d" % max(1, round(self.retry_after + 0.499))))
        if self.retry is not None:
            found.append((b"x-should-retry", b"true" if self.retry else b"false"))
        return found

    def event(self) -> bytes:
        """The server-sent event that ends a stream which broke."""
        return b"data: " + orjson.dumps(self.body()) + b"\n\n"


class InvalidRequest(GatewayError):
    status, type, code = 400, "invalid_request_error", "invalid_request"


class InvalidKey(GatewayError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class PolicyViolation(GatewayError):
    status, type, code, retry = 403, "permission_error", "policy_violation", False


class PersonalDataBlocked(PolicyViolation):
    code = "pii_blocked"


class ModelNotAllowed(GatewayError):
    status, type, code = 403, "permission_error", "model_not_allowed"


class ModelNotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "model_not_found"


class RouteNotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(GatewayError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RequestTooLarge(GatewayError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class RateLimited(GatewayError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class BudgetExhausted(GatewayError):
    """`budget` is the id of the one that has no room; the audit trail keeps it."""

    status, type, code, retry = 429, "insufficient_quota", "insufficient_quota", False
    budget = ""


class UpstreamRateLimited(GatewayError):
    status, type, code = 429, "rate_limit_error", "upstream_rate_limited"


class UpstreamRejected(GatewayError):
    """The vendor refused the request itself (its 400, 404, 413, 422): another deployment would as well."""

    status, type, code, retry = 400, "invalid_request_error", "upstream_rejected", False


class UpstreamError(GatewayError):
    status, type, code = 502, "server_error", "upstream_error"


class UpstreamUnauthorized(UpstreamError):
    """The vendor refused the gateway's credential: the deployment is out of order until somebody looks."""


class UpstreamDisconnected(UpstreamError):
    """The connection was lost before any byte of the answer: asking once more is safe."""


class UpstreamTimeout(GatewayError):
    status, type, code = 504, "server_error", "upstream_timeout"


class Unavailable(GatewayError):
    status, type, code = 503, "server_error", "service_unavailable"

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = 1.0) -> None:
        super().__init__(message, param=param, retry_after=retry_after)


class DetectorUnavailable(Unavailable):
    code = "pii_unavailable"


class Revoked(InvalidKey):
    """The key was revoked while its stream was running."""

    code = "revoked"
