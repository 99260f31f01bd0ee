"""`CLOCK_HTTPS` on a real worker behind a proxy that terminates TLS; and a worker without it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import Broker, Ticker, Worker
from testbed.viewers import close, connect, watch

FROM_HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def behind_tls(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker with `CLOCK_HTTPS=on`."""
    assert ticker.running
    with Worker(broker.url, directory, CLOCK_HTTPS="on") as worker:
        worker.wait_for_ticks()
        yield worker


def head(worker: Worker, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Return the status and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=5)
    connection.request("HEAD", path, headers=headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_a_page_over_http_redirects_to_https(behind_tls: Worker) -> None:
    """It redirects to the same host, whether the proxy names HTTP or no scheme at all."""
    for headers in ({}, {"X-Forwarded-Proto": "http"}):
        status, answer = head(behind_tls, "/clock/", **headers)
        assert (status, answer["location"]) == (301, f"https://127.0.0.1:{behind_tls.port}/clock/")
    assert head(behind_tls, "/clock/", Host="elsewhere.example")[0] == 400


def test_a_page_over_https_sets_hsts(behind_tls: Worker) -> None:
    """The header covers this host alone, without subdomains."""
    status, answer = head(behind_tls, "/clock/", **FROM_HTTPS)
    assert (status, answer["strict-transport-security"]) == (200, "max-age=2592000")


def test_health_checks_and_the_stream_do_not_redirect(behind_tls: Worker) -> None:
    """A load balancer checks over HTTP, and the page requests the stream and the time with its own scheme."""
    assert head(behind_tls, "/healthz")[0] == 200
    assert head(behind_tls, "/clock/now")[0] == 200
    viewer = connect(behind_tls.port)
    watch([viewer], 0.5)
    assert viewer.times
    close([viewer])


def test_without_the_setting_the_proxys_scheme_is_ignored(worker: Worker) -> None:
    """The page sets no HSTS header."""
    status, answer = head(worker, "/clock/", **FROM_HTTPS)
    assert status == 200
    assert "strict-transport-security" not in answer
