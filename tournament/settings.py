"""The settings of the clock: all from the environment, all with a default that is safe for localhost.

The README's table of settings is this file's, and a test holds the two together.
"""

from http import HTTPStatus
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

from tournament.configuration import environment
from tournament.configuration.redis_host import Sentinels, redis_host

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The knobs -------------------------------------------------------------------------------------------------------

# The Redis or Valkey server that carries the ticks.
REDIS_URL = environment.redis_url("REDIS_URL", "redis://127.0.0.1:6379")

# The authorities, as PEM, that sign the certificates of a `rediss://` server, beside those that the system knows.
REDIS_CA_FILE = environment.file("REDIS_CA_FILE", "")

# Where Sentinels say which server is the master: then REDIS_URL's own host and port are not used.
REDIS_SENTINELS = environment.addresses("REDIS_SENTINELS", "")
REDIS_MASTER_NAME = environment.text(
    "REDIS_MASTER_NAME",
    "clock",
    pattern=r"[A-Za-z0-9_.-]{1,50}",
    accepts="1 to 50 letters, digits, dots, dashes or underscores",
)
REDIS_SENTINEL_USERNAME = environment.text(
    "REDIS_SENTINEL_USERNAME", "", pattern=r"[^\s]{0,100}", accepts="up to 100 signs without blanks"
)
REDIS_SENTINEL_PASSWORD = environment.secret("REDIS_SENTINEL_PASSWORD", "")

# Before every channel and key, so that several clocks can share one server: pub/sub ignores Redis database numbers.
CLOCK_NAMESPACE = environment.text(
    "CLOCK_NAMESPACE",
    "clock",
    pattern=r"[A-Za-z0-9_.-]{1,50}",
    accepts="1 to 50 letters, digits, dots, dashes or underscores",
)

# The zone the time is told in. Only the ticker formats it; give workers the same, for the page says its name.
CLOCK_TIME_ZONE = environment.time_zone("CLOCK_TIME_ZONE", "UTC")

# Milliseconds by which a ticker's clock may be off that of the one that leads; beyond, it leads only if no other does.
CLOCK_MAX_STANDBY_OFFSET = environment.number(
    "CLOCK_MAX_STANDBY_OFFSET", 250, least=1, most=3_600_000, unit="milliseconds"
)

# Further origins whose pages may open the stream; the clock's own page always may.
CLOCK_ALLOWED_ORIGINS = environment.origins("CLOCK_ALLOWED_ORIGINS", "")

# Whether a client that sends no Origin may open the stream: programs do not, browsers always do.
CLOCK_ALLOW_MISSING_ORIGIN = environment.switch("CLOCK_ALLOW_MISSING_ORIGIN", default=False)

# Seconds that a worker which was told to stop goes on, not ready, so that every load balancer has noticed.
CLOCK_DRAIN_NOTICE = environment.number("CLOCK_DRAIN_NOTICE", 5, least=0, most=3600, unit="seconds")

# Seconds over which it then sends its viewers away.
CLOCK_DRAIN_SPREAD = environment.number("CLOCK_DRAIN_SPREAD", 5, least=0, most=3600, unit="seconds")

# Viewers that this worker takes; by default as many as its limit on open files has room for (see
# clock/broadcast/admission.py). 0 sets no limit.
CLOCK_MAX_VIEWERS = environment.number_or_auto("CLOCK_MAX_VIEWERS", "auto", least=0, most=1_000_000, unit="viewers")

# Viewers that this worker takes from one address. Off: behind one NAT or proxy there may be any number of them.
CLOCK_MAX_VIEWERS_PER_ADDRESS = environment.number(
    "CLOCK_MAX_VIEWERS_PER_ADDRESS", 0, least=0, most=1_000_000, unit="viewers"
)

# The proxies whose word on a viewer's address is taken.
CLOCK_TRUSTED_PROXIES = environment.networks("CLOCK_TRUSTED_PROXIES", "")

# Seconds for a request, from its connection or its first byte to the end of its headers. 0 sets no limit.
CLOCK_REQUEST_TIMEOUT = environment.number("CLOCK_REQUEST_TIMEOUT", 10, least=0, most=3600, unit="seconds")

