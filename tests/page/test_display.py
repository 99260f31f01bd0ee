"""What the page shows of a reading: digits, states, bounds, notes and time zones."""

import re

import pytest
from playwright.sync_api import Page

from tests.page.support.fake_timekeeper import NOON_MS, Changes, reading, set_reading, settle, use_options

STATES = ("connecting", "live", "late", "holdover", "stopped", "refused")
HOUR_MS = 3_600_000

# For each animation frame of two seconds: how many nodes changed.
COUNT_CHANGES = """() => new Promise((done) => {
  const frames = [[]];
  const observer = new MutationObserver((records) => frames.at(-1).push(...records.map(({ target }) => target)));
  observer.observe(document.body, { characterData: true, childList: true, attributes: true, subtree: true });
  const end = performance.now() + 1900;
  const count = () => {
    frames.push([]);
    if (performance.now() < end) requestAnimationFrame(count);
    else {
      observer.disconnect();
      done(frames.map((targets) => new Set(targets).size));
    }
  };
  requestAnimationFrame(count);
})"""


def test_one_text_node_changes_per_animation_frame(clock: Page) -> None:
    """The hundredths; and with a new second, the seconds too."""
    clock.mouse.move(100, 100)  # so that the cursor does not disappear meanwhile
    counts: list[int] = clock.evaluate(COUNT_CHANGES)
    assert len(counts) > 20
    assert sum(count > 1 for count in counts) <= 2
    assert max(counts) <= 2


def test_the_digits_stay_in_place(clock: Page) -> None:
    """In every state, with every bound, and with any digits."""
    clock.set_viewport_size({"width": 390, "height": 844})
    locate = """() => {
      const { x, y, width } = document.querySelector(".time").getBoundingClientRect();
      return [x, y, width];
    }"""
    set_reading(clock, reading("connecting"))
    place = clock.evaluate(locate)
    bounds: list[Changes] = [{"bound": None}, {"bound": 20}, {"bound": 70}, {"bound": 300}]
    others: list[Changes] = [*bounds, {"time": NOON_MS + 9 * HOUR_MS}]
    for now in (*(reading(state) for state in STATES), *(reading(**other) for other in others)):
        set_reading(clock, now)
        assert clock.evaluate(locate) == place, now


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
def test_digits_that_the_bound_does_not_justify_are_dim_or_hidden(
    clock: Page, bound: float | None, tenths: str, hundredths: str, shown: str
) -> None:
    """With a bound of at most one unit, a digit is sharp; from five units on, it is hidden. The bound is rounded up."""
    set_reading(clock, reading("connecting"))  # which forgets how visible they were
    set_reading(clock, reading(bound=bound, still=True))
    time = clock.locator(".time")
    assert (time.get_attribute("data-tenths"), time.get_attribute("data-hundredths")) == (tenths, hundredths)
    assert clock.inner_text(".fraction").strip() == shown
    texts = {0.3: "± 0.3 ms", 10: "± 10 ms", 10.1: "± 11 ms", None: "± unknown"}
    assert clock.inner_text("#bound") == texts.get(bound, f"± {bound} ms")


def test_a_bound_that_varies_does_not_make_a_digit_flicker(clock: Page) -> None:
    """To become more visible again, a digit must beat the limit by a fifth."""
    path: list[str] = clock.evaluate(
        """async () => {
          const { visibility } = await import("/static/clock/readout.js");
          let previous = "sharp";
          const bounds = [9, 11, 9.5, 10.5, 9, 7.9, 60, 45, 41, 39, 60, 7];
          return bounds.map((bound) => (previous = visibility(bound, 10, previous)));
        }"""
    )
    assert path == ["sharp", *["dim"] * 4, "sharp", *["hidden"] * 3, "dim", "hidden", "sharp"]


@pytest.mark.parametrize(
    ("state", "text", "bound"),
    [
        ("connecting", "connecting", ""),
        ("live", "live", "± 2.4 ms"),
        ("late", "late: signal delayed", "± 2.4 ms"),
        ("holdover", "no signal since 18:31:58: free-running", "± 15 ms, growing"),
        ("stopped", "stopped: time unknown, no signal since 18:31:58", ""),
        ("refused", "refused: the server's own words", ""),
    ],
)
def test_each_state_has_a_text_and_shows_the_time_only_if_it_is_known(
    clock: Page, state: str, text: str, bound: str
) -> None:
    """The others show dashes."""
    set_reading(clock, reading(state))
    assert clock.inner_text("#state-text") == text
    assert clock.inner_text("#bound") == bound
    dashes = "\u2012\u2012"
    if bound:
        assert re.fullmatch(r"18:3\d:\d\d", clock.inner_text(".seconds"))
    else:
        assert clock.inner_text(".seconds") == f"{dashes}:{dashes}:{dashes}"
        assert clock.inner_text(".fraction") == f".{dashes}"


