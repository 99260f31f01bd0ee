"""What the page shows of what it knows, in a real browser, with a timekeeper that says what it is told."""

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from testbed.processes import Worker
from tests.page.faces import NOON, reading, settle, show, tell

STATES = ("connecting", "live", "late", "holdover", "stopped", "refused")

# For each frame of a second: how many text nodes changed.
CHANGES = """() => new Promise((done) => {
  const frames = [[]];
  const changed = new MutationObserver((records) => {
    frames.at(-1).push(...records.map(({ target }) => target));
  });
  changed.observe(document.body, { characterData: true, childList: true, attributes: true, subtree: true });
  const end = performance.now() + 1900;
  const look = () => {
    frames.push([]);
    performance.now() < end ? requestAnimationFrame(look) : done(frames.map((targets) => new Set(targets).size));
  };
  requestAnimationFrame(look);
})"""


def test_one_text_changes_in_a_frame(page: Page, worker: Worker) -> None:
    """The hundredths, and nothing else; with a new second the seconds too."""
    show(page, worker, told=reading(bound=2.31))
    changed: list[int] = page.evaluate(CHANGES)
    assert len(changed) > 20
    assert sum(count > 1 for count in changed) <= 2
    assert max(changed) <= 2


def test_nothing_moves(page: Page, worker: Worker) -> None:
    """Whatever state follows on whatever state, and whatever is known of the time: the figures stay where they are."""
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, worker, told=reading("connecting"))
    where = """() => {
      const { x, y, width } = document.querySelector(".time").getBoundingClientRect();
      return [x, y, width];
    }"""
    places = [page.evaluate(where)]
    for told in (
        *(reading(state) for state in STATES),
        reading(bound=None),
        reading(bound=20),
        reading(bound=70),
        reading(bound=300),
        reading(time=NOON + 3_600_000 * 9),
    ):
        tell(page, told)
        places.append(page.evaluate(where))
    assert all(place == places[0] for place in places)


@pytest.mark.parametrize(
    ("bound", "tenths", "hundredths", "shown"),
    [
        (0.3, "sharp", "sharp", ".12"),
        (10, "sharp", "sharp", ".12"),
        (10.1, "sharp", "dim", ".12"),
        (49, "sharp", "dim", ".12"),
        (50, "sharp", "hidden", ".1"),
        (100, "sharp", "hidden", ".1"),
        (101, "dim", "hidden", ".1"),
        (499, "dim", "hidden", ".1"),
        (500, "hidden", "hidden", ""),
        (None, "unknown", "unknown", ".12"),
    ],
)
def test_a_figure_that_is_not_justified_is_dimmed_and_then_hidden(
    page: Page, worker: Worker, bound: float | None, tenths: str, hundredths: str, shown: str
) -> None:
    """Up to one unit it is sharp; from five on, ± covers all ten figures, and it is hidden."""
    show(page, worker, told=reading(bound=bound, still=True))
    time = page.locator(".time")
    assert (time.get_attribute("data-tenths"), time.get_attribute("data-hundredths")) == (tenths, hundredths)
    assert page.inner_text(".fraction").strip() == shown
    assert page.inner_text("#bound") == {
        0.3: "± 0.3 ms",
        10: "± 10 ms",
        10.1: "± 11 ms",
        None: "± unknown",
    }.get(bound, f"± {bound} ms")


def test_a_bound_that_wavers_does_not_make_a_figure_flicker(page: Page, worker: Worker) -> None:
    """What became worth less must do a fifth better to become more."""
    show(page, worker)
    path: list[str] = page.evaluate(
        """async () => {
          const { worth } = await import("/static/clock/digits.js");
          let before = "sharp";
          return [9, 11, 9.5, 10.5, 9, 7.9, 60, 45, 41, 39, 60, 7].map((bound) => (before = worth(bound, 10, before)));
        }"""
    )
    assert path == [*["sharp"], *["dim"] * 4, "sharp", *["hidden"] * 3, "dim", "hidden", "sharp"]


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_word_and_its_shape(page: Page, worker: Worker, state: str) -> None:
    """And only those that know the time show one."""
    show(page, worker, told=reading(state))
    words = {
        "connecting": "connecting",
        "live": "live",
        "late": "late: no tick just now",
        "holdover": "no ticks since 18:31:58: counting on",
        "stopped": "stopped: the time is not known, no ticks since 18:31:58",
        "refused": "refused: the server's own words",
    }
    bounds = {"live": "± 2.4 ms", "late": "± 2.4 ms", "holdover": "± 15 ms, growing"}
    assert page.inner_text("#state-word") == words[state]
    assert page.inner_text("#bound") == bounds.get(state, "")
    runs = state in bounds
    assert page.inner_text(".seconds").startswith("18:33:0") is runs
    assert (page.inner_text(".seconds") == "\u2012\u2012:\u2012\u2012:\u2012\u2012") is not runs
    assert (page.inner_text(".fraction") == ".\u2012\u2012") is not runs


