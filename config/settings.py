"""Customhouse's settings. This file is the only reader of the environment; any value may also come from `NAME_FILE`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

from config.vendors import VENDORS

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str | None = None) -> str:
    """A setting from `NAME`, or from the file that `NAME_FILE` names. A missing one without default ends the start."""
    if name in os.environ:
        return os.environ[name]
    if name + "_FILE" in os.environ:
        return Path(os.environ[name + "_FILE"]).read_text().strip()
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. Start with `make up`, or set {name} (or {name}_FILE).")
    return default


def database(url: str) -> dict[str, Any]:
    """Django's database entry for `postgresql://user:password@host:port/name?host=/socket/directory`."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": options.pop("port", parts.port or ""),
        "OPTIONS": options,
        # Under ASGI every request has a thread of its own: a connection that is kept would never be used again, and two
        # hundred requests a minute would use up the server.
        "CONN_MAX_AGE": 0,
        # A pooler in transaction mode keeps neither prepared statements nor server-side cursors.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


def mail_server(url: str) -> SplitResult:
    """`smtp://user:password@host:port`, parsed; `smtps://` speaks TLS from the start, `?starttls=1` after it."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
        raise ImproperlyConfigured("CUSTOMHOUSE_SMTP_URL is smtp://user:password@host:port, or smtps://….")
    return parts


def derived(purpose: str) -> bytes:
    """32 bytes for one purpose, derived from the installation's secret: no key is used for two things."""
    return HKDF(SHA256(), 32, salt=None, info=b"customhouse/" + purpose.encode()).derive(SECRET.encode())


SECRET = env("CUSTOMHOUSE_SECRET")
SECRET_KEY = derived("django").hex()
API_KEY_PEPPER = derived("api-keys")
CREDENTIAL_KEY = derived("provider-credentials")
VAULT_KEY = derived("vault")
CACHE_KEY = derived("caches")
SEAL_KEY = derived("seals")
EXPORT_KEY = derived("exports")
RESPONSES_KEY = derived("kept-responses")
WEBHOOK_KEY = derived("webhooks")
VAULT_SEAL_KEY = derived("vault-seals")
ANSWER_KEY = derived("kept-answers")
INVITATION_KEY = derived("invitations")
FACTOR_KEY = derived("second-factors")
RECOVERY_KEY = derived("recovery-codes")
IDENTITY_KEY = derived("identity-providers")
BODIES_KEY = derived("bodies")
ERASURE_KEY = derived("erasures")

HOME = Path(env("CUSTOMHOUSE_HOME", str(BASE_DIR / "var"))).resolve()
PORT = int(env("CUSTOMHOUSE_PORT", "8000"))
DEBUG = env("CUSTOMHOUSE_DEBUG", "") == "1"
ALLOWED_HOSTS = env("CUSTOMHOUSE_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in env("CUSTOMHOUSE_ORIGINS", "").split(",") if origin]

DATABASE_URL = env("DATABASE_URL")
# Past a pooler in transaction mode: notices reach only who keeps a connection to the server itself.
DATABASE_DIRECT_URL = env("DATABASE_DIRECT_URL", DATABASE_URL)
REDIS_URL = env("REDIS_URL")
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # without its own site: ours is config.console
    "config.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "config",
    "tenants",
    "audit",
    "billing",
    "policies",
    "retrieval",
    "gateway",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tenants.isolation.middleware.ScopeMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["tenants.sign_in.PasswordBackend", "guardian.backends.ObjectPermissionBackend"]
PASSWORD_RESET_TIMEOUT = 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env("CUSTOMHOUSE_HTTPS", "") == "1"
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"

# Object permissions live behind the wall as well: guardian's rows carry the tenant.
ANONYMOUS_USER_NAME = None
GUARDIAN_USER_OBJ_PERMS_MODEL = "tenants.PersonPermission"
GUARDIAN_GROUP_OBJ_PERMS_MODEL = "tenants.GroupPermission"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "tenants.api.schema.Described",
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "COERCE_DECIMAL_TO_STRING": True,
    "EXCEPTION_HANDLER": "tenants.api.problems.handler",
}

