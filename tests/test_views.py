"""The pages, as a browser asks for them."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient

from clock.relay import Relay


class Page(HTMLParser):
    """What a page refers to, and whether anything on it is inline."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        given = dict(attrs)
        self.links += [value for name, value in attrs if name in {"src", "href"} and value]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "style" or (tag == "script" and "src" not in given) or "style" in given:
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
    assert len(page.links) == 3
    for link in page.links:
        assert finders.find(link.removeprefix("/static/")), link


async def test_the_scripts_find_what_they_ask_the_page_for(async_client: AsyncClient) -> None:
    """Every id that a script names is on the page, and every module it imports is there."""
    ids = Page((await async_client.get("/clock/")).content.decode()).ids
    folder = Path(__file__).resolve().parent.parent / "clock" / "static" / "clock"
    for script in folder.glob("*.js"):
        source = script.read_text()
        named = re.findall(r'(?:getElementById|textOf)\("([^"]+)"\)', source)
        assert set(named) <= set(ids), script
        for module in re.findall(r'from "(\./[^"]+)"', source):
            assert (folder / module).exists(), module


async def test_the_page_is_closed_to_the_outside(async_client: AsyncClient) -> None:
    """No script, style, frame or connection from or to anywhere else."""
    headers = (await async_client.get("/clock/")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


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
