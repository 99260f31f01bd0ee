"""The options in the address: what cannot be used gives a plain text and the fallback, and never an exception."""

import random
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from testbed.processes import Worker
from tests.page.faces import reading, show
from tests.page.queries import random_query

READ = """async (queries) => {
  const { readOptions, writeOptions } = await import("/static/clock/options.js");
  return queries.map((query) => {
    const { options, problems } = readOptions(query);
    return { options, problems, again: readOptions(writeOptions(options)) };
  });
}"""


def read(page: Page, worker: Worker, *queries: str) -> list[Any]:
    """Return what the page makes of them."""
    show(page, worker)
    found: list[Any] = page.evaluate(READ, list(queries))
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("?tz=Asia/Tokyo", {"tz": ["Asia/Tokyo"]}),
        ("?tz=asia/tokyo&tz=UTC,%20Europe/Berlin", {"tz": ["Asia/Tokyo", "UTC", "Europe/Berlin"]}),
        ("?tz=UTC,Asia/Tokyo&label=&label=T%26C", {"tz": ["UTC", "Asia/Tokyo"], "labels": ["", "T&C"]}),
        ("?h=12&date=off&seconds=0&hundredths=no", {"hours": 12, "date": False, "seconds": False, "hundredths": False}),
        ("?label=Berlin,%20Germany", {"labels": ["Berlin, Germany"]}),
        ("?tz=UTC,Asia/Tokyo&label=a%0Ab&label=%0D%0Ac+", {"tz": ["UTC", "Asia/Tokyo"], "labels": ["a b", "c"]}),
        ("?theme=dark", {"theme": "dark"}),
        ("?theme=fff-003366", {"theme": "own", "colours": ["ffffff", "003366"]}),
        ("?theme=%23FFF-%23036", {"theme": "own", "colours": ["ffffff", "003366"]}),
        ("?bg=transparent&size=50&mirror&raw", {"background": "transparent", "size": 50, "mirror": True, "raw": True}),
        ("?offset=-80&rate=10&lang=pt-BR&awake=yes", {"offset": -80, "rate": 10, "lang": "pt", "awake": True}),
        ("?offset=%2B5", {"offset": 5}),
    ],
)
def test_what_can_be_used(page: Page, worker: Worker, query: str, found: dict[str, Any]) -> None:
    """It is read, and written it is read again as the same."""
    nothing, told = read(page, worker, "", query)
    assert told["problems"] == []
    assert {name: value for name, value in told["options"].items() if nothing["options"][name] != value} == found
    assert told["again"] == {"options": told["options"], "problems": []}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?tz=Mars/Olympus", "tz=Mars/Olympus cannot be used. It takes: up to 24 names of time zones, such as"),
        ("?tz=%2B05:30", "tz=+05:30 cannot be used. It takes: up to 24 names"),
        ("?label=" + 61 * "a", "cannot be used. It takes: up to 60 characters"),
        ("?label=a&label=b", "label=b cannot be used. It takes: up to 60 characters, and no more labels than clocks."),
        ("?h=13", "h=13 cannot be used. It takes: one of 12, 24."),
        ("?date=maybe", "date=maybe cannot be used. It takes: on or off."),
        ("?theme=own", "theme=own cannot be used. It takes: light, dark, contrast, or the colours of"),
        ("?theme=fff-eee", "theme=fff-eee cannot be used. It takes: light, dark, contrast, or the colours of"),
        ("?bg=red", "bg=red cannot be used. It takes: one of transparent."),
        ("?size=9", "size=9 cannot be used. It takes: a whole number from 10 to 100."),
        ("?offset=1.5", "offset=1.5 cannot be used. It takes: a whole number from -10000 to 10000."),
        ("?rate=60", "rate=60 cannot be used. It takes: one of 100, 50, 25, 20, 10, 5, 2, 1."),
        ("?lang=tlh", "lang=tlh cannot be used. It takes: one of ar, de, en, es, fr, ja, pt."),
        ("?hours=12", "There is no option hours."),
        ("?h=24&h=24", "h is given more than once; the first one counts."),
    ],
)
def test_what_cannot_be_used_is_said_and_falls_back(page: Page, worker: Worker, query: str, said: str) -> None:
    """In plain words on the page, beside a clock that goes on."""
    show(page, worker, query, reading(still=True))
    assert said in page.inner_text("#problems")
    assert page.inner_text(".time").replace("\n", "") == "18:33:05.12"
    nothing, told = read(page, worker, "", query)
    assert told["options"] == nothing["options"] | ({"labels": ["a"]} if "label=b" in query else {})


def test_some_zones_of_many_are_wrong(page: Page, worker: Worker) -> None:
    """The others are shown; and 24 are enough."""
    (told,) = read(page, worker, "?tz=UTC,X/Y,Asia/Tokyo")
    assert told["options"]["tz"] == ["UTC", "Asia/Tokyo"]
    assert len(told["problems"]) == 1
    (told,) = read(page, worker, "?tz=" + ",".join(["UTC"] * 30))
    assert (len(told["options"]["tz"]), len(told["problems"])) == (24, 1)


def test_many_problems_do_not_fill_the_screen(page: Page, worker: Worker) -> None:
    """Five are told, and how many more there are."""
    (told,) = read(page, worker, "?" + "&".join(f"x{number}=1" for number in range(12)))
    assert (len(told["problems"]), told["problems"][-1]) == (6, "And 7 more.")


def test_a_thousand_random_option_strings(page: Page, worker: Worker) -> None:
    """None raises; each gives options that can be written and read again, and texts where something is wrong."""
    draw = random.Random(5)
    queries = [random_query(draw) for _ in range(1_000)]
    found = read(page, worker, *queries)
    kinds = {name: type(value) for name, value in read(page, worker, "")[0]["options"].items()}
    wrong = 0
    for query, told in zip(queries, found, strict=True):
        wrong += bool(told["problems"])
        assert all(problem and "undefined" not in problem.split("=")[-1][50:] for problem in told["problems"]), query
        assert told["again"] == {"options": told["options"], "problems": []}, query
        for name, value in told["options"].items():
            assert isinstance(value, kinds[name]) or name in {"colours", "hundredths"}, query
    assert 200 < wrong < 1_000


def test_a_hundred_of_them_on_the_page(page: Page, worker: Worker) -> None:
    """Each shows a clock, and silence on the console; what is wrong is there to be read."""
    draw = random.Random(6)
    show(page, worker)
    for query in (random_query(draw) for _ in range(100)):
        response = page.goto(f"http://{worker.host}/clock/{quote(query, safe='?&=%+,/')}")
        assert response is not None
        assert response.status == 200, query
        page.wait_for_selector("#clock[data-wall]", timeout=5_000)
        page.wait_for_selector('#clock[data-state="live"]', timeout=5_000)
        assert page.locator(".seconds").first.inner_text()[1] != "\u2012", query
        problems = page.evaluate(
            "async () => (await import('/static/clock/options.js')).readOptions(location.search).problems.length"
        )
        # Whether the screen stays on is told there too.
        assert page.locator("#problems li").count() >= problems, query
