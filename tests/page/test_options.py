"""The options in the address: an invalid one gives a message and its default, and never an exception."""

import re
from typing import TypedDict

import pytest
from django.conf import settings
from playwright.sync_api import Page

from clock.contract import AUTO, RATES
from testbed.processes import ROOT
from tests.page.support.fake_timekeeper import reading, use_options
from tests.page.support.random_queries import random_queries

READ = """async (queries) => {
  const { readOptions } = await import("/static/clock/options.js");
  const { writeOptions } = await import("/static/clock/panel.js");
  return queries.map((query) => {
    const { options, problems } = readOptions(query);
    return { options, problems, again: readOptions(writeOptions(options)) };
  });
}"""

# Uses each query on the page. Returns [query, whether a time is shown, how many messages are visible].
USE = """async (queries) => {
  const { use } = await import(document.querySelector("script[type=module]").src);
  const { readOptions } = await import("/static/clock/options.js");
  const painted = () => new Promise(requestAnimationFrame); // the page has asked for this frame before
  const seen = [];
  for (const query of queries) {
    use(readOptions(query));
    await painted();
    const times = [...document.querySelectorAll(".seconds")].map((one) => one.textContent);
    const problems = [...document.querySelectorAll("#problems li")].filter((one) => one.checkVisibility());
    seen.push([query, times.length > 0 && times.every((text) => /[0-9]:[0-9]/.test(text)), problems.length]);
  }
  return seen;
}"""


class Parsed(TypedDict):
    """What readOptions() returns."""

    options: dict[str, object]
    problems: list[str]


class Found(Parsed):
    """And what it returns for the address that writeOptions() writes."""

    again: Parsed


def read(page: Page, *queries: str) -> list[Found]:
    """Return what the page makes of these queries."""
    found: list[Found] = page.evaluate(READ, list(queries))
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("?tz=Asia/Tokyo", {"tz": ["Asia/Tokyo"]}),
        ("?tz=asia/tokyo&tz=UTC,%20Europe/Berlin", {"tz": ["Asia/Tokyo", "UTC", "Europe/Berlin"]}),
        ("?tz=UTC,Asia/Tokyo&label=&label=T%26C", {"tz": ["UTC", "Asia/Tokyo"], "labels": ["", "T&C"]}),
        ("?h=12&date=off&seconds=0&hundredths=no", {"hours": 12, "date": False, "seconds": False, "hundredths": False}),
        ("?label=Berlin,%20Germany", {"labels": ["Berlin, Germany"]}),
        ("?tz=UTC,Asia/Tokyo&label=a%0Ab&label=%0D%0Ac+", {"tz": ["UTC", "Asia/Tokyo"], "labels": ["a b", "c"]}),
        ("?theme=dark", {"theme": "dark"}),
        ("?theme=fff-003366", {"theme": "custom", "colours": ["ffffff", "003366"]}),
        ("?theme=%23FFF-%23036", {"theme": "custom", "colours": ["ffffff", "003366"]}),
        ("?bg=transparent&size=50&mirror&raw", {"background": "transparent", "size": 50, "mirror": True, "raw": True}),
        ("?offset=-80&rate=10&lang=pt-BR&awake=yes", {"offset": -80, "rate": 10, "lang": "pt", "awake": True}),
        ("?offset=%2B5", {"offset": 5}),
        ("?rate=auto", {}),
        ("?rate=100", {"rate": 100}),
    ],
)
def test_valid_options_are_read_and_written(clock: Page, query: str, expected: dict[str, object]) -> None:
    """Written to an address, they are read again as the same."""
    defaults, found = read(clock, "", query)
    assert found["problems"] == []
    assert {name: value for name, value in found["options"].items() if defaults["options"][name] != value} == expected
    assert found["again"] == {"options": found["options"], "problems": []}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?tz=Mars/Olympus", "tz=Mars/Olympus is invalid. Valid: at most 24 names of time zones, such as"),
        ("?tz=%2B05:30", "tz=+05:30 is invalid. Valid: at most 24 names"),
        ("?label=" + 61 * "a", "is invalid. Valid: at most 60 characters"),
        ("?label=a&label=b", "label=b is invalid. Valid: at most 60 characters, and no more labels than clocks."),
        ("?h=13", "h=13 is invalid. Valid: one of 12, 24."),
        ("?date=maybe", "date=maybe is invalid. Valid: on or off."),
        ("?theme=custom", "theme=custom is invalid. Valid: light, dark, contrast, or the colours of"),
        ("?theme=fff-eee", "theme=fff-eee is invalid. Valid: light, dark, contrast, or the colours of"),
        ("?bg=red", "bg=red is invalid. Valid: one of transparent."),
        ("?size=9", "size=9 is invalid. Valid: a whole number from 10 to 100."),
        ("?offset=1.5", "offset=1.5 is invalid. Valid: a whole number from -10000 to 10000."),
        ("?rate=60", "rate=60 is invalid. Valid: one of auto, 100, 50, 25, 20, 10, 5, 2, 1."),
        ("?lang=tlh", "lang=tlh is invalid. Valid: one of ar, de, en, es, fr, ja, pt."),
        ("?hours=12", "Unknown option: hours."),
        ("?h=24&h=24", "h is given more than once; the first one is used."),
    ],
)
def test_an_invalid_option_gives_a_message_and_its_default(clock: Page, query: str, message: str) -> None:
    """The page shows the message, and the clock runs."""
    use_options(clock, query, reading(still=True))
    assert message in clock.inner_text("#problems")
    assert clock.inner_text(".time").replace("\n", "") == "18:33:05.12"
    defaults, found = read(clock, "", query)
    assert found["options"] == defaults["options"] | ({"labels": ["a"]} if "label=b" in query else {})