def test_no_two_states_have_the_same_lamp(page: Page, worker: Worker) -> None:
    """For those who do not see its colour."""
    show(page, worker)
    shapes = set()
    for state in STATES:
        tell(page, reading(state))
        style = "(lamp) => ['borderRadius', 'clipPath', 'backgroundImage'].map((name) => getComputedStyle(lamp)[name])"
        filled = "(lamp) => getComputedStyle(lamp).backgroundColor !== 'rgba(0, 0, 0, 0)'"
        lamp = page.locator("#lamp")
        shapes.add(re.sub(r"rgba?\([^)]*\)", "", str([*lamp.evaluate(style), lamp.evaluate(filled)])))
    assert len(shapes) == len(STATES)


def test_a_step_and_an_offset_are_told(page: Page, worker: Worker) -> None:
    """What is shown is not what the ticker has, and the page says so."""
    show(page, worker, "?offset=80", reading(stepped=True, still=True))
    assert page.inner_text("#notes") == "the clock was set · shown 80 ms ahead"
    assert page.inner_text(".fraction") == ".20"


def test_a_clock_that_nothing_keeps_right(page: Page, worker: Worker) -> None:
    """The bound is of this screen against the ticker's clock. Whether that is right is another matter, and is told."""
    show(page, worker, "", reading(synchronised=None))
    top = page.locator(".time").bounding_box()
    assert page.inner_text("#notes") == "whether the server's clock is synchronised is not known"
    tell(page, reading(synchronised=False))
    assert page.inner_text("#notes") == "the server's clock is not synchronised"
    page.keyboard.press("t")
    expect(page.locator("#spoken")).to_contain_text("live, ± 2.4 ms, the server's clock is not synchronised")
    tell(page, reading(synchronised=True))
    assert page.inner_text("#notes") == ""
    assert page.locator(".time").bounding_box() == top


def test_a_wall_of_clocks(page: Page, worker: Worker) -> None:
    """Each in its zone and with its label, and without hundredths unless they are asked for."""
    zones = "America/New_York,Asia/Kolkata,Pacific/Chatham"
    show(page, worker, f"?tz={zones}&label=New+York&label=&label=%3Cb%3EChatham", reading(still=True))
    dials = page.locator(".dial")
    assert dials.count() == 3
    assert page.locator(".seconds").all_inner_texts() == ["07:48:05", "18:18:05", "02:33:05"]
    assert page.locator(".zone-name").all_inner_texts() == zones.split(",")
    assert page.locator(".zone-offset").all_inner_texts() == ["UTC\u221205:00", "UTC+05:30", "UTC+13:45"]
    assert page.locator(".label:visible").all_inner_texts() == ["New York", "<b>Chatham"]
    assert page.locator(".date").last.inner_text().replace(",", "") == "Monday 23 November 2026"
    assert page.locator(".fraction:visible").count() == 0
    show(page, worker, f"?tz={zones}&hundredths=on", reading(still=True))
    assert page.locator(".fraction:visible").all_inner_texts() == [".12"] * 3


@pytest.mark.parametrize("size", [(390, 844), (844, 390), (1280, 720), (3840, 2160)])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("more", ["", "&h=12&hundredths=on"])
def test_a_wall_fits(page: Page, worker: Worker, size: tuple[int, int], count: int, more: str) -> None:
    """It is never wider than the screen, and higher only where the words alone fill it."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    zones = "Europe/Berlin,Asia/Tokyo,America/New_York,Asia/Kolkata,Pacific/Auckland,America/Sao_Paulo"
    told = reading(synchronised=False)
    show(page, worker, f"?tz={','.join((zones + ',' + zones).split(',')[:count])}{more}", told)
    width, height = page.evaluate(
        """() => [
          Math.max(...[...document.querySelectorAll(".dial")].map((dial) => dial.getBoundingClientRect().right)),
          document.documentElement.scrollHeight,
        ]"""
    )
    assert width <= size[0]
    assert height <= size[1] or (min(size) < 400 and count > 2)


def test_twelve_hours(page: Page, worker: Worker) -> None:
    """With the half of the day in the reader's language; midnight is twelve."""
    show(page, worker, "?h=12&seconds=off&date=off", reading(still=True))
    assert page.inner_text(".time").split() == ["6:33", "pm"]
    assert not page.locator(".date").is_visible()
    tell(page, reading(still=True, time=NOON + 3_600_000 * 6))
    assert page.inner_text(".time").split() == ["12:33", "am"]
    tell(page, reading(still=True, time=NOON + 3_600_000 * 16))
    assert page.inner_text(".time").split() == ["10:33", "am"]


