"""The clock's application with more paths, by which a test does harm inside the worker's process."""

import asyncio
import json
from typing import Any

from clock.broadcast.worker import current_worker
from tournament.asgi import application as clock


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer these paths, and pass everything else to the clock.

    `/cancel/NAME` cancels the background tasks of that name, `/fail` raises, `/give-up` makes the relay's supervisor
    give up, and `/tasks` counts the tasks of each name.
    """
    if scope["type"] != "http":
        await clock(scope, receive, send)
        return
    answer = b""
    match scope["path"].split("/")[1:]:
        case ["cancel", name]:
            for task in asyncio.all_tasks():
                if task.get_name() == name.replace("%20", " "):
                    task.cancel()
        case ["fail"]:
            raise ZeroDivisionError
        case ["give-up"]:
            current_worker.relay.supervisor.give_up("a test says so")
        case ["tasks"]:
            names = [task.get_name() for task in asyncio.all_tasks()]
            answer = json.dumps({name: names.count(name) for name in names if not name.startswith("Task-")}).encode()
        case _:
            await clock(scope, receive, send)
            return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})
