"""`/healthz` and `/readyz`: what load balancers and Kubernetes ask a worker, by any name or address.

One that is alive can show the page, and say on it that no ticks come. One that is ready is worth sending viewers to.
"""

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from clock.asgi import ServerStatus, server_status
from clock.broadcast.worker import this_worker
from clock.endpoints.endpoint import Answer, page

# Milliseconds: a worker whose last tick is older is not ready.
FRESH: Final = 1000.0

# Seconds: a worker whose relay has not been running for so long does not come back by itself.
DOWN: Final = 10.0


@partial(page, any_host=True)
def healthz(_scope: Any) -> Answer:
    """Say that this worker is alive, whether ticks come or not; or 503, if its relay does not run any more."""
    if this_worker.relay.down_for() >= DOWN:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the relay is not running\n", b"text/plain")
    return Answer(HTTPStatus.OK, b"alive\n", b"text/plain")


@partial(page, any_host=True)
def readyz(scope: Any) -> Answer:
    """Say whether this worker is to be sent new viewers: `{"ready": false, "reasons": ["no tick for 2.3 s"]}`.

    200 if so, and 503 with the reasons if not.
    """
    reasons = reasons_against(server_status(scope))
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Answer(status, json.dumps({"ready": not reasons, "reasons": reasons}).encode())


def reasons_against(status: ServerStatus | None) -> list[str]:
    """Return why this worker is not ready; nothing if it is. `status` is its server's, if that has any."""
    return [reason for reason in (ask(status) for ask in _REASONS) if reason]


def _silence(_status: ServerStatus | None) -> str | None:
    instant = this_worker.relay.instant()
    if instant is None:
        return "no tick yet"
    return f"no tick for {instant.age / 1000:.1f} s" if instant.age >= FRESH else None


def _drain(status: ServerStatus | None) -> str | None:
    return "draining" if status is not None and status.draining else None


def _crowd(_status: ServerStatus | None) -> str | None:
    return "full" if this_worker.admission.is_full else None


# Each says what speaks against it, or None.
_REASONS: Final[tuple[Callable[[ServerStatus | None], str | None], ...]] = (_silence, _drain, _crowd)