def test_a_zone_that_the_browser_does_not_know(page: Page, worker: Worker) -> None:
    """The server's own is told by the server: at once if the browser lacks it, after seconds if it has another."""
    show(page, worker)
    assert page.evaluate(
        """async () => {
          const { Zone } = await import("/static/clock/zones.js");
          const unknown = new Zone("Mars/Olympus", { told: true });
          const known = new Zone("Europe/Berlin", { told: true });
          const other = new Zone("Europe/Berlin");
          const at = Date.UTC(2026, 0, 1);
          return [
            unknown.offset(at), unknown.offset(at, 60_000),
            ...Array.from({ length: 7 }, (_, second) => known.offset(at + 1000 * second, 7_200_000) / 3_600_000),
            known.offset(at, 3_600_000) / 3_600_000,
            other.offset(at, 7_200_000) / 3_600_000,
            new Zone("Asia/Kathmandu").offset(Date.UTC(1980, 0, 1)) / 60_000,
            new Zone("America/St_Johns").offset(Date.UTC(2026, 6, 1) + 999) / 60_000,
          ];
        }"""
    ) == [0, 60_000, 1, 1, 1, 1, 1, 2, 2, 1, 1, 330, -150]


def test_reduced_motion_drops_hundredths(page: Page, worker: Worker) -> None:
    """When the device asks for it, and only then, also while the page is open."""
    page.emulate_media(reduced_motion="reduce")
    show(page, worker)
    assert not page.locator(".fraction").is_visible()
    page.emulate_media(reduced_motion="no-preference")
    settle(page)
    assert page.locator(".fraction").is_visible()


def test_it_is_spoken_on_request(page: Page, worker: Worker) -> None:
    """The figures are not read out; a key or a button has the time said once."""
    show(page, worker, told=reading(still=True, bound=2))
    assert page.get_attribute(".time", "aria-hidden") == "true"
    assert page.inner_text("#spoken") == ""
    page.keyboard.press("t")
    said = "18:33:05, Sunday 22 November 2026, Asia/Kathmandu. live, ± 2.0 ms"
    expect(page.locator("#spoken")).to_have_text(re.compile(said.replace("Sunday", "Sunday,?")))


def test_changes_of_state_are_announced_when_they_last(page: Page, worker: Worker) -> None:
    """What passes at once is not worth a word, and neither is that all is as it should be."""
    show(page, worker)
    page.wait_for_timeout(1_700)
    assert page.inner_text("#spoken") == ""
    tell(page, reading("late"))
    page.wait_for_timeout(500)
    tell(page, reading())
    page.wait_for_timeout(1_700)
    assert page.inner_text("#spoken") == ""
    tell(page, reading("holdover"))
    expect(page.locator("#spoken")).to_contain_text("no ticks since", timeout=3_000)
    tell(page, reading())
    expect(page.locator("#spoken")).to_have_text("live", timeout=3_000)
    live = "[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=timer], output')]"
    assert page.evaluate(f"() => {live}.map((element) => element.id)") == ["spoken", "panel-problem"]


def test_keys_do_all(page: Page, worker: Worker) -> None:
    """The settings are opened, changed, seen, and closed again without a mouse; the address keeps them."""
    show(page, worker, told=reading(still=True))
    page.keyboard.press("s")
    assert page.locator("#panel").is_visible()
    assert page.evaluate("document.activeElement.name") == "tz"
    assert page.input_value("[name=tz]") == ""  # the key that opened it is not typed
    page.keyboard.type("Asia/Tokyo, Mars/Olympus")
    page.keyboard.press("Tab")
    assert page.locator(".zone-name").all_inner_texts() == ["Asia/Tokyo"]
    assert "Mars/Olympus" in page.inner_text("#panel-problem")
    page.keyboard.type("tea")
    assert page.inner_text(".label") == "tea"
    for field, key in (("h", "ArrowDown"), ("mirror", " ")):
        page.focus(f"[name={field}]")
        page.keyboard.press(key)
    page.wait_for_url("**/clock/?tz=Asia/Tokyo&label=tea&h=12&mirror=on")
    assert page.get_attribute("#bare", "href") == "/clock/embed?tz=Asia/Tokyo&label=tea&h=12&mirror=on"
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    page.keyboard.press("f")
    page.wait_for_selector("html:fullscreen")
    page.keyboard.press("f")
    page.wait_for_selector("html:not(:fullscreen)")
    before = page.inner_text(".time")
    page.reload()
    settle(page)
    assert page.inner_text(".time") == before
    page.keyboard.press("s")
    page.focus("#reset")
    page.keyboard.press("Enter")
    page.wait_for_url("**/clock/")


