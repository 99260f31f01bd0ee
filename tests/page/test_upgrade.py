"""Two versions of the page at once, as during a rolling upgrade: two real workers, a balancer and a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from testbed.other_version import copy_tree, from_tree
from testbed.processes import Broker, Ticker, Worker
from testbed.proxies.rotation import Rotation

LIVE = "#clock[data-state=live]"


@pytest.fixture(scope="module")
def new(broker: Broker, ticker: Ticker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of a version whose modules do not fit to those of this one: all classes have other names."""
    assert ticker.running
    tree = copy_tree(tmp_path_factory.mktemp("new") / "tree")
    scripts = {script: script.read_text() for script in (tree / "clock/static/clock").glob("*.js")}
    classes = re.findall(r"export class (\w+)", "".join(scripts.values()))
    assert len(classes) > 5
    for script, source in scripts.items():
        script.write_text(re.sub(rf"\b({'|'.join(classes)})\b", r"New\1", source))
    with from_tree(Worker(broker.url, tree, CLOCK_TIME_ZONE="Asia/Kathmandu"), tree) as worker:
        worker.wait_for_ticks()
        yield worker
        assert "Traceback" not in worker.output()


def test_they_are_two_versions(worker: Worker, new: Worker) -> None:
    """With other hashes, and a module that the other's cannot use."""
    pages = [one.get("/clock/")[1] for one in (worker, new)]
    scripts = [re.findall(r"/static/clock/clock\.[0-9a-f]{12}\.js", page) for page in pages]
    assert [len(found) for found in scripts] == [1, 1]
    assert scripts[0] != scripts[1]


@pytest.mark.parametrize("turned", [False, True])
def test_a_page_of_one_version_with_the_files_of_the_other(
    page: Page, directory: Path, worker: Worker, new: Worker, *, turned: bool
) -> None:
    """A new page that asks an old worker for its files, and an old page that asks a new one: alive at once."""
    pages, files = (new, worker) if turned else (worker, new)
    with Rotation(directory, [pages], [files]) as balancer:
        page.goto(f"http://{balancer.host}/clock/")
        page.wait_for_selector(LIVE)
        assert balancer.requested.count("/clock/") == 1


def test_a_page_whose_files_come_from_both(
    context: BrowserContext, directory: Path, worker: Worker, new: Worker
) -> None:
    """Modules that do not fit together do not start; the page loads itself anew until they do."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with Rotation(directory, [worker], [worker, new, worker]) as balancer:
        page.goto(f"http://{balancer.host}/clock/")
        page.wait_for_selector(LIVE, timeout=60_000)
    assert errors, "the versions were never mixed"
    assert all("does not provide an export" in error for error in errors)


@pytest.mark.parametrize("script", ["clock", "zones", "digits"])
def test_a_file_that_does_not_arrive(page: Page, worker: Worker, script: str) -> None:
    """Its worker went in the middle: the page does not stay dead, and waits for a server that is away."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        if len(lost) == 1:
            page.route("**/clock/", lambda page_route: page_route.abort(), times=2)
        route.abort() if len(lost) < 3 else route.continue_()

    page.route(f"**/{script}.*.js", lose)
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector(LIVE)
    assert len(lost) == 3


def test_an_open_page_gets_what_it_asks_for_later(page: Page, directory: Path, worker: Worker, new: Worker) -> None:
    """The module for `?raw` is loaded late: the file of the new version will do."""
    old = re.search(r"raw\.[0-9a-f]{12}\.js", worker.get("/static/clock/clock.js")[1])
    assert old
    page.goto(f"http://{new.host}/clock/")
    page.wait_for_selector(LIVE)
    assert page.evaluate(f"async () => Object.keys(await import('/static/clock/{old[0]}'))") == ["NewRaw"]


def test_a_second_visit_costs_one_request(context: BrowserContext, directory: Path, worker: Worker) -> None:
    """All files are in the browser's cache, and the page itself is only asked whether it is still the same."""
    with Rotation(directory, [worker], [worker]) as balancer:
        context.new_page().goto(f"http://{balancer.host}/clock/")
        context.pages[0].wait_for_selector(LIVE)
        first = balancer.requested
        assert sum(path.startswith("/static/") for path in first) > 20
        context.pages[0].close()
        page = context.new_page()
        page.goto(f"http://{balancer.host}/clock/")
        page.wait_for_selector(LIVE)
        assert {*balancer.requested[len(first) :]} == {"/clock/", "/clock/now", "/ws/clock/"}
        page.close()
