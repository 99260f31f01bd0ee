"""TLS at the balancer, with the Compose file for it and a certificate of the test's own."""

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clock.watch.failure import Kind
from testbed.processes import ROOT, free_port
from testbed.redis_servers import Certificate
from tests.compose.conftest import run_stack
from tests.compose.stack import Stack

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Secure:
    """A stack with TLS: its port for that, and the certificate."""

    stack: Stack
    port: int
    certificate: Path

    def head(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str]]:
        """Return the status and headers of a page, by TLS."""
        context = ssl.create_default_context(cafile=self.certificate)
        return _head(http.client.HTTPSConnection("localhost", self.port, timeout=5, context=context), path, headers)

    def plain_head(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str]]:
        """Return the same, without TLS."""
        return _head(http.client.HTTPConnection("localhost", self.stack.port, timeout=5), path, headers)

    def watch(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Run `watch` on this machine against the balancer's TLS; return its exit code and its report."""
        command = [sys.executable, "manage.py", "watch", f"https://localhost:{self.port}", "--json", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, json.loads(done.stdout)


def _head(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None
) -> tuple[int, dict[str, str]]:
    connection.request("HEAD", path, headers=dict(headers or {}))
    answer = connection.getresponse()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture(scope="module")
def secure(image: str, directory: Path) -> Iterator[Secure]:
    """The stack with one worker, and a certificate for localhost."""
    made = Certificate(directory, "balancer", "DNS:localhost")
    pem = directory / "balancer.pem"
    pem.write_text(made.certificate.read_text() + made.key.read_text())
    pem.chmod(0o644)  # HAProxy runs as a user of its own, without capabilities
    port = free_port()
    settings = {"CLOCK_CERTIFICATE": str(pem), "CLOCK_TLS_PORT": str(port)}
    for stack in run_stack(Stack("deploy/haproxy/tls.yml", image=image, **settings), 1):
        yield Secure(stack, port, made.certificate)


def test_the_page_comes_by_https(secure: Secure) -> None:
    """Browsers are told to use nothing else from now on (HSTS)."""
    status, headers = secure.head("/clock/")
    assert status == 200
    assert headers["strict-transport-security"] == "max-age=2592000"


@pytest.mark.parametrize("claimed", [None, "http", "https", "https, http"])
def test_a_page_by_http_redirects(secure: Secure, claimed: str | None) -> None:
    """Whatever a client says of its scheme: the balancer replaces that."""
    headers = {"Host": "localhost"} | ({"X-Forwarded-Proto": claimed} if claimed else {})
    status, answer = secure.plain_head("/clock/", headers)
    assert (status, answer["location"]) == (301, "https://localhost/clock/")


def test_a_client_cannot_deny_that_it_uses_tls(secure: Secure) -> None:
    """It would be redirected for ever."""
    assert secure.head("/clock/", {"X-Forwarded-Proto": "http"})[0] == 200


def test_the_stream_comes_by_wss(secure: Secure) -> None:
    """`watch` verifies the certificate and receives all frames."""
    code, report = secure.watch("--ca-file", str(secure.certificate), "--for", "3s", "--min-rate", "95")
    assert (code, report["failure"]) == (0, None)
    assert report["stream"] == f"wss://localhost:{secure.port}/ws/clock/"


def test_an_unknown_certificate_is_refused(secure: Secure) -> None:
    """By `watch`, without the option for it."""
    code, report = secure.watch("--for", "1s")
    assert code == Kind.CERTIFICATE.exit_code
    assert report["failure"]["kind"] == Kind.CERTIFICATE.label


def test_health_and_metrics_are_as_without_tls(secure: Secure) -> None:
    """Checks are not redirected, and metrics stay blocked."""
    assert secure.head("/healthz")[0] == 200
    assert secure.plain_head("/readyz")[0] == 200
    assert secure.head("/metrics")[0] == 404