CELERY = {
    "broker_url": REDIS_URL,
    "result_backend": None,
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    # A broker that hangs must not hold up who hands it work: that is stored, and housekeeping hands it out again.
    "broker_transport_options": {"visibility_timeout": 3600, "socket_timeout": 2, "socket_connect_timeout": 2},
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0},
    "timezone": "UTC",
    # What runs by itself; a run that nobody took in time is not made up for.
    "beat_schedule": {
        "audit.seal": {"task": "audit.seal", "schedule": 30.0, "options": {"expires": 30}},
        "audit.housekeeping": {"task": "audit.housekeeping", "schedule": 300.0, "options": {"expires": 300}},
        "audit.completeness": {"task": "audit.completeness", "schedule": 86400.0, "options": {"expires": 3600}},
        "billing.sweep": {"task": "billing.sweep", "schedule": 10.0, "options": {"expires": 10}},
        "billing.housekeeping": {"task": "billing.housekeeping", "schedule": 300.0, "options": {"expires": 300}},
        "billing.watch": {"task": "billing.watch", "schedule": 60.0, "options": {"expires": 60}},
        "billing.watch_days": {"task": "billing.watch_days", "schedule": 3600.0, "options": {"expires": 3600}},
        "billing.mail": {"task": "billing.mail", "schedule": 15.0, "options": {"expires": 15}},
        "billing.compact": {"task": "billing.compact", "schedule": 120.0, "options": {"expires": 120}},
        "retrieval.housekeeping": {"task": "retrieval.housekeeping", "schedule": 300.0, "options": {"expires": 300}},
        "tenants.webhooks": {"task": "tenants.webhooks", "schedule": 5.0, "options": {"expires": 5}},
        "tenants.invitations": {"task": "tenants.invitations", "schedule": 60.0, "options": {"expires": 60}},
        "gateway.forget": {"task": "gateway.forget", "schedule": 3600.0, "options": {"expires": 3600}},
        "retrieval.recount": {"task": "retrieval.recount", "schedule": 86400.0, "options": {"expires": 3600}},
    },
}

# Mail: reports and warnings. Without a server none is written.
_MAIL = mail_server(env("CUSTOMHOUSE_SMTP_URL", ""))
EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = _MAIL.hostname or "", _MAIL.port or 25, 20
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = _MAIL.scheme == "smtps", _MAIL.query == "starttls=1"
DEFAULT_FROM_EMAIL = env("CUSTOMHOUSE_MAIL_FROM", "customhouse@localhost")

# The data plane
REQUEST_MAX_BYTES = int(env("CUSTOMHOUSE_MAX_BODY", str(10 * 1024 * 1024)))
DEFAULT_MAX_TOKENS = 4096
# Answers of /v1/responses that a conversation may go on from.
RESPONSES_KEPT_DAYS = int(env("CUSTOMHOUSE_RESPONSES_DAYS", "30"))
# Hosts on private or loopback networks that a tenant's own provider may use; the platform's own providers may use any.
PRIVATE_HOSTS_ALLOWED = [host for host in env("CUSTOMHOUSE_PRIVATE_HOSTS", "").split(",") if host]
SCRIPTED_PROVIDER = env("CUSTOMHOUSE_SCRIPTED", "1") == "1"
WORKERS = int(env("CUSTOMHOUSE_WORKERS", "1"))
# Proxies in front of us whose x-forwarded-for tells the client's address.
TRUSTED_PROXIES = [proxy for proxy in env("CUSTOMHOUSE_TRUSTED_PROXIES", "127.0.0.1,::1").split(",") if proxy]

# Documents
EMBEDDER = env("CUSTOMHOUSE_EMBEDDER", "retrieval.ingest.embed.LocalEmbedder")
MODEL_DIR = Path(env("CUSTOMHOUSE_MODEL_DIR", str(HOME / "models")))
DATA_UPLOAD_MAX_MEMORY_SIZE = 50 * 1024 * 1024

# What evidence packs hold of apps above the trail: a function of two times (or None) that gives dictionaries.
EVIDENCE_POLICIES = "policies.services.in_force"
# Who finds and removes what is kept of a person, in each app (audit.erasure.Eraser).
ERASERS = [
    "audit.erasure.BodyEraser",
    "gateway.erasing.ResponseEraser",
    "policies.erasing.VaultEraser",
    "retrieval.erasing.DocumentEraser",
    "retrieval.erasing.FeedbackEraser",
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env("CUSTOMHOUSE_LOG_LEVEL", "WARNING")},
    "loggers": {"customhouse": {"level": env("CUSTOMHOUSE_LOG_LEVEL", "INFO")}},
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Customhouse management API",
    "DESCRIPTION": "Tenants, departments, keys, providers, models, policies, budgets, documents, audit and usage.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "tenants.roles.Role.choices",
        "TokenRoleEnum": "tenants.identity.ROLE_CHOICES",
    },
}

# Vendors whose keys are at hand become providers at `make up`: variable -> value.
VENDOR_KEYS = {vendor.variable: value for vendor in VENDORS if (value := env(vendor.variable, ""))}