@pytest.mark.parametrize(
    "query",
    [
        (
            "?tz=Asia/Tokyo,Europe/Berlin&label=&label=B&h=12&date=off&seconds=off&hundredths=on&mirror=on"
            "&theme=ffffff-003366&bg=transparent&size=40&offset=-80&rate=10&lang=fr"
        ),
        "?label=Berlin%2C%20Germany",
        "?tz=Europe/Berlin,Asia/Tokyo,UTC&label=Berlin%2C%20Germany&label=&label=%2C%2BU/T%26C%2C%2C",
    ],
)
def test_all_that_the_panel_sets_is_what_the_address_says(page: Page, worker: Worker, query: str) -> None:
    """Opened on any options, it changes none of them."""
    show(page, worker, query)
    labels = page.locator(".label").all_inner_texts()
    page.keyboard.press("s")
    page.locator("form").dispatch_event("change")
    settle(page)
    assert page.evaluate("location.pathname + location.search") == f"/clock/{query}"
    assert page.get_attribute("#bare", "href") == f"/clock/embed{query}"
    assert page.locator(".label").all_inner_texts() == labels
    assert not page.locator("#problems, #panel-problem").filter(visible=True).count()
    assert page.evaluate("window.asked.rate") == (10 if "rate" in query else None)


def test_labels_are_typed_a_line_for_each_clock(page: Page, worker: Worker) -> None:
    """So they may contain commas. A line too many is said, and kept until there is a clock for it."""
    show(page, worker, told=reading(still=True))
    page.keyboard.press("s")
    labels = page.locator("[name=label]")
    labels.press_sequentially("Berlin, Germany\n")
    assert page.locator("#panel").is_visible()
    assert page.locator(".label:visible").all_inner_texts() == ["Berlin, Germany"]
    assert page.title() == "Berlin, Germany"
    assert page.inner_text("#panel-problem") == ""
    labels.press_sequentially("Washington, D.C.")
    assert "no more labels than clocks" in page.inner_text("#panel-problem")
    page.fill("[name=tz]", "Europe/Berlin,America/New_York")
    page.locator("[name=tz]").dispatch_event("change")
    assert page.inner_text("#panel-problem") == ""
    assert page.locator(".label:visible").all_inner_texts() == ["Berlin, Germany", "Washington, D.C."]
    assert labels.get_attribute("rows") == "2"
    page.reload()
    settle(page)
    page.keyboard.press("s")
    assert labels.input_value() == "Berlin, Germany\nWashington, D.C."


def test_a_change_of_language_loads_anew_only_where_there_is_a_server(page: Page, worker: Worker) -> None:
    """Else the clock would be gone."""
    show(page, worker)
    page.keyboard.press("s")
    page.route("**/clock/?lang=de", lambda route: route.fulfill(status=503))
    page.select_option("[name=lang]", "de")
    expect(page.locator("#panel-problem")).to_have_text("The server cannot be reached; try again later.")
    assert page.get_attribute("html", "lang") == "en"
    page.unroute("**/clock/?lang=de")
    page.select_option("[name=lang]", "fr")
    page.wait_for_selector("html[lang=fr]")
    assert page.title() == "Horloge"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("{ request: async () => new EventTarget() }", ""),
        (
            "{ request: async () => { throw new Error('low battery'); } }",
            "the browser refused to keep it on (low battery)",
        ),
        ("undefined", "this browser cannot keep it on"),
        (None, "browsers keep it on over HTTPS only"),
    ],
)
def test_the_screen_stays_on_or_it_is_said_why_not(page: Page, worker: Worker, device: str | None, said: str) -> None:
    """Over plain HTTP on a network, a browser has no wake lock at all."""
    if device is None:
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false });")
    else:
        page.add_init_script(f"Object.defineProperty(Navigator.prototype, 'wakeLock', {{ get: () => ({device}) }});")
    show(page, worker, "?awake=on")
    if said:
        assert page.inner_text("#problems") == f"The screen may go off: {said}."
    else:
        assert not page.locator("#problems").is_visible()
        assert page.text_content("#awake-word") == "The screen stays on."


