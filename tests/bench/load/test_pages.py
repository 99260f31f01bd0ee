"""The load generator loads pages, and sends probes, as browsers do: here from a real worker."""

import time

from bench.load.generator import LoadGenerator
from bench.scenarios.page_loads import files_of_page
from testbed.processes import Worker


def test_pages_load_with_all_of_their_files(worker: Worker) -> None:
    """Each file once, on a few connections. What is missing is a failure of the page."""
    files = files_of_page(worker.port)
    with LoadGenerator(worker.port) as load:
        result = load.load_pages(files, 5, 6)
        assert (result.loaded, result.failures) == (5, {})
        assert result.bytes > 5 * 10_000
        assert 0 < result.seconds < 20
        again = load.load_pages(files, 2, 1)
        assert (again.loaded, again.failures) == (2, {})
        assert again.bytes < result.bytes
    with LoadGenerator(worker.port) as load:
        result = load.load_pages(["/clock/", "/static/missing.js"], 3, 2)
        assert (result.loaded, result.failures) == (0, {"an answer was 404": 3})


def test_probes_are_spread_over_the_interval(worker: Worker) -> None:
    """Each client sends one per interval, and stops when it is told to."""
    with LoadGenerator(worker.port) as load:
        assert load.connect(10, "/ws/clock/?rate=10", now_calls=1).failures == {}
        assert load.send_probes(0.5) == 10
        load.begin_window()
        time.sleep(2)
        probes = load.end_window().probes
        assert 20 <= probes.answered <= 50
        assert probes.sent - probes.answered <= 10
        p99_ms = probes.times.percentile_ms(99)
        assert p99_ms is not None
        assert 0 < p99_ms < 1000
        load.send_probes(0)
        time.sleep(0.1)
        load.begin_window()
        time.sleep(0.3)
        window = load.end_window()
        assert (window.probes.sent, window.failures) == (0, {})


def test_a_client_without_a_second_connection_sends_no_probes(worker: Worker) -> None:
    """It is a program that only wants the stream."""
    with LoadGenerator(worker.port) as load:
        load.connect(2, "/ws/clock/")
        assert load.send_probes(0.1) == 0
