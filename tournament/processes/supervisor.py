"""The supervisor: starts the workers, restarts those that end, replaces all of them in turn, and stops them.

It does everything in `check`, which is called ten times a second, and in the methods that signals call.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from clock.process.lifetime import this_process
from clock.process.restart_policy import RestartPolicy
from tournament.processes.child import Child, Start

logger = logging.getLogger(__name__)

# Seconds before a worker that ended is started again: the first time, and at most.
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0

# Seconds that a successor has to become ready while another worker is.
READY_TIMEOUT_S: Final = 60.0


class Dispatcher(Protocol):
    """What accepts the connections, and sends them to the children."""

    def start(self) -> None:
        """Accept connections, if a child can take them."""

    def keep(self, connections: Iterable[socket.socket]) -> None:
        """Send some accepted connections to a child as soon as there is one."""

    def close(self) -> None:
        """Listen no more."""


class Place:
    """One of the workers that there should be: the child that is that worker now, and its failures."""

    def __init__(self, number: int, now: Callable[[], float]) -> None:
        self.number = number
        self.child: Child | None = None
        self.policy = RestartPolicy(FIRST_PAUSE_S, LONGEST_PAUSE_S, now=now)
        self.start_at = now()


class Supervisor:
    """Keeps `count` workers running, which `start` starts. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        count: int,
        start: Start,
        make_dispatcher: Callable[[Callable[[], Iterable[Child]]], Dispatcher],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_over = False
        self.exit_code = 0
        self._start = start
        self._dispatcher = make_dispatcher(self.children)
        self._now = now
        self._places = [Place(number, now) for number in range(1, count + 1)]
        self._leaving: list[Child] = []  # replaced, and not over yet
        self._to_replace: list[Place] = []
        self._newcomer: Child | None = None  # will replace the child of the first of these
        self._newcomer_started_at = 0.0
        self._has_served = False  # a worker has started once, so the settings are valid
        self._is_stopping = False

    def children(self) -> list[Child]:
        """Return all children that run."""
        own = [place.child for place in self._places if place.child is not None]
        return [*own, *self._leaving, *([self._newcomer] if self._newcomer is not None else [])]

    # --- Called by signals ---

    def replace_all(self) -> None:
        """Replace the workers one after the other: each is sent away when its successor is ready."""
        if self._is_stopping or not self._has_served:
            return
        if self._to_replace:
            logger.info("the workers are being replaced already")
            return
        logger.info("replacing the workers, one after the other")
        self._to_replace = list(self._places)

    def stop(self, reason: str, *, in_a_hurry: bool) -> None:
        """Drain all workers, and end. A second call hurries them."""
        for child in self.children():
            if in_a_hurry or self._is_stopping:
                child.hurry()
            else:
                child.drain()
        if not self._is_stopping:
            logger.info("%s: draining the workers", reason)
            self._is_stopping = True
            self._to_replace.clear()

    # --- Regularly ---

    def check(self) -> None:
        """Do what is due."""
        for child in self.children():
            child.check()
            self._has_served |= child.standing.report is not None
            if child.standing.is_silent:
                self._dispatcher.keep(child.take_back())
        for place in self._places:
            if place.child is not None and place.child.exit_code is not None:
                self._restart(place, place.child, place.child.exit_code)
        for child in [one for one in self._leaving if one.exit_code is not None]:
            logger.info("%s has ended", child)
            self._leaving.remove(child)
            self._dispose_of(child)
        self._check_newcomer()
        if self._is_stopping:
            self._check_stopping()
        else:
            self._start_missing()
        if self._has_served:
            self._dispatcher.start()

    def _start_missing(self) -> None:
        """Start the workers that are missing. At first that is one alone: if it cannot serve, no other can."""
        for place in self._places if self._has_served else self._places[:1]:
            has_successor = self._newcomer is not None and place in self._to_replace[:1]
            if place.child is None and not has_successor and self._now() >= place.start_at:
                place.policy.record_start()
                place.child = self._new_child(place)
                if place.child is None:
                    place.start_at = self._now() + place.policy.record_failure()

    def _new_child(self, place: Place) -> Child | None:
        """Start a child; or return None if the system refuses."""
        try:
            child = Child(place.number, self._start)
        except OSError as error:
            logger.error("worker %d cannot be started: %s", place.number, error)  # noqa: TRY400 - the text says all
            return None
        logger.info("%s starts", child)
        return child

    def _restart(self, place: Place, child: Child, exit_code: int) -> None:
        """Handle that a worker has ended by itself, or because all end."""
        place.child = None
        self._dispose_of(child)
        if self._is_stopping:
            logger.info("%s has ended", child)
            return
        if not self._has_served:
            self._fail(f"{child} exited with code {exit_code} before it served")
            return
        pause_s = place.policy.record_failure()
        place.start_at = self._now() + pause_s
        logger.warning("%s exited with code %d: restarting it in %g s", child, exit_code, pause_s)
        if place.policy.should_give_up() and not any(one.standing.is_live for one in self.children()):
            self._fail("no worker serves, and restarts have been failing for too long")

    def _fail(self, reason: str) -> None:
        logger.critical("%s: ending", reason)
        this_process.because(reason, is_failure=True)
        self.exit_code = 1
        self.stop("ending", in_a_hurry=True)

    def _dispose_of(self, child: Child) -> None:
        """Forget a child that has ended. The connections that it had not received yet go to others."""
        self._dispatcher.keep(child.take_back())
        child.close()

    # --- Replacing ---

    def _check_newcomer(self) -> None:
        """Replace the next worker, as far as that is possible now."""
        newcomer = self._newcomer
        if newcomer is None:
            if self._to_replace and not self._leaving:
                self._newcomer, self._newcomer_started_at = self._new_child(self._to_replace[0]), self._now()
                if self._newcomer is None:
                    self._to_replace.clear()
        elif newcomer.exit_code is not None:
            self._newcomer = None
            self._dispose_of(newcomer)
            if self._to_replace:
                logger.error("%s exited with code %d: the others are not replaced", newcomer, newcomer.exit_code)
                self._to_replace.clear()
        elif self._to_replace and newcomer.standing.is_ready:
            self._newcomer = None
            self._move_in(newcomer, self._to_replace.pop(0))
        elif self._to_replace and self._is_overdue():
            logger.error("%s does not become ready: the others are not replaced", newcomer)
            self._to_replace.clear()
            newcomer.hurry()

    def _is_overdue(self) -> bool:
        """Return whether the newcomer should be ready by now. It need not if no worker is, as without ticks."""
        has_had_time = self._now() - self._newcomer_started_at >= READY_TIMEOUT_S
        return has_had_time and any(child.standing.is_ready for child in self.children())

    def _move_in(self, newcomer: Child, place: Place) -> None:
        """Make the newcomer the child of its place, and send its predecessor away."""
        predecessor, place.child = place.child, newcomer
        place.policy.record_start()
        if predecessor is not None:  # it has not ended meanwhile
            logger.info("%s drains", predecessor)
            predecessor.retire()
            self._leaving.append(predecessor)
        if not self._to_replace:
            logger.info("all workers are replaced")

    # --- Stopping ---

    def _check_stopping(self) -> None:
        children = self.children()
        if not any(child.standing.is_live for child in children):
            self._dispatcher.close()
        self.is_over = not children
