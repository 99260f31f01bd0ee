"""Behind a proxy that ends TLS: `CLOCK_HTTPS`, on a real worker; and without it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import Broker, Ticker, Worker
from testbed.viewers import connect, watch

BY_HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def behind_tls(broker: Broker, ticker: Ticker, directory: Path) -> Iterator[Worker]:
    """A worker whose viewers come by HTTPS."""
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


def test_a_page_by_http_leads_to_https(behind_tls: Worker) -> None:
    """Under its own name, whether a proxy says that it was HTTP or nobody says anything."""
    for headers in ({}, {"X-Forwarded-Proto": "http"}):
        status, answer = head(behind_tls, "/clock/", **headers)
        assert (status, answer["location"]) == (301, f"https://127.0.0.1:{behind_tls.port}/clock/")
    assert head(behind_tls, "/clock/", Host="elsewhere.example")[0] == 400


def test_a_page_by_https_is_served_and_keeps_to_it(behind_tls: Worker) -> None:
    """By HSTS, for this name alone."""
    status, answer = head(behind_tls, "/clock/", **BY_HTTPS)
    assert (status, answer["strict-transport-security"]) == (200, "max-age=2592000")


def test_what_balancers_and_pages_ask_leads_nowhere(behind_tls: Worker) -> None:
    """A balancer asks by HTTP, and the stream and the time are what the page asks for by its own scheme."""
    assert head(behind_tls, "/healthz")[0] == 200
    assert head(behind_tls, "/clock/now")[0] == 200
    viewer = connect(behind_tls.port)
    watch([viewer], 0.5)
    assert viewer.times
    viewer.socket.close()


def test_without_it_no_proxy_is_believed(worker: Worker) -> None:
    """And nothing is promised of HTTPS."""
    status, answer = head(worker, "/clock/", **BY_HTTPS)
    assert status == 200
    assert "strict-transport-security" not in answer
