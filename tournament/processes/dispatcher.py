"""The dispatcher: accepts connections, and sends each to a worker.

It never does much at once: so many connections per call, and nothing while no worker can take them. Connections that
are not accepted wait in the kernel, whose queue is limited.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from clock.process.state_log import StateLog
from tournament.processes.balance import in_order
from tournament.processes.child import Child
from tournament.processes.listening import Listeners

logger = logging.getLogger(__name__)

# Connections that are accepted in one iteration of the event loop.
BATCH: Final = 64

# Seconds until a worker whose link was full is tried again. A link holds some hundred connections.
FULL_PAUSE_S: Final = 0.01

# The states of the dispatcher, as they are logged.
ACCEPTING: Final = "connections are accepted again"
WAITING: Final = "no worker takes connections: they wait"


class Dispatcher:
    """Sends the connections of some listening sockets to the children that `children` returns."""

    def __init__(self, listeners: Listeners, children: Callable[[], Iterable[Child]]) -> None:
        self._listeners = listeners
        self._children = children
        self._waiting: deque[socket.socket] = deque()  # accepted, and not sent to a child yet
        self._is_accepting = False
        self._is_closed = False
        self._turn = 0  # connections that were sent to children
        self._log = StateLog(logger)
        self._log.logged = ACCEPTING  # at first nothing is wrong

    def start(self) -> None:
        """Accept connections, if a child can take them. Call it regularly: a child may have become able to."""
        if self._is_closed:
            return
        if not self._send_waiting():
            self._pause()
        elif not self._is_accepting:
            self._is_accepting = True
            for listener in self._listeners.sockets:
                asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Listen no more. What waits is closed."""
        self._is_closed = True
        self._pause()
        self._listeners.close()
        while self._waiting:
            self._waiting.popleft().close()

    def keep(self, connections: Iterable[socket.socket]) -> None:
        """Send some accepted connections to a child as soon as there is one."""
        self._waiting.extend(connections)
        if self._is_closed:
            self.close()

    def _pause(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            for listener in self._listeners.sockets:
                asyncio.get_running_loop().remove_reader(listener)

    def _send_waiting(self) -> bool:
        """Send what waits. Return whether a child can take more."""
        if not in_order(self._children()):
            self._log.enter(WAITING, logging.WARNING, WAITING)
            return False
        while self._waiting:
            if not self._send(self._waiting[0]):
                return False
            self._waiting.popleft().close()
        self._log.enter(ACCEPTING, logging.INFO, ACCEPTING)
        return True

    def _accept(self, listener: socket.socket) -> None:
        """Accept some connections."""
        for _ in range(BATCH):
            if not in_order(self._children()):
                self._pause()
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):  # none is left, or it has been reset
                return
            except OSError as error:  # no descriptor or no memory is left
                self._log.enter("failing", logging.WARNING, f"no connection can be accepted: {error}")
                self._pause()
                return
            if self._send(connection):
                connection.close()
            else:
                self._waiting.append(connection)
                self._pause()
                asyncio.get_running_loop().call_later(FULL_PAUSE_S, self.start)
                return

    def _send(self, connection: socket.socket) -> bool:
        """Send a connection to the best child that has room for it."""
        self._turn += 1
        return any(child.send(connection, self._turn) for child in in_order(self._children()))
