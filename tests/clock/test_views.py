"""The pages, as a browser asks for them."""

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient

from clock import views
from clock.broadcast.relay import Relay
from clock.texts import SCRIPT_WORDS, WORDS


class Page(HTMLParser):
    """What a page refers to, and whether anything on it is inline."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.classes: list[str] = []
        self.language: tuple[str | None, str | None] = ("", "")
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        given = dict(attrs)
        self.links += [value for name, value in attrs if name in {"src", "href"} and value]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.classes += (given.get("class") or "").split()
        if tag == "html":
            self.language = given.get("lang"), given.get("dir")
        is_data = given.get("type") == "application/json"
        if tag == "style" or (tag == "script" and "src" not in given and not is_data) or "style" in given:
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on")]


async def test_the_page(async_client: AsyncClient, relay: Relay) -> None:
    """It says the zone, has nothing inline, and every file that it refers to is there."""
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


async def test_the_scripts_find_what_they_ask_the_page_for(async_client: AsyncClient) -> None:
    """Every id, class and word that a script names is there, and every module it imports; no word is there in vain."""
    page = Page((await async_client.get("/clock/")).content.decode())
    here = Path(__file__).resolve().parents[2] / "clock"
    sources = {script: script.read_text() for script in (here / "static" / "clock").glob("*.js")}
    assert sources
    made = set(re.findall(r'\.id = "([^"]+)"', "".join(sources.values())))
    for script, source in sources.items():
        assert set(re.findall(r'getElementById\("([^"]+)"\)', source)) <= {*page.ids, *made}, script
        assert set(re.findall(r'part\([\w.]+, "([^"]+)"\)', source)) <= set(page.classes), script
        for module in re.findall(r'from "(\./[^"]+)"', source):
            assert (here / "static" / "clock" / module).exists(), module
    used = "".join(sources.values()) + (here / "templates" / "clock" / "clock.html").read_text()
    for word in WORDS:
        assert re.search(rf'"{word}"|words\.{word}\b|\b{word}:', used), word
    for word in re.findall(r'say\("(\w+)"', used):
        assert word in SCRIPT_WORDS, word


async def test_the_page_is_closed_to_the_outside(async_client: AsyncClient) -> None:
    """No script, style, frame or connection from or to anywhere else."""
    headers = (await async_client.get("/clock/")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_is_closed_to_frames_unless_a_setting_opens_them(
    async_client: AsyncClient, settings: Any
) -> None:
    """Then the embedded page alone, and for those who are named."""
    for path in ("/clock/", "/clock/embed"):
        headers = (await async_client.get(path)).headers
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    settings.CLOCK_FRAME_ANCESTORS = ["https://a.example", "http://b.example:81"]
    headers = (await async_client.get("/clock/embed")).headers
    assert "X-Frame-Options" not in headers  # it can name nobody
    assert "frame-ancestors https://a.example http://b.example:81;" in headers["Content-Security-Policy"] + ";"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    headers = (await async_client.get("/clock/")).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_the_embedded_page_has_no_buttons(async_client: AsyncClient) -> None:
    """All else is as on the page."""
    ids = Page((await async_client.get("/clock/embed")).content.decode()).ids
    assert not {"tools", "panel", "settings"} & set(ids)
    assert {"clock", "state", "given"} <= set(ids)


@pytest.mark.parametrize(
    ("asked", "accepts", "found"),
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
async def test_the_language(async_client: AsyncClient, asked: str, accepts: str, found: tuple[str, str]) -> None:
    """What the address asks for, else what the browser prefers, else English."""
    response = await async_client.get(f"/clock/{asked}", headers={"accept-language": accepts} if accepts else {})
    assert Page(response.content.decode()).language == found
    assert response["Content-Language"] == found[0]
    assert "Accept-Language" in response["Vary"]


async def test_no_option_gets_into_the_page(async_client: AsyncClient) -> None:
    """It is the same whatever the address asks for, but for its language."""
    plain = (await async_client.get("/clock/")).content
    assert (await async_client.get("/clock/?label=<script>alert(1)</script>&theme=dark")).content == plain


@pytest.mark.parametrize("path", ["/clock/", "/clock/embed"])
async def test_what_is_compressed_is_whole(async_client: AsyncClient, path: str) -> None:
    """In one gzip member, for browsers read no second one; and not where gzip is refused."""
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
    """A browser that has it in this language is told so, with the policy of now."""
    first = await async_client.get("/clock/", headers={"accept-encoding": "gzip"})
    assert first["Cache-Control"] == "no-cache"
    given = {"if-none-match": first["ETag"]}
    again = await async_client.get("/clock/?theme=dark", headers=given)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Content-Security-Policy"] == first["Content-Security-Policy"]
    assert again["Vary"] == first["Vary"]
    for path in ("/clock/?lang=de", "/clock/embed"):
        other = await async_client.get(path, headers=given)
        assert (other.status_code, other["ETag"] == first["ETag"]) == (200, False)


async def test_the_page_is_rendered_once_per_language(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And compressed once; a crowd that arrives does not cost the loop that carries the ticks a page each."""
    await async_client.get("/clock/?lang=fr")
    for name in ("render_to_string", "gzip"):
        monkeypatch.setattr(views, name, None)
    again = await async_client.get("/clock/?lang=fr", headers={"accept-encoding": "gzip"})
    assert again.status_code == 200


async def test_the_root_leads_to_the_clock(async_client: AsyncClient) -> None:
    """With what was asked for."""
    response = await async_client.get("/?rate=10")
    assert (response.status_code, response["Location"]) == (302, "/clock/?rate=10")


async def test_nothing_is_to_be_written(async_client: AsyncClient) -> None:
    """Everything but GET and HEAD is refused."""
    assert (await async_client.post("/clock/")).status_code == 405
    assert (await async_client.head("/clock/")).status_code == 200


@pytest.mark.parametrize("path", ["/clock/", "/"])
async def test_an_unknown_host_is_refused(async_client: AsyncClient, path: str) -> None:
    """Under a name that is not the clock's there is nothing."""
    assert (await async_client.get(path, headers={"host": "evil.example"})).status_code == 400
