"""Django settings, read from environment variables.

`docs/settings.md` has a row for each variable. With `DEBUG=0`, a secret that is
missing, too short or a development one stops the start.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from beam.config import environment
from beam.config.secrets import size_of
from beam.telemetry import logs

BASE_DIR = Path(__file__).resolve().parent.parent

DEV_SECRET_KEY = "beam-development-secret-key-never-for-production"  # noqa: S105
DEV_API_SECRET = "dev-secret"  # noqa: S105
DEV_TOKEN_SECRET = "beam-development-token-secret-never-for-production"  # noqa: S105
# A shorter secret can be guessed from one token.
SHORTEST_TOKEN_SECRET = 16
# A shorter secret can be guessed by requests.
SHORTEST_SECRET = 8


def _flag(name: str) -> bool:
    return environment.switch(os.environ, name)


def _list(name: str) -> tuple[str, ...]:
    items = (item.strip() for item in os.environ.get(name, "").split(","))
    return tuple(item for item in items if item)


def _secret(name: str, development: str) -> str:
    return os.environ.get(name, "").strip() or (development if DEBUG else "")


DEBUG = _flag("DEBUG")
HOST = os.environ.get("HOST", "").strip() or "127.0.0.1"
PORT = environment.port(os.environ.get("PORT", "").strip() or "5000", "PORT")
SECRET_KEY = _secret("SECRET_KEY", DEV_SECRET_KEY)
ALLOWED_HOSTS = list(_list("ALLOWED_HOSTS")) or (["*"] if DEBUG else [])
REDIS_URL = os.environ.get("REDIS_URL", "").strip()
BACKEND_URL = os.environ.get("BEAM_BACKEND_URL", "").strip()
API_SECRETS = _list("BEAM_API_SECRET") or ((DEV_API_SECRET,) if DEBUG else ())
TOKEN_KEYS = os.environ.get("BEAM_TOKEN_JWKS_URL") or os.environ.get(
    "BEAM_TOKEN_PUBLIC_KEY"
)
TOKEN_SECRETS = _list("BEAM_TOKEN_SECRET") or ((DEV_TOKEN_SECRET,) if DEBUG else ())


def _refuse_unsafe() -> None:
    """Raises `ImproperlyConfigured` with all secrets that are missing or too short."""
    lacking = [
        name
        for name, value, development in (
            ("SECRET_KEY", SECRET_KEY, DEV_SECRET_KEY),
            ("ALLOWED_HOSTS", ",".join(ALLOWED_HOSTS), None),
        )
        if not value or value == development
    ]
    if not API_SECRETS or DEV_API_SECRET in API_SECRETS:
        lacking.append("BEAM_API_SECRET")
    if DEV_TOKEN_SECRET in TOKEN_SECRETS or not (
        TOKEN_SECRETS or TOKEN_KEYS or BACKEND_URL
    ):
        lacking.append(
            "BEAM_TOKEN_SECRET (or BEAM_TOKEN_JWKS_URL, BEAM_TOKEN_PUBLIC_KEY, "
            "BEAM_BACKEND_URL)"
        )
    problems = []
    if lacking:
        problems.append(
            f"Set {', '.join(lacking)} in the environment: missing, or a development "
            "secret. For development run: DEBUG=1 python manage.py ... "
            "(it sets defaults for all of them); for production see docs/settings.md."
        )
    if short := _too_short():
        least = ", ".join(f"{name} {number}" for name, number in short.items())
        problems.append(
            f"Set {', '.join(short)} to a random string of 32 bytes or more, such as "
            f"`openssl rand -hex 32` prints; minimum lengths: {least}."
        )
    if problems:
        raise ImproperlyConfigured(" ".join(problems))


def _too_short() -> dict[str, int]:
    """Variables with an item that is too short, and their minimum lengths."""
    return {
        name: least
        for name, sizes, least in (
            ("SECRET_KEY", [len(SECRET_KEY or DEV_SECRET_KEY)], SHORTEST_SECRET),
            ("BEAM_API_SECRET", map(len, API_SECRETS), SHORTEST_SECRET),
            ("BEAM_TOKEN_SECRET", map(size_of, TOKEN_SECRETS), SHORTEST_TOKEN_SECRET),
        )
        if any(size < least for size in sizes)
    }


if not DEBUG:
    _refuse_unsafe()

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "beam.apps.BeamConfig",
    "presence",
    "rooms",
    # After `rooms`, whose templates and site it uses.
    "beam.apps.BeamAdminConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "beam.server.page_handler.DatabaseMiddleware",
]

ROOT_URLCONF = "beam.urls"
ASGI_APPLICATION = "beam.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    },
]

# Limits of libpq: for connecting (s), for unacknowledged data (ms), and keepalives of
# TCP (seconds until the first, seconds between two, number).
POSTGRESQL_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
STATEMENT_MILLISECONDS = 10_000
# Above the limit of the server, which a frozen server does not apply.
ANSWER_SECONDS = 15
DATABASE_KINDS = ("postgresql", "postgis", "sqlite3", "spatialite")
DJANGO_POSTGRESQL = "django.db.backends.postgresql"


def _parsed(url: str) -> dict[str, Any]:
    """Parse `DATABASE_URL`. No error quotes it: it contains a password."""
    try:
        found: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=0))
    except ValueError:
        found = {}
    is_known = found.get("ENGINE", "").rpartition(".")[2] in DATABASE_KINDS
    if is_known and (found.get("NAME") or "service" in found.get("OPTIONS", {})):
        return found
    raise ImproperlyConfigured(
        "DATABASE_URL must be postgres://USER:PASSWORD@HOST:PORT/NAME or "
        "sqlite:////PATH/beam.sqlite3; in a password, write / ? # @ % as "
        "%2F %3F %23 %40 %25."
    )


def _database() -> dict[str, Any]:
    """`DATABASE_URL`, with time limits for PostgreSQL unless it sets others.

    Connections are closed after each use: under ASGI each request has its own thread,
    and a connection that is kept for a thread would not be used again.
    """
    url = os.environ.get("DATABASE_URL", "").strip()
    found = _parsed(url or f"sqlite:///{BASE_DIR / 'beam.sqlite3'}")
    if found["ENGINE"].endswith((".postgresql", ".postgis")):
        _limit(found)
    return found


def _limit(database: dict[str, Any]) -> None:
    options = POSTGRESQL_OPTIONS | database.setdefault("OPTIONS", {})
    given = options.get("options", "")
    if "statement_timeout" not in given:
        limit = f"-c statement_timeout={STATEMENT_MILLISECONDS}"
        options["options"] = f"{given} {limit}".strip()
        if database["ENGINE"] == DJANGO_POSTGRESQL:
            options["answer_seconds"] = ANSWER_SECONDS
    if database["ENGINE"] == DJANGO_POSTGRESQL:
        database["ENGINE"] = "beam.postgresql"
    database["OPTIONS"] = options


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

BEAM: dict[str, Any] = environment.from_environment(os.environ) | {
    "api_secrets": API_SECRETS,
    "token_secrets": TOKEN_SECRETS,
    "backend_url": BACKEND_URL,
    "redis_url": REDIS_URL,
    "allowed_origins": _list("BEAM_ALLOWED_ORIGINS") or (None if DEBUG else ()),
}

if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "beam.redis.channel_layer.RedisLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "beam.redis.channel_layer.InProcessLayer"}}

# Cookies of admins.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
# Not the names of Django: another site on the same host would log admins out.
SESSION_COOKIE_NAME = "beam_sessionid"
CSRF_COOKIE_NAME = "beam_csrftoken"
# Messages are in the session: their cookie would have the name of Django, too.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3_600
CSRF_TRUSTED_ORIGINS = list(_list("CSRF_TRUSTED_ORIGINS"))
# With trusted proxies, TLS may end there: they send the scheme.
if BEAM.get("trusted_proxies", 0) > 0:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# The API has its own limits for bodies, and answers 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000

SPECTACULAR_SETTINGS = {
    "TITLE": "Beam",
    "DESCRIPTION": "The HTTP API for backends. Requests need a secret or an API key.",
    "VERSION": "1",
    "TAGS": [
        {
            "name": "Events",
            "description": "Send events to all members of rooms, or to some.",
        },
        {
            "name": "Rooms",
            "description": "List, close and open rooms; list and remove members.",
        },
        {"name": "Users", "description": "Close the connections of a user."},
        {"name": "Service", "description": "List processes, check credentials."},
    ],
    "ENUM_NAME_OVERRIDES": {"ErrorCode": "rooms.api.openapi.ERROR_CODES"},
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "secret": {"type": "apiKey", "in": "header", "name": "secret"},
            "key": {"type": "http", "scheme": "bearer"},
        }
    },
    "SECURITY": [{"secret": []}, {"key": []}],
}

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "rooms.api.errors.answer_error",
    "UNAUTHENTICATED_USER": None,
    # `?format=` has no special meaning.
    "URL_FORMAT_OVERRIDE": None,
}

LOGGING = logs.config(as_json=not _flag("BEAM_LOG_TEXT") and not DEBUG)
