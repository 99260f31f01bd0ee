"""How the page loads: what it weighs, its updates, and two versions at once, as during a rolling upgrade."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, Request, Route

from testbed.processes import Broker, Ticker, Worker
from testbed.proxies.rotation import Rotation
from testbed.workers import copy_tree, from_tree
from tests.page.support.fake_timekeeper import open_page

LIVE = "#clock[data-state=live]"
MAXIMUM_WEIGHT_BYTES = 30_000


def test_the_page_weighs_less_than_30_kb(separate_page: Page, worker: Worker) -> None:
    """All its files as transferred, with the headers of each, in every language. Languages differ in the HTML only."""
    started: list[Request] = []
    finished: list[Request] = []

    def begin(request: Request) -> None:
        started.append(request)

    def finish(request: Request) -> None:
        finished.append(request)

    separate_page.on("request", begin)
    separate_page.on("requestfinished", finish)
    separate_page.goto(f"http://{worker.host}/clock/?lang=en")
    separate_page.wait_for_selector(LIVE)
    files = [request for request in started if not request.url.endswith("/now")]
    while not set(files) <= set(finished):  # the page has them all, and Playwright learns of it a little later
        separate_page.wait_for_timeout(20)
    sizes = [request.sizes() for request in files]
    weight = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    assert len(files) > 10
    html = {
        code: len(gzip.compress(worker.get(f"/clock/?lang={code}")[1].encode(), mtime=0))
        for code, _ in settings.LANGUAGES
    }
    heaviest = max(html, key=lambda code: html[code])
    print(f"{len(files)} files, {weight} bytes in English, {weight + html[heaviest] - html['en']} in {heaviest}")
    assert weight + html[heaviest] - html["en"] < MAXIMUM_WEIGHT_BYTES


def see_version(page: Page, version: str, gap_ms: int) -> None:
    """Have an answer of the server name this version, while frames arrive with this gap."""
    page.evaluate(
        "([version, gap]) => { timekeeper.gap = gap; timekeeperOptions.onVersion(version); }", [version, gap_ms]
    )


def pass_time(page: Page, seconds: int) -> None:
    """Advance the fake clock at once, and wait for what happens then."""
    page.clock.fast_forward(seconds * 1_000)
    page.wait_for_timeout(200)


def has_loaded(page: Page, loads: list[str], count: int) -> bool:
    """Return whether so many pages are loaded, at the latest in 10 s: a busy machine takes longer than `pass_time`."""
    for _ in range(100):
        if len(loads) >= count:
            break
        page.wait_for_timeout(100)
    return len(loads) == count


@pytest.fixture
def loads(separate_page: Page, worker: Worker) -> list[str]:
    """A page with a fake clock and a fake timekeeper; the pages that it loaded. Each random number is 0.9."""
    loaded: list[str] = []
    separate_page.clock.install()
    separate_page.add_init_script("Math.random = () => 0.9;")
    separate_page.on("framenavigated", lambda frame: loaded.append(frame.url))
    open_page(separate_page, worker)
    return loaded


@pytest.mark.parametrize(("gap_ms", "seconds"), [(10, 27), (50, 135), (100, 270), (1_000, 270)])
def test_an_open_page_loads_a_new_version(separate_page: Page, loads: list[str], gap_ms: int, seconds: int) -> None:
    """At the earliest when it is a minute old. A crowd spreads over five minutes, a few viewers over half a minute.

    A page does not know how many others there are, but the lower the rate that the server chose, the more there may be.
    """
    see_version(separate_page, "another", gap_ms)
    pass_time(separate_page, 60 + seconds - 5)
    see_version(separate_page, "another", gap_ms)
    assert len(loads) == 1
    pass_time(separate_page, 6)
    assert has_loaded(separate_page, loads, 2)


def test_an_open_page_keeps_its_version_while_some_worker_has_it(separate_page: Page, loads: list[str]) -> None:
    """During a rolling upgrade, a reload may bring the old version again."""
    own = separate_page.evaluate("() => JSON.parse(document.getElementById('page-data').textContent).version")
    for version in ("another", own, "another", own):
        see_version(separate_page, version, 10)
        pass_time(separate_page, 20)
    pass_time(separate_page, 600)
    assert len(loads) == 1


def test_an_open_page_reloads_only_if_the_server_answers(separate_page: Page, loads: list[str]) -> None:
    """Otherwise it would end on the browser's error page. It tries again when the server does."""
    status = 503
    separate_page.route(
        "**/clock/",
        lambda route: route.fulfill(status=status) if route.request.method == "HEAD" else route.continue_(),
    )
    see_version(separate_page, "another", 10)
    pass_time(separate_page, 100)
    assert len(loads) == 1
    status = 200
    see_version(separate_page, "another", 10)
    pass_time(separate_page, 100)
    assert has_loaded(separate_page, loads, 2)


