"""`/healthz` and `/readyz`: what load balancers ask a worker.

One that is alive can show the page, and say on it that no ticks come. One that is ready is worth sending viewers to.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from clock.apps import worker_admission, worker_relay
from clock.page import Answer, page
from clock.status import server_status

# Milliseconds: a worker whose last tick is older is not ready.
FRESH: Final = 1000.0


@page
def healthz(_scope: Any) -> Answer:
    """Say that this worker is alive, whether ticks come or not."""
    return Answer(HTTPStatus.OK, b"alive\n", b"text/plain")


@page
def readyz(scope: Any) -> Answer:
    """Say whether this worker is to be sent new viewers: `{"ready": false, "reasons": ["no tick for 2.3 s"]}`.

    200 if so, and 503 with the reasons if not.
    """
    reasons = reasons_against(scope)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Answer(status, json.dumps({"ready": not reasons, "reasons": reasons}).encode())


def reasons_against(scope: Any) -> list[str]:
    """Return why this worker is not ready; nothing if it is. `scope` is that of the request that asks."""
    return [reason for reason in (ask(scope) for ask in _REASONS) if reason]


def _silence(_scope: Any) -> str | None:
    instant = worker_relay().instant()
    if instant is None:
        return "no tick yet"
    return f"no tick for {instant.age / 1000:.1f} s" if instant.age >= FRESH else None


def _drain(scope: Any) -> str | None:
    status = server_status(scope)
    return "draining" if status is not None and status.draining else None


def _crowd(_scope: Any) -> str | None:
    return "full" if worker_admission().is_full else None


# Each says what speaks against it, or None.
_REASONS: Final[tuple[Callable[[Any], str | None], ...]] = (_silence, _drain, _crowd)
