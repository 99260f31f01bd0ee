"""Errors that Twisted catches are logged."""

import logging
from collections.abc import Iterator

import pytest
from twisted.logger import globalLogPublisher
from twisted.python import log

from tournament.server.adapter.library_logs import log_twisted_errors


@pytest.fixture
def observers() -> Iterator[None]:
    """Twisted's log as it was before."""
    before = list(globalLogPublisher._observers)
    globalLogPublisher._observers = []  # Twisted's own would print the error on stderr
    yield
    globalLogPublisher._observers = before


@pytest.mark.usefixtures("observers")
def test_errors_that_twisted_catches_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Daphne discards what Twisted logs; its errors are logged with their traceback, and nothing else of it."""
    log_twisted_errors()
    log.msg("nothing of interest")
    log.err(ZeroDivisionError("of interest"))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("twisted", logging.CRITICAL)
    assert "Unhandled Error" in caplog.text
    assert "ZeroDivisionError: of interest" in caplog.text
