"""The pages, as a browser requests them."""

import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient
from pytest_django import Settings

from clock import views
from clock.broadcast.relay import Relay
from clock.contract import AUTO, RATES
from clock.page_version import page_version
from clock.texts import SCRIPT_TEXTS, TEXTS
from tournament.configuration.parsers import PageRate


class Page(HTMLParser):
    """The links, ids and classes of a page, and its inline scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.classes: list[str] = []
        self.language: tuple[str | None, str | None] = ("", "")
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        attributes = dict(attrs)
        self.links += [value for name, value in attrs if name in {"src", "href"} and value]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.classes += (attributes.get("class") or "").split()
        if tag == "html":
            self.language = attributes.get("lang"), attributes.get("dir")
        is_data = attributes.get("type") == "application/json"
        if tag == "style" or (tag == "script" and "src" not in attributes and not is_data) or "style" in attributes:
            self.inline.append(tag)
        self.inline += [name for name in attributes if name.startswith("on")]


async def test_the_page(async_client: AsyncClient, relay: Relay) -> None:
    """It shows the time zone, has no inline scripts or styles, and every file that it links to exists."""
    response = await async_client.get("/clock/")
    assert response.status_code == 200
    html = response.content.decode()
    assert "<title>Clock</title>" in html
    assert ">UTC<" in html
    page = Page(html)
    assert not page.inline
    assert len(set(page.ids)) == len(page.ids)
    assert len(page.links) == 5
    for link in page.links:
        name = re.sub(r"\.[0-9a-f]{12}\.", ".", link)
        assert link == "/clock/embed" or (name != link and finders.find(name.removeprefix("/static/"))), link


async def test_scripts_and_page_match(async_client: AsyncClient) -> None:
    """Every id, class, text and module that a script uses exists, and every text is used."""
    page = Page((await async_client.get("/clock/")).content.decode())
    here = Path(__file__).resolve().parents[2] / "clock"
    sources = {script: script.read_text() for script in (here / "static" / "clock").rglob("*.js")}
    assert sources
    made = set(re.findall(r'\.id = "([^"]+)"', "".join(sources.values())))
    for script, source in sources.items():
        assert set(re.findall(r'(?:getElementById|byId)\("([^"]+)"\)', source)) <= {*page.ids, *made}, script
        assert set(re.findall(r'part\([\w.]+, "([^"]+)"\)', source)) <= set(page.classes), script
        for module in re.findall(r'from "(\.[^"]+)"', source):
            assert (script.parent / module).exists(), module
    used = "".join(sources.values()) + (here / "templates" / "clock" / "clock.html").read_text()
    for word in TEXTS:
        assert re.search(rf'"{word}"|texts\.{word}\b|\b{word}:', used), word
    for word in re.findall(r'\btext\("(\w+)"', used):
        assert word in SCRIPT_TEXTS, word


async def test_the_page_loads_nothing_from_other_sites(async_client: AsyncClient) -> None:
    """Its policy allows no script, style, frame or connection from or to other sites."""
    headers = (await async_client.get("/clock/")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_frames_are_forbidden_unless_a_setting_allows_them(async_client: AsyncClient, settings: Settings) -> None:
    """It allows them only for the embedded page, and only on the sites that it names."""
    for path in ("/clock/", "/clock/embed"):
        headers = (await async_client.get(path)).headers
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    settings.CLOCK_FRAME_ANCESTORS = ["https://a.example", "http://b.example:81"]
    headers = (await async_client.get("/clock/embed")).headers
    assert "X-Frame-Options" not in headers  # it cannot name sites
    assert "frame-ancestors https://a.example http://b.example:81;" in headers["Content-Security-Policy"] + ";"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    headers = (await async_client.get("/clock/")).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_the_embedded_page_has_no_buttons(async_client: AsyncClient) -> None:
    """Everything else is as on the page."""
    ids = Page((await async_client.get("/clock/embed")).content.decode()).ids
    assert not {"toolbar", "panel", "settings"} & set(ids)
    assert {"clock", "state", "page-data"} <= set(ids)


@pytest.mark.parametrize(
    ("query", "accepted", "expected"),
    [
        ("", "", ("en", "ltr")),
        ("", "de-AT,de;q=0.9,en;q=0.5", ("de", "ltr")),
        ("?lang=ar", "de", ("ar", "rtl")),
        ("?lang=pt-br", "", ("pt", "ltr")),
        ("?lang=tlh", "ja", ("ja", "ltr")),
        ("?lang=../../etc", "xx", ("en", "ltr")),
        ("?lang=" + 600 * "a", "", ("en", "ltr")),
    ],
)
async def test_the_language(async_client: AsyncClient, query: str, accepted: str, expected: tuple[str, str]) -> None:
    """It is that of `?lang=`, else the one that the browser prefers, else English."""
    response = await async_client.get(f"/clock/{query}", headers={"accept-language": accepted} if accepted else {})
    assert Page(response.content.decode()).language == expected
    assert response["Content-Language"] == expected[0]
    assert "Accept-Language" in response["Vary"]


async def test_the_page_contains_no_option(async_client: AsyncClient) -> None:
    """Except for the language, the page is the same for every query string."""
    plain = (await async_client.get("/clock/")).content
    assert (await async_client.get("/clock/?label=<script>alert(1)</script>&theme=dark")).content == plain


@pytest.mark.parametrize("requested", [AUTO, 25])
async def test_the_page_requests_the_rate_of_the_setting(
    async_client: AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, requested: int | str
) -> None:
    """It can also be chosen in the settings of the page: among all rates, or by the server."""
    monkeypatch.setattr(views, "_render", views._render.__wrapped__)
    settings.CLOCK_PAGE_RATE = PageRate(requested, lowest=10)
    html = (await async_client.get("/clock/")).content.decode()
    data = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', html)
    assert data
    assert json.loads(data[1])["rate"] == requested
    choices = re.search(r'<select name="rate".*?</select>', html)
    assert choices
    assert re.findall(r"<option[^>]*>(\w+)", choices[0]) == ["Automatic", *map(str, RATES)]


def test_a_page_with_another_rate_has_another_version(settings: Settings) -> None:
    """So open pages load it."""
    versions = set()
    for requested in (AUTO, 50, 25):
        settings.CLOCK_PAGE_RATE = PageRate(requested, lowest=10)
        versions.add(page_version.__wrapped__())
    assert len(versions) == 3


@pytest.mark.parametrize("path", ["/clock/", "/clock/embed"])
async def test_a_page_is_compressed_with_gzip(async_client: AsyncClient, path: str) -> None:
    """As one gzip member, because browsers read no second one. Not if the browser refuses gzip."""
    plain = await async_client.get(path, headers={"accept-encoding": "gzip;q=0, br"})
    packed = await async_client.get(path, headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed["Content-Encoding"] == "gzip"
    assert packed["Content-Length"] == str(len(packed.content))
    assert "Accept-Encoding" in packed["Vary"]
    unpack = zlib.decompressobj(31)
    assert unpack.decompress(packed.content) == plain.content
    assert unpack.eof
    assert not unpack.unused_data


async def test_an_unchanged_page_is_not_sent_again(async_client: AsyncClient) -> None:
    """A browser that has it in this language gets 304, with the current policy."""
    first = await async_client.get("/clock/", headers={"accept-encoding": "gzip"})
    assert first["Cache-Control"] == "no-cache"
    headers = {"if-none-match": first["ETag"]}
    again = await async_client.get("/clock/?theme=dark", headers=headers)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Content-Security-Policy"] == first["Content-Security-Policy"]
    assert again["Vary"] == first["Vary"]
    for path in ("/clock/?lang=de", "/clock/embed"):
        other = await async_client.get(path, headers=headers)
        assert (other.status_code, other["ETag"] == first["ETag"]) == (200, False)


async def test_the_page_is_rendered_once_per_language(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is also compressed once. So a crowd that arrives does not delay the event loop that carries the ticks."""
    await async_client.get("/clock/?lang=fr")
    for name in ("render_to_string", "gzip"):
        monkeypatch.setattr(views, name, None)
    again = await async_client.get("/clock/?lang=fr", headers={"accept-encoding": "gzip"})
    assert again.status_code == 200


async def test_the_root_redirects_to_the_clock(async_client: AsyncClient) -> None:
    """With the query string."""
    response = await async_client.get("/?rate=10")
    assert (response.status_code, response["Location"]) == (302, "/clock/?rate=10")


async def test_only_get_and_head_are_allowed(async_client: AsyncClient) -> None:
    """Other methods get 405."""
    assert (await async_client.post("/clock/")).status_code == 405
    assert (await async_client.head("/clock/")).status_code == 200


@pytest.mark.parametrize("path", ["/clock/", "/"])
async def test_an_unknown_host_is_refused(async_client: AsyncClient, path: str) -> None:
    """Only the hosts of `DJANGO_ALLOWED_HOSTS` are served."""
    assert (await async_client.get(path, headers={"host": "evil.example"})).status_code == 400
