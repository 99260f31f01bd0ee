"""The Django settings of the clock.

Whatever an operator may change comes from the environment, with a default that is safe for localhost. The table of
these settings, with their types, limits and descriptions, is in `tournament/configuration/`: `table.py`, and
`redis_table.py` for those of Redis.

Raises:
    InvalidSetting: a variable has an invalid value.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

from clock.process.log_format import log_formatter
from tournament.configuration import redis_table, table
from tournament.configuration.redis_host import Sentinels, redis_host
from tournament.configuration.setting import changes, read

BASE_DIR = Path(__file__).resolve().parent.parent

# --- From the environment --------------------------------------------------------------------------------------------

REDIS_URL = read(redis_table.REDIS_URL)
REDIS_CA_FILE = read(redis_table.REDIS_CA_FILE)
REDIS_SENTINELS = read(redis_table.REDIS_SENTINELS)
REDIS_MASTER_NAME = read(redis_table.REDIS_MASTER_NAME)
REDIS_SENTINEL_USERNAME = read(redis_table.REDIS_SENTINEL_USERNAME)
REDIS_SENTINEL_PASSWORD = read(redis_table.REDIS_SENTINEL_PASSWORD)
CLOCK_REDIS_REPLICA_URL = read(redis_table.CLOCK_REDIS_REPLICA_URL)

CLOCK_NAMESPACE = read(table.CLOCK_NAMESPACE)
CLOCK_TIME_ZONE = read(table.CLOCK_TIME_ZONE)
CLOCK_MAX_STANDBY_OFFSET = read(table.CLOCK_MAX_STANDBY_OFFSET)
CLOCK_TICKER_METRICS_PORT = read(table.CLOCK_TICKER_METRICS_PORT)
CLOCK_TICKER_METRICS_ADDRESS = read(table.CLOCK_TICKER_METRICS_ADDRESS)
CLOCK_ALLOWED_ORIGINS = read(table.CLOCK_ALLOWED_ORIGINS)
CLOCK_ALLOW_MISSING_ORIGIN = read(table.CLOCK_ALLOW_MISSING_ORIGIN)
CLOCK_DRAIN_NOTICE = read(table.CLOCK_DRAIN_NOTICE)
CLOCK_DRAIN_SPREAD = read(table.CLOCK_DRAIN_SPREAD)
CLOCK_MAX_VIEWERS = read(table.CLOCK_MAX_VIEWERS)
CLOCK_MAX_VIEWERS_PER_ADDRESS = read(table.CLOCK_MAX_VIEWERS_PER_ADDRESS)
CLOCK_PAGE_RATE = read(table.CLOCK_PAGE_RATE)
CLOCK_TRUSTED_PROXIES = read(table.CLOCK_TRUSTED_PROXIES)
CLOCK_REQUEST_TIMEOUT = read(table.CLOCK_REQUEST_TIMEOUT)
CLOCK_IDLE_TIMEOUT = read(table.CLOCK_IDLE_TIMEOUT)
CLOCK_MAX_HEADER_SIZE = read(table.CLOCK_MAX_HEADER_SIZE)
CLOCK_MAX_CONTROL_FRAMES = read(table.CLOCK_MAX_CONTROL_FRAMES)
CLOCK_METRICS_PORT = read(table.CLOCK_METRICS_PORT)
CLOCK_FRAME_ANCESTORS = read(table.CLOCK_FRAME_ANCESTORS)
CLOCK_HTTPS = read(table.CLOCK_HTTPS)
CLOCK_LOG_LEVEL = read(table.CLOCK_LOG_LEVEL)
CLOCK_LOG_FORMAT = read(table.CLOCK_LOG_FORMAT)

DEBUG = read(table.DJANGO_DEBUG)
ALLOWED_HOSTS = read(table.DJANGO_ALLOWED_HOSTS)
SECRET_KEY = read(table.DJANGO_SECRET_KEY) or get_random_secret_key()

CLOCK_CHANGED_SETTINGS = changes(table.SETTINGS)  # for the log

# --- Fixed -----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # before staticfiles, so that `runserver` serves WebSockets
    "django.contrib.staticfiles",
    "csp",
    "clock",
    "ticker",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.common.CommonMiddleware",  # rejects unknown hosts
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "tournament.urls"
ASGI_APPLICATION = "tournament.asgi.application"
DATABASES: dict[str, dict[str, str]] = {}

_SENTINELS = Sentinels(REDIS_SENTINELS, REDIS_MASTER_NAME, REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD)


def _channel_layer(host: dict[str, Any]) -> dict[str, Any]:
    return {"BACKEND": "clock.redis.layer.TickLayer", "CONFIG": {"prefix": CLOCK_NAMESPACE, "hosts": [host]}}


# The layer "replica" exists only if there is a replica to subscribe to.
CHANNEL_LAYERS = {"default": _channel_layer(redis_host(REDIS_URL, ca_file=REDIS_CA_FILE, sentinels=_SENTINELS))}
if CLOCK_REDIS_REPLICA_URL:
    CHANNEL_LAYERS["replica"] = _channel_layer(
        redis_host(
            CLOCK_REDIS_REPLICA_URL,
            ca_file=REDIS_CA_FILE if CLOCK_REDIS_REPLICA_URL.startswith("rediss://") else "",
            sentinels=Sentinels([], REDIS_MASTER_NAME),
        )
    )

# In development a changed template shows at once, as a changed static file does.
_TEMPLATE_OPTIONS = {"loaders": ["django.template.loaders.app_directories.Loader"]} if DEBUG else {}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": not DEBUG,
        "OPTIONS": _TEMPLATE_OPTIONS,
    }
]

# Files with hashes in their names, built once and served from memory; in development, the sources themselves.
STATIC_URL = "static/"
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "tournament.static_files.build.HashedFiles"
    }
}

USE_TZ = True
TIME_ZONE = "UTC"

# Pages requested by HTTP redirect to HTTPS, and browsers remember that for 30 days. `/clock/now`, the stream,
# `/healthz` and `/readyz` do not pass through Django and never redirect.
SECURE_SSL_REDIRECT = CLOCK_HTTPS
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if CLOCK_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CLOCK_HTTPS else None
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # CSRF: there are no forms, sessions or users, and no request changes anything
    "security.W005",  # HSTS for subdomains: the clock does not know who owns them
    "security.W021",  # HSTS preload: it cannot be revoked
]

# The languages of the page: the English texts are in clock/texts.py, the translations in clock/locale.
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("ar", "Arabic"),
    ("de", "German"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("ja", "Japanese"),
    ("pt", "Portuguese"),
]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [NONE],
        "frame-ancestors": [NONE],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": log_formatter, "name": CLOCK_LOG_FORMAT}},
    "filters": {
        # Without ticks a worker answers every /clock/now with 503. The relay logs that, once.
        "not_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": CLOCK_LOG_LEVEL} for name in ("clock", "ticker", "tournament")},
        # Its receiver logs a traceback per second while Redis is unavailable. The relay logs that once.
        "channels_redis": {"level": "CRITICAL"},
        # Any client can cause a 404 or a disallowed Host as often as it likes.
        "django.request": {"level": "ERROR", "filters": ["not_503"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
