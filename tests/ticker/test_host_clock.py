"""The host's clock: what the kernel says, and what is logged."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from ticker import host_clock
from ticker.host_clock import TIME_ERROR, HostClock, ask_kernel

STA_UNSYNC = 0x40


@pytest.mark.parametrize(
    ("state", "synchronised"),
    [
        (0, True),
        (1, True),  # a leap second will be inserted at the end of the day
        (4, True),  # a leap second was inserted
        (TIME_ERROR, False),
        (-1, None),  # the call is forbidden
    ],
)
def test_states_of_the_kernel(state: int, synchronised: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leap second is not an error. If the call fails, the state is unknown."""
    monkeypatch.setattr(host_clock, "_LIBRARY", SimpleNamespace(adjtimex=lambda _timex: state))
    assert ask_kernel() is synchronised


def test_without_adjtimex_the_state_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C libraries of other systems do not have it."""
    monkeypatch.setattr(host_clock, "_LIBRARY", SimpleNamespace())
    assert ask_kernel() is None


def test_the_kernel_of_this_machine() -> None:
    """The result matches the status in `struct timex`, which is at byte 40 if a long has 8 bytes."""
    timex = ctypes.create_string_buffer(512)
    ctypes.CDLL(None).adjtimex(timex)
    status = int.from_bytes(timex.raw[40:44], sys.byteorder)
    assert ask_kernel() is not bool(status & STA_UNSYNC)


def test_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each change has one line. A good state at the start has none."""
    caplog.set_level("INFO", host_clock.__name__)
    states = iter([None, True, True, False, False, None, False, True, True])
    clock = HostClock(lambda: next(states))
    seen = []
    for _ in range(9):
        clock.check()
        seen.append((clock.synchronised, len(caplog.records)))
    assert seen == [
        (None, 0), (True, 0), (True, 0), (False, 1), (False, 1), (None, 1), (False, 2), (True, 3), (True, 3),
    ]  # fmt: skip
    assert "not synchronised" in caplog.messages[0]
    assert caplog.messages[2] == "this host's clock is synchronised again"
