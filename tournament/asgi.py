"""The map: pages to Django, static files to memory, the time and its stream to the clock."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
pages = get_asgi_application()  # before what follows, which needs Django to be set up

from clock.broadcast.consumer import ClockConsumer  # noqa: E402
from clock.endpoints.health import healthz, readyz  # noqa: E402
from clock.endpoints.lifespan import lifespan  # noqa: E402
from clock.endpoints.now import now  # noqa: E402
from clock.endpoints.routers import HttpRouter, ProtocolRouter, WebSocketRouter  # noqa: E402
from tournament.server import web_request  # noqa: E402
from tournament.static_files.application import StaticFiles  # noqa: E402

web_request.install()
application = ProtocolRouter(
    {
        "http": HttpRouter(
            {"/clock/now": now, "/healthz": healthz, "/readyz": readyz},
            otherwise=StaticFiles(otherwise=pages),
        ),
        "websocket": WebSocketRouter({"/ws/clock/": ClockConsumer.as_asgi()}),
        "lifespan": lifespan,
    }
)
