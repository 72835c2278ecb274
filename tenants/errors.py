"""What can go wrong when somebody asks who is calling.

TenantsError
 ├── UnknownCredential      nobody has this key, or it is revoked, expired, or used from a foreign address
 ├── DirectoryUnavailable   the database cannot be asked (never an answer about the key)
 ├── NotAllowed             somebody would hand out more than they have
 ├── Taken                  the name is in use
 ├── TooManyTries           codes are being guessed
 ├── PasskeyRefused         a passkey does not show what it should
 ├── ProviderRefused        an identity provider does not sign this person in here
 ├── ProviderUnavailable    an identity provider cannot be asked
 └── MetadataUnreadable     what a provider says of itself is not what it should be
"""

from __future__ import annotations


class TenantsError(Exception):
    """Something about tenants, people or keys."""


class UnknownCredential(TenantsError):
    """The API key is not valid. Check it, or ask an administrator of your tenant for a new one."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class DirectoryUnavailable(TenantsError):
    """Keys cannot be checked at the moment. Try again shortly."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class NotAllowed(TenantsError):
    """Nobody hands out more than they have themselves."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class Taken(TenantsError):
    """This name is in use already."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class TooManyTries(TenantsError):
    """Too many wrong codes. Wait a quarter of an hour, then try again."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class PasskeyRefused(TenantsError):
    """This passkey was not accepted. Try again; if it stays so, sign in another way and set it up anew.

    `reason` is for the audit trail, not for whoever tries.
    """

    def __init__(self, reason: str) -> None:
        super().__init__((self.__doc__ or "").partition("\n")[0])
        self.reason = reason


class ProviderRefused(TenantsError):
    """The identity provider did not sign you in."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class ProviderUnavailable(TenantsError):
    """The identity provider cannot be reached at the moment. Try again shortly."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class MetadataUnreadable(TenantsError):
    """This is not what a SAML provider says of itself."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)
