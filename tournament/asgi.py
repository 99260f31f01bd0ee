"""The map: which application answers what. Pages go to Django, static files to memory, and the rest to the clock."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
pages = get_asgi_application()  # first, because the imports below need Django to be set up

from clock.broadcast.consumer import ClockConsumer  # noqa: E402
from clock.endpoints.health import healthz, readyz  # noqa: E402
from clock.endpoints.lifespan import lifespan  # noqa: E402
from clock.endpoints.now import now  # noqa: E402
from clock.endpoints.repeatable import Repeatable  # noqa: E402
from clock.endpoints.routers import HttpRouter, ProtocolRouter, WebSocketRouter  # noqa: E402
from tournament.server.adapter import request_guard  # noqa: E402
from tournament.static_files.application import StaticFiles  # noqa: E402

request_guard.install()
files_and_pages = StaticFiles(otherwise=pages)
application = ProtocolRouter(
    {
        "http": HttpRouter(
            {"/clock/now": now, "/healthz": healthz, "/readyz": readyz},
            # For a developer, files change.
            otherwise=files_and_pages if settings.DEBUG else Repeatable(files_and_pages),
        ),
        "websocket": WebSocketRouter({"/ws/clock/": ClockConsumer.as_asgi()}),
        "lifespan": lifespan,
    }
)
