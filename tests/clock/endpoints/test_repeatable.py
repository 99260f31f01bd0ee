"""What the server may repeat: whole answers to GET that are no errors, and only if the server offers it."""

from typing import Any

import pytest

from clock.asgi import REPEATED_REQUEST, Answer
from clock.endpoints.repeatable import Repeatable

HEADERS = [(b"etag", b"1")]


class Exchange:
    """A request to a repeatable application, what it sends, and what it has the server repeat."""

    def __init__(self, method: str = "GET", *, offered: bool = True) -> None:
        self.sent: list[Any] = []
        self.answers: list[Answer] = []
        self.offered_before_the_end = False
        extension = {"answer_with": self.answers.append}
        self.scope: dict[str, Any] = {"type": "http", "method": method}
        if offered:
            self.scope |= {"extensions": {REPEATED_REQUEST: extension}}

    async def send(self, message: Any) -> None:
        """Record a message."""
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.offered_before_the_end = bool(self.answers)

    async def run(self, status: int) -> None:
        """Serve the request with a response in two parts."""

        async def application(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": HEADERS})
            await send({"type": "http.response.body", "body": b"one ", "more_body": True})
            await send({"type": "http.response.body", "body": b"two"})

        await Repeatable(application)(self.scope, None, self.send)
        assert [message.get("body") for message in self.sent] == [None, b"one ", b"two"]


@pytest.mark.parametrize("status", [200, 304])
async def test_an_answer_is_repeated(status: int) -> None:
    """With its status, its headers and its body. The server is told before the response is complete."""
    exchange = Exchange()
    await exchange.run(status)
    (answer,) = exchange.answers
    assert answer() == (status, HEADERS, b"one two")
    assert exchange.offered_before_the_end


@pytest.mark.parametrize("status", [301, 400, 404, 405, 500])
async def test_errors_and_redirects_are_not_repeated(status: int) -> None:
    """The application answers each of them."""
    exchange = Exchange()
    await exchange.run(status)
    assert not exchange.answers


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_only_get_is_repeated(method: str) -> None:
    """The response to HEAD has no body."""
    exchange = Exchange(method)
    await exchange.run(200)
    assert not exchange.answers


async def test_a_server_without_the_extension() -> None:
    """Plain Daphne and Uvicorn have none."""
    exchange = Exchange(offered=False)
    await exchange.run(200)
    assert not exchange.answers
