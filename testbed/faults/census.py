"""The clock's application with one more path, by which a test counts what is in the worker's process.

`/census` collects garbage first; `/census?as-it-is` does not.
"""

import asyncio
import gc
import json
import os
from typing import Any

from tournament.asgi import application as clock


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer `/census`, and pass everything else to the clock."""
    if scope["type"] != "http" or scope["path"] != "/census":
        await clock(scope, receive, send)
        return
    if scope["query_string"] != b"as-it-is":
        gc.collect()
    counted = {
        "objects": len(gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - only the number counts
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(counted).encode()})
