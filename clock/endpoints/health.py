"""`/healthz` and `/readyz`: liveness and readiness for load balancers and Kubernetes, under any Host.

A live worker can serve the page, even if the page has to say that no ticks arrive. A ready worker can take new viewers.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from clock.asgi import ServerStatus, server_status
from clock.broadcast.worker import current_worker
from clock.endpoints.endpoint import Content, endpoint

# With an older last tick, a worker is not ready.
MAX_TICK_AGE_MS: Final = 1000.0

# With its relay down for longer, a worker is not live: it will not recover without a restart.
MAX_RELAY_DOWN_S: Final = 10.0


@endpoint(any_host=True)
def healthz(_scope: Any) -> Content:
    """Return 200 if this worker is live, with or without ticks; 503 if its relay is down."""
    if current_worker.relay.down_for() >= MAX_RELAY_DOWN_S:
        return Content(HTTPStatus.SERVICE_UNAVAILABLE, b"the relay is not running\n", b"text/plain")
    return Content(HTTPStatus.OK, b"alive\n", b"text/plain")


@endpoint(any_host=True)
def readyz(scope: Any) -> Content:
    """Return 200 if this worker is ready for new viewers; else 503 with the reasons.

    The body is JSON: `{"ready": false, "reasons": ["no tick for 2.3 s"]}`.
    """
    reasons = unready_reasons(server_status(scope))
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Content(status, json.dumps({"ready": not reasons, "reasons": reasons}).encode())


def unready_reasons(status: ServerStatus | None) -> list[str]:
    """Return why this worker is not ready, or an empty list. `status` is its server's, if the server has one."""
    return [reason for reason in (check(status) for check in _CHECKS) if reason]


def _check_ticks(_status: ServerStatus | None) -> str | None:
    instant = current_worker.relay.instant()
    if instant is None:
        return "no tick yet"
    return f"no tick for {instant.age / 1000:.1f} s" if instant.age >= MAX_TICK_AGE_MS else None


def _check_drain(status: ServerStatus | None) -> str | None:
    return "draining" if status is not None and status.draining else None


def _check_room(_status: ServerStatus | None) -> str | None:
    return "full" if current_worker.admission.is_full else None


# Each returns a reason against readiness, or None.
_CHECKS: Final[tuple[Callable[[ServerStatus | None], str | None], ...]] = (_check_ticks, _check_drain, _check_room)
