"""A Chromium with windows, on a display that nobody sees, for what Playwright's browsers cannot do.

Headless tabs never become hidden, and neither do Playwright's, which emulate the focus. So this speaks the DevTools
protocol (https://chromedevtools.github.io/devtools-protocol/) itself.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from testbed.browser import ADVICE, find_chromium
from testbed.processes import wait_until
from tests.page.support.display import display


class Tab:
    """A tab."""

    def __init__(self, browser: ClientConnection, url: str) -> None:
        self._browser = browser
        self._count = 0
        self._target = self._send("Target.createTarget", url=url)["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]

    def to_front(self) -> Self:
        """Show it, which hides the one that was shown."""
        self._send("Target.activateTarget", targetId=self._target)
        return self

    def before_each_page(self, script: str) -> None:
        """Run a script before those of each page that is opened."""
        self._send("Page.enable", session=self._session)
        self._send("Page.addScriptToEvaluateOnNewDocument", session=self._session, source=script)

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("Page.navigate", session=self._session, url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, which may be a promise."""
        answer = self._send(
            "Runtime.evaluate",
            session=self._session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: bool(self.evaluate(expression)), expression)

    def _send(self, method: str, *, session: str | None = None, **parameters: object) -> Any:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._browser.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._browser.recv(timeout=20))
            if answer.get("id") == self._count and answer.get("sessionId") == session:
                assert "result" in answer, answer
                return answer["result"]


@contextmanager
def headed_chromium() -> Iterator[ClientConnection]:
    """Run one, and connect to it."""
    chromium = find_chromium(windows=True)
    assert chromium, ADVICE
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, display() as screen:
        program = subprocess.Popen(
            [
                chromium,
                f"--user-data-dir={profile}",
                "--remote-debugging-port=0",
                *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
                "about:blank",
            ],
            env={**os.environ, "DISPLAY": screen},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told = Path(profile, "DevToolsActivePort")
            wait_until(lambda: told.exists() and told.read_text().count("\n") == 1, "Chromium accepts connections")
            port, path = told.read_text().split("\n")
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as browser:
                yield browser
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