# Seconds that an HTTP connection is kept between two requests. 0 sets no limit.
CLOCK_IDLE_TIMEOUT = environment.number("CLOCK_IDLE_TIMEOUT", 30, least=0, most=3600, unit="seconds")

# Bytes of a request's line and headers. 0 sets no limit.
CLOCK_MAX_HEADER_SIZE = environment.number("CLOCK_MAX_HEADER_SIZE", 16384, least=0, most=1_048_576, unit="bytes")

# Pings, pongs and the like that a client may send, a second. 0 sets no limit.
CLOCK_MAX_CONTROL_FRAMES = environment.number(
    "CLOCK_MAX_CONTROL_FRAMES", 20, least=0, most=1000, unit="frames a second"
)

# The port where Prometheus asks this worker for its metrics, beside its own and on the same address. 0 opens none.
CLOCK_METRICS_PORT = environment.port("CLOCK_METRICS_PORT", 0)

# Whose pages may put `/clock/embed` into a frame; the clock's other pages are in nobody's.
CLOCK_FRAME_ANCESTORS = environment.frame_ancestors("CLOCK_FRAME_ANCESTORS", "")

# DEBUG, INFO, WARNING, ERROR or CRITICAL. At INFO a line is a change of state, never a connection or a tick.
CLOCK_LOG_LEVEL = environment.choice("CLOCK_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))

# Whether browsers come by HTTPS, to a proxy that ends TLS and sets X-Forwarded-Proto, whatever it was sent there.
CLOCK_HTTPS = environment.switch("CLOCK_HTTPS", default=False)

# Tracebacks in the browser and a wildcard host: for development only.
DEBUG = environment.switch("DJANGO_DEBUG", default=False)

# The names this clock is reached by.
ALLOWED_HOSTS = environment.hosts("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", wildcard=DEBUG)

# Nothing here is signed: there are no sessions, forms or users. So a fresh key per process does no harm.
SECRET_KEY = environment.secret("DJANGO_SECRET_KEY") or get_random_secret_key()

# --- The wiring ------------------------------------------------------------------------------------------------------

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
    "django.middleware.common.CommonMiddleware",  # refuses unknown hosts
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "tournament.urls"
ASGI_APPLICATION = "tournament.asgi.application"
DATABASES: dict[str, dict[str, str]] = {}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "clock.redis.layer.TickLayer",
        "CONFIG": {
            "prefix": CLOCK_NAMESPACE,
            "hosts": [
                redis_host(
                    REDIS_URL,
                    ca_file=REDIS_CA_FILE,
                    sentinels=Sentinels(
                        REDIS_SENTINELS, REDIS_MASTER_NAME, REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD
                    ),
                )
            ],
        },
    }
}

# For development, a change of a template shows at once, as that of a file does.
_TEMPLATE_OPTIONS = {"loaders": ["django.template.loaders.app_directories.Loader"]} if DEBUG else {}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": not DEBUG,
        "OPTIONS": _TEMPLATE_OPTIONS,
    }
]

# Files with hashes in their names, built once and served from memory. For development, they are the sources themselves.
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

# A page that came by HTTP leads to HTTPS, and browsers keep to that for 30 days. (The time, its stream and a worker's
# health do not come through Django, and lead nowhere.)
SECURE_SSL_REDIRECT = CLOCK_HTTPS
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if CLOCK_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CLOCK_HTTPS else None
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # CSRF: there are no forms, sessions or users, and nothing that a request could change
    "security.W005",  # HSTS for subdomains: whose they are, a clock cannot know
    "security.W021",  # HSTS in browsers' own lists: cannot be taken back
]

# The languages of the page; the words are in clock/texts.py, and what they are in each language in clock/locale.
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
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        # A worker that hears no ticks answers 503 to everybody who asks for the time; the relay says so, once.
        "not_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": CLOCK_LOG_LEVEL} for name in ("clock", "ticker", "tournament")},
        # Its receiver logs a traceback a second while Redis is away; the relay says so once.
        "channels_redis": {"level": "CRITICAL"},
        # Anybody can ask for a page that is not there, or under another name, as often as they like.
        "django.request": {"level": "ERROR", "filters": ["not_503"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