def test_cursor_and_buttons_go(page: Page, worker: Worker) -> None:
    """After some seconds without a move; and come back with one."""
    show(page, worker)
    page.wait_for_selector("body[data-idle=true]", timeout=5_000)
    assert page.evaluate("getComputedStyle(document.body).cursor") == "none"
    page.mouse.move(100, 100)
    page.wait_for_selector("body[data-idle=false]")


def test_pixels_are_spared(page: Page, worker: Worker) -> None:
    """The clock wanders by a few pixels, a step a minute."""
    page.clock.install()
    show(page, worker)
    places = set()
    for _ in range(20):
        page.clock.run_for(60_000)
        places.add(page.evaluate("getComputedStyle(document.getElementById('clock')).transform"))
    assert len(places) > 10
    shifts = [abs(float(number)) for place in places for number in re.findall(r"-?[\d.]+", place)[4:]]
    assert 4 <= max(shifts) <= 6


def test_the_embedded_page_leaves_the_keys_alone(page: Page, worker: Worker) -> None:
    """It has the same clock and options, and nothing to press."""
    show(page, worker, "?tz=Asia/Tokyo", reading(still=True), path="embed")
    page.keyboard.press("s")
    assert page.inner_text(".seconds") == "21:48:05"
    assert page.locator("button, dialog").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark", "contrast", "ffe-013"])
def test_axe_finds_nothing(page: Page, worker: Worker, theme: str) -> None:
    """In any state and theme, with and without settings, as a wall, and in a language from right to left."""
    show(page, worker, f"?theme={theme}&rate=7&offset=20")
    for state in STATES:
        tell(page, reading(state))
        assert violations(page) == [], state
    tell(page, reading(bound=20))
    assert violations(page) == []
    page.keyboard.press("s")
    page.wait_for_timeout(400)
    assert violations(page) == []
    for query in ("tz=Asia/Tokyo,Europe/Berlin&label=T", "raw=on", "lang=ar"):
        show(page, worker, f"?theme={theme}&{query}")
        assert violations(page) == [], query


def violations(page: Page) -> list[str]:
    """Return what axe has against the page."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {json.dumps([node['html'] for node in one['nodes']])[:300]}" for one in found]


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
def test_it_is_light(browser: Browser, worker: Worker, language: str) -> None:
    """All that a browser loads is below 30 kB as it goes over the wire, with the header of each file."""
    page = browser.new_page(locale=language)
    loaded: dict[str, tuple[int, int]] = {}

    def add(request: Any) -> None:
        sizes = request.sizes()
        loaded[request.url] = sizes["responseBodySize"], sizes["responseHeadersSize"]

    page.on("requestfinished", add)
    page.goto(f"http://{worker.host}/clock/")
    page.wait_for_selector("#clock[data-state=live]")
    page.keyboard.press("s")
    files = {url: sizes for url, sizes in loaded.items() if not url.endswith("/now")}
    assert len(files) > 10
    bodies, headers = (sum(sizes[part] for sizes in files.values()) for part in (0, 1))
    page.close()
    print(f"{language}: {len(files)} files of {bodies} bytes, and {headers} of headers")
    assert bodies + headers < 30_000


def test_it_loads_itself_anew_when_there_is_a_new_version(page: Page, worker: Worker) -> None:
    """And does not, while the version is the same or the page cannot be had."""
    page.clock.install()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    served = {"version": None, "status": 200}

    def now(route: Any) -> None:
        answer = route.fetch()
        headers = {**answer.headers, "clock-version": served["version"] or answer.headers["clock-version"]}
        route.fulfill(response=answer, headers=headers)

    page.route("**/clock/now", now)
    page.route(
        "**/clock/",
        lambda route: route.fulfill(status=served["status"]) if route.request.method == "HEAD" else route.continue_(),
    )
    show(page, worker)

    def wait_minutes(minutes: int) -> None:
        for _ in range(minutes):
            page.clock.fast_forward(60_000)  # at once: a question under way would time out in a minute that runs
            page.wait_for_timeout(200)

    wait_minutes(11)
    assert len(loads) == 1
    served |= {"version": "another", "status": 503}
    wait_minutes(11)
    assert len(loads) == 1
    served["status"] = 200
    for _ in range(12):
        if len(loads) < 2:
            wait_minutes(1)
    assert len(loads) == 2
