"""The table of all settings: `settings.py` reads them from here, and `docs/configuration.md` is generated from it."""

from typing import Any, Final

from clock.process.log_format import FORMATS
from tournament.configuration.network_parsers import (
    Hosts,
    IpAddress,
    Networks,
    Origins,
)
from tournament.configuration.parsers import (
    Choice,
    NumberOrAuto,
    RateOfPages,
    SecretText,
    Switch,
    Text,
    TimeZone,
    WholeNumber,
)
from tournament.configuration.redis_table import NAME, REDIS_SETTINGS
from tournament.configuration.setting import Setting, read

_WORKER: Final = ("worker",)

_UP_TO_AN_HOUR: Final = WholeNumber(minimum=0, maximum=3600, unit="seconds")
_TIMEOUT: Final = WholeNumber(minimum=0, maximum=3600, unit="seconds", zero="unlimited")
_PORT: Final = WholeNumber(minimum=0, maximum=65_535, zero="that no port is opened")
_VIEWERS: Final = WholeNumber(minimum=0, maximum=1_000_000, unit="viewers", zero="unlimited")

CLOCK_NAMESPACE: Final = Setting(
    name="CLOCK_NAMESPACE",
    parser=NAME,
    default="clock",
    description="The prefix of every channel and key. It lets several clocks share one Redis, because pub/sub ignores"
    " database numbers.",
)
CLOCK_TIME_ZONE: Final = Setting(
    name="CLOCK_TIME_ZONE",
    parser=TimeZone(),
    default="UTC",
    description="The zone of the time. The ticker formats it, and the page shows its name: set the same for all"
    " processes.",
)
CLOCK_MAX_STANDBY_OFFSET: Final = Setting(
    name="CLOCK_MAX_STANDBY_OFFSET",
    parser=WholeNumber(minimum=1, maximum=3_600_000, unit="milliseconds"),
    default="250",
    used_by=("ticker",),
    description="How far the clock of a standby may be off that of the leader. Beyond that, it becomes the leader only"
    " if no other ticker does for 3 s.",
)
CLOCK_TICKER_METRICS_PORT: Final = Setting(
    name="CLOCK_TICKER_METRICS_PORT",
    parser=_PORT,
    default="0",
    used_by=("ticker",),
    compose_default="9101",
    compose_note="open in the Compose network only, neither published nor balanced",
    description="The TCP port of a ticker's `/metrics` and `/healthz`. Several tickers on one host need different"
    " ports.",
)
CLOCK_TICKER_METRICS_ADDRESS: Final = Setting(
    name="CLOCK_TICKER_METRICS_ADDRESS",
    parser=IpAddress(),
    default="0.0.0.0",
    used_by=("ticker",),
    description="The address of that port.",
)
CLOCK_ALLOWED_ORIGINS: Final = Setting(
    name="CLOCK_ALLOWED_ORIGINS",
    parser=Origins(for_frames=False),
    used_by=_WORKER,
    description="Further origins whose pages may open the stream. The clock's own page always may. Write an"
    " international host name in its `xn--` form.",
)
CLOCK_ALLOW_MISSING_ORIGIN: Final = Setting(
    name="CLOCK_ALLOW_MISSING_ORIGIN",
    parser=Switch(),
    default="off",
    used_by=_WORKER,
    description="Whether a client without an `Origin` header may open the stream. Browsers always send one, other"
    " programs usually do not.",
)
CLOCK_DRAIN_NOTICE: Final = Setting(
    name="CLOCK_DRAIN_NOTICE",
    parser=_UP_TO_AN_HOUR,
    default="5",
    used_by=_WORKER,
    description="How long a worker that was told to stop continues to serve while it reports that it is not ready. Set"
    " it to more than the load balancer's health checks take to notice; 0 means no notice.",
)
CLOCK_DRAIN_SPREAD: Final = Setting(
    name="CLOCK_DRAIN_SPREAD",
    parser=_UP_TO_AN_HOUR,
    default="5",
    used_by=_WORKER,
    description="The time over which the worker then disconnects its viewers; 0 means all at once.",
)
CLOCK_MAX_VIEWERS: Final = Setting(
    name="CLOCK_MAX_VIEWERS",
    parser=NumberOrAuto(
        _VIEWERS, "as many as its core can serve, and at most 46 % of the worker's limit on open files"
    ),
    default="auto",
    used_by=_WORKER,
    description="The number of viewers that a worker accepts.",
)
CLOCK_MAX_VIEWERS_PER_ADDRESS: Final = Setting(
    name="CLOCK_MAX_VIEWERS_PER_ADDRESS",
    parser=_VIEWERS,
    default="0",
    used_by=_WORKER,
    description="The number of viewers that a worker accepts from one IPv4 address or one IPv6 network (/64). It is"
    " unlimited by default, because many viewers may be behind one NAT or proxy.",
)
CLOCK_PAGE_RATE: Final = Setting(
    name="CLOCK_PAGE_RATE",
    parser=RateOfPages(),
    default="auto",
    used_by=_WORKER,
    description="The frames per second that pages request, unless their address says otherwise. With auto the worker"
    " chooses: the highest rate that its load allows.",
)
CLOCK_TRUSTED_PROXIES: Final = Setting(
    name="CLOCK_TRUSTED_PROXIES",
    parser=Networks(),
    used_by=_WORKER,
    description="Networks of the proxies whose `X-Forwarded-For` header is trusted.",
)
CLOCK_REQUEST_TIMEOUT: Final = Setting(
    name="CLOCK_REQUEST_TIMEOUT",
    parser=_TIMEOUT,
    default="10",
    used_by=_WORKER,
    description="Timeout of a request or handshake, from its connection or its first byte to the end of its headers.",
)
CLOCK_IDLE_TIMEOUT: Final = Setting(
    name="CLOCK_IDLE_TIMEOUT",
    parser=_TIMEOUT,
    default="90",
    used_by=_WORKER,
    description="Timeout of an HTTP connection between two requests. A page asks for the time every 10 to 80 s, and"
    " an open connection makes that cheap.",
)
CLOCK_MAX_HEADER_SIZE: Final = Setting(
    name="CLOCK_MAX_HEADER_SIZE",
    parser=WholeNumber(minimum=0, maximum=1_048_576, unit="bytes", zero="unlimited"),
    default="16384",
    used_by=_WORKER,
    description="Size of a request's first line and headers.",
)
CLOCK_MAX_CONTROL_FRAMES: Final = Setting(
    name="CLOCK_MAX_CONTROL_FRAMES",
    parser=WholeNumber(minimum=0, maximum=1000, unit="frames per second", zero="unlimited"),
    default="20",
    used_by=_WORKER,
    description="Rate of the pings, pongs and other control frames that a client may send.",
)
CLOCK_METRICS_PORT: Final = Setting(
    name="CLOCK_METRICS_PORT",
    parser=_PORT,
    default="0",
    used_by=_WORKER,
    compose_default="9100",
    compose_note="open in the Compose network only, neither published nor balanced",
    description="The TCP port of `/metrics`, on the same address as the worker's main port. With `--processes` it is"
    " that of the first worker, and those of the others follow.",
)
CLOCK_FRAME_ANCESTORS: Final = Setting(
    name="CLOCK_FRAME_ANCESTORS",
    parser=Origins(for_frames=True),
    used_by=_WORKER,
    description="Origins whose pages may embed `/clock/embed` in a frame. No page may embed the clock's other pages.",
)
CLOCK_HTTPS: Final = Setting(
    name="CLOCK_HTTPS",
    parser=Switch(),
    default="off",
    used_by=_WORKER,
    description="Whether browsers use HTTPS, through a proxy that ends TLS and always sets `X-Forwarded-Proto`.",
)
CLOCK_LOG_LEVEL: Final = Setting(
    name="CLOCK_LOG_LEVEL",
    parser=Choice(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    default="INFO",
    description="The lowest level that is logged. At `INFO` a line is a change of state, never a connection or a tick.",
)
CLOCK_LOG_FORMAT: Final = Setting(
    name="CLOCK_LOG_FORMAT",
    parser=Text("|".join(FORMATS), f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"),
    default="auto",
    description="The format of the log: text is key=value, json is a JSON object per line, and auto is text if standard"
    " error is a terminal, else json.",
)
DJANGO_DEBUG: Final = Setting(
    name="DJANGO_DEBUG",
    parser=Switch(),
    default="off",
    used_by=_WORKER,
    in_compose=False,
    description="Tracebacks in the browser, and static files and templates that are read again for each request. For"
    " development only.",
)
DJANGO_ALLOWED_HOSTS: Final = Setting(
    name="DJANGO_ALLOWED_HOSTS",
    parser=Hosts(is_wildcard_allowed=lambda: read(DJANGO_DEBUG)),
    default="localhost,127.0.0.1,[::1]",
    used_by=_WORKER,
    compose_prefix="localhost,127.0.0.1,[::1],lb,",
    compose_default="",
    compose_note="always with the names that the health checks and `watch` use",
    description="The names by which clients reach this clock.",
)
DJANGO_SECRET_KEY: Final = Setting(
    name="DJANGO_SECRET_KEY",
    parser=SecretText(),
    default_note="random, new in each process",
    used_by=_WORKER,
    secret=True,
    description="Django's secret key. The clock signs nothing, so a new key in each process does no harm.",
)

# In the order of the document: the broker, the clock, the workers, Django.
SETTINGS: Final[tuple[Setting[Any], ...]] = (
    *REDIS_SETTINGS,
    *(value for value in globals().values() if isinstance(value, Setting)),
)
