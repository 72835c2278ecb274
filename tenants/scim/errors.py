"""What SCIM answers when it does not do what was asked (RFC 7644, 3.12).

ScimError
 ├── Invalid          400, with one of the RFC's words (`invalidFilter`, `invalidPath`, `noTarget`, `mutability`, …)
 ├── Unknown          401, no key or a wrong one
 ├── Forbidden        403, a key without the right
 ├── Missing          404, not there, or another tenant's
 ├── Taken            409, `uniqueness`
 ├── Changed          412, `If-Match` names another version
 ├── TooLarge         413
 ├── NotOffered       501
 └── Unavailable      503, the database does not answer
"""

from __future__ import annotations


class ScimError(Exception):
    """Something about a SCIM request."""

    status = 400
    word = ""

    def __init__(self, message: str = "", word: str = "") -> None:
        super().__init__(message or self.__doc__)
        self.word = word or self.word


class Invalid(ScimError):
    """The request is malformed."""

    word = "invalidSyntax"


class Unknown(ScimError):
    """This key is not valid. Send `Authorization: Bearer <key>` with a key that has the scope scim.use."""

    status = 401


class Forbidden(ScimError):
    """This key is not for provisioning: an owner makes one with the scope scim.use."""

    status = 403


class Missing(ScimError):
    """There is no such resource."""

    status = 404


class Taken(ScimError):
    """Another resource has this name already."""

    status, word = 409, "uniqueness"


class Changed(ScimError):
    """The resource is no longer what `If-Match` says: read it again, and decide again."""

    status = 412


class TooLarge(ScimError):
    """A request has at most 2 MB."""

    status = 413


class NotOffered(ScimError):
    """This server does not offer it; see /scim/v2/ServiceProviderConfig."""

    status = 501


class Unavailable(ScimError):
    """The database does not answer at the moment. Try again shortly."""

    status = 503


def invalid_filter(message: str) -> Invalid:
    return Invalid(message, "invalidFilter")


def invalid_path(message: str) -> Invalid:
    return Invalid(message, "invalidPath")


def invalid_value(message: str) -> Invalid:
    return Invalid(message, "invalidValue")
