"""Firefox and WebKit, each driven by the protocol that Debian's package has.

Firefox has WebDriver BiDi (https://w3c.github.io/webdriver-bidi/) over a WebSocket, WebKitGTK has classic WebDriver
(https://www.w3.org/TR/webdriver2/) over HTTP. The tests need few commands of them, so there is no library.
"""

import http.client
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from websockets.sync.client import ClientConnection, connect

from testbed.browser import WEBKIT_BROWSER, find_firefox, find_webkit_driver
from testbed.processes import accepts_connections, free_port, wait_until
from tests.page.support.display import display

# Settings of Firefox: no page of its own at the start, and no connections of its own.
FIREFOX_SETTINGS = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
"""


class Engine(Protocol):
    """A browser with one tab."""

    name: str

    def open(self, url: str) -> None:
        """Load a page."""

    def evaluate(self, script: str) -> Any:
        """Return what the body of an async function returns."""


def as_json(script: str) -> str:
    """Return an expression for a promise of the result of a function's body, as JSON."""
    return f"(async () => JSON.stringify((await (async () => {{ {script} }})()) ?? null))()"


class Firefox:
    """A Firefox without windows."""

    name = "Firefox"

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._count = 0
        self._send("session.new", capabilities={})
        self._context = self._send("browsingContext.getTree")["contexts"][0]["context"]

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("browsingContext.navigate", context=self._context, url=url, wait="interactive")

    def evaluate(self, script: str) -> Any:
        """Return what the body of an async function returns."""
        answer = self._send(
            "script.evaluate", expression=as_json(script), target={"context": self._context}, awaitPromise=True
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def _send(self, method: str, **parameters: object) -> Any:
        self._count += 1
        self._connection.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv(timeout=60))
            if answer.get("id") == self._count:
                assert answer["type"] == "success", answer
                return answer["result"]


class WebKit:
    """WebKitGTK's MiniBrowser."""

    name = "WebKit"

    def __init__(self, port: int) -> None:
        self._port = port
        options = {"binary": str(WEBKIT_BROWSER), "args": ["--automation"]}
        capabilities = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        self._session = self._send("POST", "/session", {"capabilities": capabilities})["sessionId"]

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("POST", f"/session/{self._session}/url", {"url": url})

    def evaluate(self, script: str) -> Any:
        """Return what the body of an async function returns."""
        then = "done(value), (error) => done(JSON.stringify({ error: String(error) }))"
        answer = self._send(
            "POST",
            f"/session/{self._session}/execute/async",
            {"script": f"const done = arguments[0]; {as_json(script)}.then((value) => {then});", "args": []},
        )
        value = json.loads(answer)
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def close(self) -> None:
        """End the browser."""
        self._send("DELETE", f"/session/{self._session}")

    def _send(self, method: str, path: str, content: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, path, None if content is None else json.dumps(content))
        answer = json.loads(connection.getresponse().read())["value"]
        connection.close()
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer


@contextmanager
def firefox() -> Iterator[Engine]:
    """Run Firefox."""
    path = find_firefox()
    assert path, "Firefox is missing. On Debian: apt-get install firefox-esr"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        profile = Path(name)
        (profile / "user.js").write_text(FIREFOX_SETTINGS)
        command = [path, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", name, "about:blank"]
        with running(command, {"HOME": name}):
            told = profile / "WebDriverBiDiServer.json"
            wait_until(lambda: told.exists() and told.read_text().endswith("}"), "Firefox accepts connections", 60)
            port = json.loads(told.read_text())["ws_port"]
            with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as connection:
                yield Firefox(connection)


@contextmanager
def webkit() -> Iterator[Engine]:
    """Run WebKit, on a display that nobody sees."""
    path = find_webkit_driver()
    assert path, "WebKit's driver is missing. On Debian: apt-get install webkit2gtk-driver"
    port = free_port()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        display() as screen,
        running([path, f"--port={port}"], {"HOME": name, "DISPLAY": screen}),
    ):
        wait_until(lambda: accepts_connections(port), "WebKit's driver accepts connections")
        engine = WebKit(port)
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Run a browser with its children, and end all of them."""
    program = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