@pytest.fixture(scope="module")
def new(broker: Broker, ticker: Ticker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of another version, whose modules do not fit those of this one: all classes have other names."""
    assert ticker.running
    tree = copy_tree(tmp_path_factory.mktemp("new") / "tree")
    scripts = {script: script.read_text() for script in (tree / "clock/static/clock").rglob("*.js")}
    classes = re.findall(r"export class (\w+)", "".join(scripts.values()))
    assert len(classes) > 5
    for script, source in scripts.items():
        script.write_text(re.sub(rf"\b({'|'.join(classes)})\b", r"New\1", source))
    with from_tree(Worker(broker.url, tree, CLOCK_TIME_ZONE="Asia/Kathmandu"), tree) as worker:
        worker.wait_for_ticks()
        yield worker
        assert "Traceback" not in worker.output()


def test_another_version_has_other_hashes(worker: Worker, new: Worker) -> None:
    """So the following tests do mix two versions."""
    pages = [one.get("/clock/")[1] for one in (worker, new)]
    scripts = [re.findall(r"/static/clock/clock\.[0-9a-f]{12}\.js", page) for page in pages]
    assert [len(found) for found in scripts] == [1, 1]
    assert scripts[0] != scripts[1]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_page_works_with_the_files_of_another_version(
    separate_page: Page, directory: Path, worker: Worker, new: Worker, *, is_reversed: bool
) -> None:
    """A new page with the files of an old worker, and an old page with those of a new one: live at once."""
    pages, files = (new, worker) if is_reversed else (worker, new)
    with Rotation(directory, [pages], [files]) as balancer:
        separate_page.goto(f"http://{balancer.host}/clock/")
        separate_page.wait_for_selector(LIVE)
        assert balancer.requested.count("/clock/") == 1


def test_a_page_with_files_of_both_versions_reloads_until_they_fit(
    page: Page, directory: Path, worker: Worker, new: Worker
) -> None:
    """Modules that do not fit together do not start."""
    other = page.context.new_page()  # not the one that must raise nothing
    errors: list[str] = []
    other.on("pageerror", lambda error: errors.append(str(error)))
    with Rotation(directory, [worker], [worker, new, worker]) as balancer:
        other.goto(f"http://{balancer.host}/clock/")
        other.wait_for_selector(LIVE, timeout=60_000)
    other.close()
    assert errors, "the versions were never mixed"
    assert all("does not provide an export" in error for error in errors)


@pytest.mark.parametrize("script", ["zones", pytest.param("clock", marks=pytest.mark.soak)])
def test_a_page_reloads_if_a_file_fails_to_load(separate_page: Page, worker: Worker, script: str) -> None:
    """Its worker stopped meanwhile. The page waits until the server answers."""
    page = separate_page
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        if len(lost) == 1:
            page.route("**/clock/", lambda page_route: page_route.abort(), times=2)
        if len(lost) < 3:
            route.abort()
        else:
            route.continue_()

    page.route(f"**/{script}.*.js", lose)
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector(LIVE)
    assert len(lost) == 3


def test_an_open_page_can_import_a_module_of_the_new_version(page: Page, worker: Worker, new: Worker) -> None:
    """Those of `?raw` and of the settings are loaded late. A worker of another version answers with the file it has."""
    page.goto(f"http://{new.host}/clock/")
    page.wait_for_selector(LIVE)
    for module, name in (("raw", "NewRawView"), ("panel", "NewPanel")):
        old = re.search(rf"{module}\.[0-9a-f]{{12}}\.js", worker.get("/static/clock/clock.js")[1])
        assert old
        assert name in page.evaluate(f"async () => Object.keys(await import('/static/clock/{old[0]}'))")


def test_a_second_visit_requests_the_page_only(separate_page: Page, directory: Path, worker: Worker) -> None:
    """All files are in the browser's cache."""
    with Rotation(directory, [worker], [worker]) as balancer:
        separate_page.goto(f"http://{balancer.host}/clock/")
        separate_page.wait_for_selector(LIVE)
        first = balancer.requested
        assert sum(path.startswith("/static/") for path in first) > 20
        page = separate_page.context.new_page()
        separate_page.goto("about:blank")
        page.goto(f"http://{balancer.host}/clock/")
        page.wait_for_selector(LIVE)
        assert {*balancer.requested[len(first) :]} == {"/clock/", "/clock/now", "/ws/clock/?rate=auto"}
