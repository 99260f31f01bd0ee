"""The web worker: Daphne, with its own command line and options, made fit for a crowd that stays.

    python -m tournament.server -p 8001 tournament.asgi:application

Beyond Daphne's own it starts and stops the application by ASGI's lifespan protocol, takes thousands of connections at
once, and says why it closes one.
"""

import asyncio
import gc
import logging
import resource
from typing import Any, Final

# Daphne first: it installs Twisted's asyncio reactor, which nothing may import before.
from daphne.cli import CommandLineInterface
from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketProtocol as DaphneWebSocketProtocol

# isort: split
from autobahn.websocket.types import ConnectionDeny
from twisted.internet import defer, reactor

logger = logging.getLogger("tournament.server")  # also where it is run as the main program

# Connections that the kernel holds until the worker takes them. Twisted's own is 50, which a crowd that comes back at
# once overruns; the kernel cuts it to net.core.somaxconn.
BACKLOG: Final = 4096

# Bytes. A client of the clock sends nothing, so there is no reason to take in more than it takes to say so.
MAX_MESSAGE_SIZE: Final = 1024


class WebSocketProtocol(DaphneWebSocketProtocol):
    """One WebSocket connection."""

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Know the server from the start: Daphne's `onClose` needs it even where the handshake fails."""
        self.server = self.factory.server_class
        super().connectionMade()

    def onConnect(self, request: Any) -> Any:  # noqa: N802 - Autobahn's name
        """Refuse what Daphne would stumble over: it reads the subprotocols as ASCII."""
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "Sec-WebSocket-Protocol must be ASCII")
        return super().onConnect(request)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803 - Autobahn's names
        """Hand on a message, unless this side has closed: what comes after that concerns nobody."""
        if self.state == self.STATE_OPEN:
            super().onMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001, N802, N803
        """Tell the application, if the connection ever got as far as that."""
        if self in self.server.connections:
            super().onClose(wasClean, code, reason)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Pass the reason of a close on to the client, which Daphne drops."""
        if message["type"] == "websocket.close" and self.state == self.STATE_OPEN:
            self.sendClose(message.get("code", 1000), message.get("reason"))
        else:
            super().handle_reply(message)


class Server(DaphneServer):
    """Daphne's server, with a lifespan."""

    def __init__(self, application: Any, endpoints: list[str], **options: Any) -> None:
        super().__init__(application, [with_backlog(endpoint) for endpoint in endpoints], **options)
        self._lifespan_messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Serve until told to stop."""
        raise_open_file_limit()
        reactor.callWhenRunning(self._start)
        reactor.addSystemEventTrigger("before", "shutdown", self._end)
        super().run()

    def _start(self) -> None:
        self.ws_factory.protocol = WebSocketProtocol
        self._lifespan = asyncio.get_event_loop().create_task(self._live(), name="lifespan")
        self._lifespan_messages.put_nowait({"type": "lifespan.startup"})
        # What is loaded by now is here to stay: the collector need not walk it while a tick waits.
        gc.collect()
        gc.freeze()

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}

        async def send(_message: dict[str, Any]) -> None:
            """Nobody waits for the answers: connections are taken meanwhile, and an error is logged below."""

        try:
            await self.application(scope, self._lifespan_messages.get, send)
        except Exception:
            logger.exception("the application ended its lifespan early")

    def _end(self) -> Any:
        if self._lifespan is None:
            return None
        self._lifespan_messages.put_nowait({"type": "lifespan.shutdown"})
        return defer.Deferred.fromFuture(self._lifespan)

    def listen_success(self, port: Any) -> None:
        """Say where the clock is to be seen."""
        super().listen_success(port)
        address = port.getHost()
        if hasattr(address, "port"):
            host = f"[{address.host}]" if ":" in address.host else address.host
            logger.info("listening on http://%s:%d/clock/", host, address.port)
        else:
            logger.info("listening on %s", address)


class CommandLine(CommandLineInterface):
    """Daphne's command line, with the defaults of a clock. All of its options are there."""

    description = "The clock's web worker: Daphne, with a relay that starts with it"
    server_class = Server

    def __init__(self) -> None:
        super().__init__()
        self.parser.set_defaults(
            verbosity=0,  # nothing is logged per connection; `-v 1` brings Daphne's access log back
            websocket_timeout=-1,  # a clock hangs on its wall for weeks
            websocket_max_message_size=MAX_MESSAGE_SIZE,
            websocket_max_frame_size=MAX_MESSAGE_SIZE,
        )


def with_backlog(endpoint: str) -> str:
    """Return a Twisted endpoint description with a backlog fit for a crowd, unless it names one or cannot have one."""
    if endpoint.startswith(("tcp:", "ssl:")) and "backlog=" not in endpoint:
        return f"{endpoint}:backlog={BACKLOG}"
    return endpoint


def raise_open_file_limit() -> None:
    """Let this process have as many open files, and so connections, as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    CommandLine.entrypoint()
