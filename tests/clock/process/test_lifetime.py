"""The first and the last line of a process. tests/system/test_version.py and others check real processes."""

import atexit
import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from clock import __version__
from clock.process import signals
from clock.process.lifetime import Lifetime
from clock.process.log_format import FIELDS

SETTINGS = {"CLOCK_HTTPS": "on"}


@pytest.fixture
def lifetime(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lifetime]:
    """A process that a test can begin with `begin`."""
    caplog.set_level("INFO")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    hooks: list[Callable[[str], None]] = []
    monkeypatch.setattr("clock.process.lifetime.before_exit", hooks)
    monkeypatch.setattr(signals, "before_exit", hooks)
    lifetime = Lifetime()
    yield lifetime
    atexit.unregister(lifetime.end)


def begin(lifetime: Lifetime) -> None:
    """Begin."""
    lifetime.begin(logging.getLogger("test"), "ticker", SETTINGS)


def test_both_lines_have_the_version_and_the_settings(lifetime: Lifetime, caplog: pytest.LogCaptureFixture) -> None:
    """And the last one has the first reason, once."""
    begin(lifetime)
    lifetime.because("stopped by SIGTERM")
    lifetime.because("something else", is_failure=True)
    lifetime.end()
    lifetime.end()
    first, last = caplog.records
    assert first.message == f"clock {__version__}: ticker starting"
    assert last.message == f"clock {__version__}: ticker ended: stopped by SIGTERM"
    assert last.levelno == logging.INFO
    for record in (first, last):
        assert getattr(record, FIELDS) == {"version": __version__, "settings": SETTINGS}


def test_a_failure_is_critical(lifetime: Lifetime, caplog: pytest.LogCaptureFixture) -> None:
    """So that it is logged at any level."""
    begin(lifetime)
    lifetime.because("the port is in use", is_failure=True)
    lifetime.end()
    assert caplog.records[-1].levelno == logging.CRITICAL


def test_an_error_that_nobody_handles(lifetime: Lifetime, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and it is the reason."""
    begin(lifetime)
    error = ZeroDivisionError("a test")
    sys.excepthook(ZeroDivisionError, error, None)
    lifetime.end()
    assert caplog.records[-2].exc_info == (ZeroDivisionError, error, None)
    assert caplog.messages[-1].endswith("ticker ended: ZeroDivisionError: a test")


def test_a_signal_during_the_start(lifetime: Lifetime, caplog: pytest.LogCaptureFixture) -> None:
    """The process exits without Python's own shutdown, and still logs its last line."""
    begin(lifetime)
    for call in signals.before_exit:
        call("stopped by SIGTERM during its start")
    assert caplog.messages[-1].endswith("ticker ended: stopped by SIGTERM during its start")


def test_a_process_that_has_not_begun_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Such as plain Daphne, or a test."""
    lifetime = Lifetime()
    lifetime.because("a test")
    lifetime.end()
    assert caplog.messages == []
