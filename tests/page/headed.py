"""A Chromium with windows, on a display that nobody sees: for what headless ones do not do, and Playwright prevents.

Headless tabs never become hidden; nor do Playwright's, which emulates the focus for each, so this speaks the DevTools
protocol itself.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from testbed.browser import find_chromium
from testbed.processes import wait_until

XVFB = shutil.which("Xvfb")


class Tab:
    """A tab of such a Chromium."""

    def __init__(self, browser: ClientConnection, url: str) -> None:
        self._browser = browser
        self._number = 0
        self._target = self._send("Target.createTarget", url=url)["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]

    def to_front(self) -> Self:
        """Show it, and so hide the one that was shown."""
        self._send("Target.activateTarget", targetId=self._target)
        return self

    def before_each_page(self, script: str) -> None:
        """Have a script run before those of each page that is opened."""
        self._send("Page.enable", session=self._session)
        self._send("Page.addScriptToEvaluateOnNewDocument", session=self._session, source=script)

    def open(self, url: str) -> None:
        """Go to a page."""
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

    def _send(self, method: str, *, session: str | None = None, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._browser.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._browser.recv(timeout=20))
            if answer.get("id") == self._number and answer.get("sessionId") == session:
                assert "result" in answer, answer
                return answer["result"]


@contextmanager
def headed_chromium() -> Iterator[ClientConnection]:
    """Run one, and connect to it."""
    chromium = find_chromium()
    assert chromium
    assert XVFB, "needs Xvfb: make soak installs it"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        reading, writing = os.pipe()
        display = subprocess.Popen(
            [XVFB, "-displayfd", str(writing), "-nolisten", "tcp"], pass_fds=[writing], stderr=subprocess.DEVNULL
        )
        number = os.read(reading, 10).decode().strip()
        program = subprocess.Popen(
            [
                chromium,
                f"--user-data-dir={profile}",
                "--remote-debugging-port=0",
                *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
                "about:blank",
            ],
            env={**os.environ, "DISPLAY": f":{number}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told = Path(profile, "DevToolsActivePort")
            wait_until(lambda: told.exists() and told.read_text().count("\n") == 1, "Chromium takes connections")
            port, path = told.read_text().split("\n")
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as browser:
                yield browser
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            display.terminate()
            display.wait()
            os.close(reading)
            os.close(writing)
