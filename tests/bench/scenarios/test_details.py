"""What single scenarios compute: the files of a page, what a page shows, and a rate."""

import pytest

from bench.scenarios.crowded_page import medians
from bench.scenarios.page_loads import files_of_page, references
from bench.scenarios.steady import nearest_rate
from testbed.processes import Worker

HTML = """<link rel="icon" href="/static/icon.1.svg"> <link rel="stylesheet" href="/static/clock.2.css">
<script defer src="/static/restart.3.js"></script> <script type="module" src="/static/clock.4.js"></script>
<a href="/elsewhere">x</a> <link rel="canonical" href="https://example.org/">"""


def test_a_browser_loads_links_scripts_and_modules() -> None:
    """Not what a link in the text leads to, nor what is on other hosts."""
    assert references(HTML, "/clock/") == [
        "/static/icon.1.svg",
        "/static/clock.2.css",
        "/static/restart.3.js",
        "/static/clock.4.js",
    ]
    module = 'import{a}from"./page.5.js";import"./time/state.6.js";const x="./no.js"'
    assert references(module, "/static/clock/clock.4.js") == [
        "/static/clock/page.5.js",
        "/static/clock/time/state.6.js",
    ]


def test_the_real_page_has_about_twenty_files(worker: Worker) -> None:
    """All of them exist."""
    files = files_of_page(worker.port)
    assert files[0] == "/clock/"
    assert 15 <= len(files) <= 35
    assert all(path.startswith("/static/") for path in files[1:])


def test_the_medians_of_a_page() -> None:
    """Of the error without its sign, and of its bound."""
    readings = [[1000.0, 1000.0 + error, bound] for error, bound in [(-3, 1.0), (1, 2.0), (2, 3.0)] * 20]
    assert medians(readings) == (2.0, 2.0)
    with pytest.raises(AssertionError, match="no bound"):
        medians([*readings, [1000.0, 1000.0, None]])
    with pytest.raises(AssertionError, match="hardly paints"):
        medians(readings[:10])


@pytest.mark.parametrize(("measured", "rate"), [(99.7, 100), (74, 100), (61, 50), (24.9, 25), (9.8, 10), (0.0, 10)])
def test_the_rate_that_a_worker_has_chosen(measured: float, rate: int) -> None:
    """The nearest of those that it may choose."""
    assert nearest_rate(measured) == rate