def test_each_state_has_a_lamp_of_its_own_shape(clock: Page) -> None:
    """So nobody needs to see its colour."""
    style = "(lamp) => ['borderRadius', 'clipPath', 'backgroundImage'].map((name) => getComputedStyle(lamp)[name])"
    is_filled = "(lamp) => getComputedStyle(lamp).backgroundColor !== 'rgba(0, 0, 0, 0)'"
    lamp = clock.locator("#lamp")
    shapes = set()
    for state in STATES:
        set_reading(clock, reading(state))
        shapes.add(re.sub(r"rgba?\([^)]*\)", "", str([*lamp.evaluate(style), lamp.evaluate(is_filled)])))
    assert len(shapes) == len(STATES)


def test_notes_mention_a_step_and_an_offset(clock: Page) -> None:
    """The shown time then differs from the ticker's, or from the time before."""
    use_options(clock, "?offset=80", reading(stepped=True, still=True))
    assert clock.inner_text("#notes") == "the clock was set · shown 80 ms ahead"
    assert clock.inner_text(".fraction") == ".20"
    use_options(clock, "?offset=-80", reading(still=True))
    assert clock.inner_text("#notes") == "shown 80 ms behind"


def test_notes_mention_a_server_that_is_not_synchronised(clock: Page) -> None:
    """The bound is relative to the ticker's clock. Whether that clock is right is another matter."""
    place = clock.locator(".time").bounding_box()
    for synchronised, note in (
        (None, "unknown whether the server's clock is synchronised"),
        (False, "the server's clock is not synchronised"),
        (True, ""),
    ):
        set_reading(clock, reading(synchronised=synchronised))
        assert clock.inner_text("#notes") == note
        assert clock.locator(".time").bounding_box() == place


def test_several_time_zones_have_a_clock_each(clock: Page) -> None:
    """With a label each, and without hundredths unless the address asks for them."""
    zones = "America/New_York,Asia/Kolkata,Pacific/Chatham"
    use_options(clock, f"?tz={zones}&label=New+York&label=&label=%3Cb%3EChatham", reading(still=True))
    assert clock.locator(".readout").count() == 3
    assert clock.locator(".seconds").all_inner_texts() == ["07:48:05", "18:18:05", "02:33:05"]
    assert clock.locator(".zone-name").all_inner_texts() == zones.split(",")
    assert clock.locator(".zone-offset").all_inner_texts() == ["UTC\u221205:00", "UTC+05:30", "UTC+13:45"]
    assert clock.locator(".label:visible").all_inner_texts() == ["New York", "<b>Chatham"]
    assert clock.locator(".date").last.inner_text().replace(",", "") == "Monday 23 November 2026"
    assert clock.locator(".fraction:visible").count() == 0
    use_options(clock, f"?tz={zones}&hundredths=on", reading(still=True))
    assert clock.locator(".fraction:visible").all_inner_texts() == [".12"] * 3


def test_twelve_hours_have_a_day_period(clock: Page) -> None:
    """In the language of the browser. Midnight is 12."""
    use_options(clock, "?h=12&seconds=off&date=off", reading(still=True))
    assert clock.inner_text(".time").split() == ["6:33", "pm"]
    assert not clock.locator(".date").is_visible()
    for hours, expected in ((6, "12:33"), (16, "10:33")):
        set_reading(clock, reading(still=True, time=NOON_MS + HOUR_MS * hours))
        assert clock.inner_text(".time").split() == [expected, "am"]


def test_the_servers_offset_of_its_own_zone_wins(clock: Page) -> None:
    """At once if the browser does not know the zone; after some seconds if the browser has another offset."""
    assert clock.evaluate(
        """async () => {
          const { Zone } = await import("/static/clock/zones.js");
          const unknown = new Zone("Mars/Olympus", { isServers: true });
          const known = new Zone("Europe/Berlin", { isServers: true });
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


def test_hundredths_are_hidden_if_the_device_asks_for_reduced_motion(clock: Page) -> None:
    """Also while the page is open."""
    for motion, is_visible in (("reduce", False), ("no-preference", True)):
        clock.emulate_media(reduced_motion=motion)  # type: ignore[arg-type] # a string, not a literal
        settle(clock)
        assert clock.locator(".fraction").is_visible() is is_visible


def test_the_theme_follows_the_device_or_the_address(clock: Page) -> None:
    """By default, the background is light or dark as the device wants, and the digits are the opposite."""

    def brightness() -> list[int]:
        """Return that of the background and of the digits, from 0 to 255."""
        red: list[int] = clock.evaluate(
            """() => {
              const style = getComputedStyle(document.body);
              return [style.backgroundColor, style.color].map((colour) => Number(/\\d+/.exec(colour)[0]));
            }"""
        )
        return red

    bright, dark = 200, 100
    clock.emulate_media(color_scheme="light")
    background, digits = brightness()
    assert (background > bright, digits < dark) == (True, True)
    clock.emulate_media(color_scheme="dark")
    background, digits = brightness()
    assert (background < dark, digits > bright) == (True, True)
    clock.emulate_media(color_scheme="light")
    use_options(clock, "?theme=contrast")
    assert brightness() == [0, 255]
    use_options(clock, "?theme=fe0-012345")
    assert brightness() == [0x01, 0xFF]
