"""The host's own clock: what the kernel says of it, and what is logged."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from ticker import host_clock
from ticker.host_clock import TIME_ERROR, HostClock, ask_kernel

STA_UNSYNC = 0x40


def kernel_saying(state: int) -> object:
    """Return what stands for the C library, whose kernel says this."""
    return SimpleNamespace(adjtimex=lambda _timex: state)


@pytest.mark.parametrize(
    ("state", "synchronised"),
    [
        (0, True),
        (1, True),  # a leap second will be inserted at the end of the day
        (4, True),  # and has been
        (TIME_ERROR, False),
        (-1, None),  # forbidden
    ],
)
def test_what_the_kernel_says(state: int, synchronised: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leap second is no error; and what cannot be asked is not known."""
    monkeypatch.setattr(host_clock, "_LIBRARY", kernel_saying(state))
    assert ask_kernel() is synchronised


def test_another_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its C library has no such call."""
    monkeypatch.setattr(host_clock, "_LIBRARY", SimpleNamespace())
    assert ask_kernel() is None


def test_this_kernel_answers() -> None:
    """And its answer is what the status in its `struct timex` says, which is at byte 40 where a long has 8."""
    timex = ctypes.create_string_buffer(512)
    ctypes.CDLL(None).adjtimex(timex)
    status = int.from_bytes(timex.raw[40:44], sys.byteorder)
    assert ask_kernel() is not bool(status & STA_UNSYNC)


def test_it_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every look; and that it was right from the start is no news."""
    caplog.set_level("INFO", host_clock.__name__)
    says = iter([None, True, True, False, False, None, False, True, True])
    clock = HostClock(lambda: next(says))
    seen = []
    for _ in range(9):
        clock.look()
        seen.append((clock.synchronised, len(caplog.records)))
    assert seen == [
        (None, 0), (True, 0), (True, 0), (False, 1), (False, 1), (None, 1), (False, 2), (True, 3), (True, 3),
    ]  # fmt: skip
    assert "not synchronised" in caplog.messages[0]
    assert caplog.messages[2] == "this host's clock is synchronised"