def test_invalid_time_zones_are_left_out(clock: Page) -> None:
    """The others are shown; at most 24."""
    some, many = read(clock, "?tz=UTC,X/Y,Asia/Tokyo", "?tz=" + ",".join(["UTC"] * 30))
    assert some["options"]["tz"] == ["UTC", "Asia/Tokyo"]
    assert len(some["problems"]) == 1
    assert many["options"]["tz"] == ["UTC"] * 24
    assert len(many["problems"]) == 1


def test_at_most_five_messages_are_listed(clock: Page) -> None:
    """And how many more there are."""
    (found,) = read(clock, "?" + "&".join(f"x{number}=1" for number in range(12)))
    assert (len(found["problems"]), found["problems"][-1]) == (6, "And 7 more.")


def test_random_queries_never_raise(clock: Page) -> None:
    """Of a thousand, each gives options that can be written and read again, and messages if something is wrong."""
    queries = random_queries(5, 1_000)
    kinds = {name: type(value) for name, value in read(clock, "")[0]["options"].items()}
    invalid = 0
    for query, found in zip(queries, read(clock, *queries), strict=True):
        invalid += bool(found["problems"])
        assert all(problem and "undefined" not in problem.split("=")[-1][50:] for problem in found["problems"]), query
        assert found["again"] == {"options": found["options"], "problems": []}, query
        for name, value in found["options"].items():
            assert isinstance(value, kinds[name]) or name in {"colours", "hundredths", "rate"}, query
    assert 200 < invalid < 1_000


@pytest.mark.parametrize("count", [50, pytest.param(1_000, marks=pytest.mark.soak)])
def test_a_page_can_use_random_queries_one_after_the_other(clock: Page, count: int) -> None:
    """Each shows a clock, or a message; the fixture checks that nothing raises or logs."""
    seen: list[tuple[str, bool, int]] = clock.evaluate(USE, random_queries(7, count))
    assert [query for query, shows_time, problems in seen if not shows_time and not problems] == []
    assert 0.2 * count < sum(problems > 0 for *_, problems in seen) < 1_000
    assert sum(shows_time for _, shows_time, _ in seen) > 0.9 * count


def test_the_documentation_lists_every_option() -> None:
    """In the table of docs/page.md, with the limits of the code."""
    source = (ROOT / "clock/static/clock/options.js").read_text()
    parsers = re.search(r"const PARSERS = \{(.*?)\n\};", source, re.DOTALL)
    assert parsers
    documented = re.findall(r"^\| `(\w+)` \| (.*) \| .* \|$", (ROOT / "docs/page.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in documented) == sorted(re.findall(r"^  (\w+)[(:]", parsers[1], re.MULTILINE))
    values = dict(documented)
    for name, limit in (("tz", "MAXIMUM_ZONES"), ("label", "MAXIMUM_LABEL_LENGTH"), ("theme", "MINIMUM_CONTRAST")):
        found = re.search(rf"const {limit} = ([\d.]+);", source)
        assert found
        assert found[1] in values[name]
    *rest, last = RATES
    assert f"{', '.join(map(str, rest))} or {last}" in values["rate"]
    assert f"`{AUTO}`" in values["rate"]
    *codes, last_code = sorted(code for code, _ in settings.LANGUAGES)
    assert f"{', '.join(f'`{code}`' for code in codes)} or `{last_code}`" in values["lang"]
