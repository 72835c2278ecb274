"""Signing in to the console: an address and a password."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import check_password, make_password
from django.http import HttpRequest

from .isolation import Scope, scope
from .models import User

# Checked when nobody has the address, so that an unknown one takes as long as a wrong password.
_NOBODY = make_password("nobody has this password")


class PasswordBackend(BaseBackend):
    """Reads the one row whose address is being signed in with: without a scope no other person is visible."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> User | None:
        email, secret = (username or more.get("email") or "").strip().lower(), password or ""
        if not email or not secret:
            return None
        with scope(Scope(login=email)):
            user = User.objects.filter(email=email, is_active=True).first()
            if user is None:
                check_password(secret, _NOBODY)
                return None
            return user if user.check_password(secret) else None

    def get_user(self, user_id: UUID) -> User | None:
        with scope(Scope(user=user_id)):
            return User.objects.filter(pk=user_id, is_active=True).first()
