"""The documents of the project, and what they mention."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?:^(?: {4}|\t).*\n)+", re.MULTILINE)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_PROGRAMS: Final = "make|docker|kubectl|python3?|daphne|pip|pre-commit|npm|npx|uv|curl|promtool|redis-server"
_COMMAND: Final = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{_PROGRAMS})\b .+")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(path: Path) -> str:
    """Return the text of a document."""
    return path.read_text(encoding="utf-8")


def blocks(path: Path) -> list[str]:
    """Return the code blocks without a language."""
    text = text_of(path)
    fenced = [body for language, body in _FENCE.findall(text) if language in {"", "sh", "console"}]
    return [*fenced, *_INDENTED.findall(_FENCE.sub("", text))]


def spans(path: Path) -> list[str]:
    """Return what is in backticks in the prose."""
    return [str(span) for span in _SPAN.findall(_INDENTED.sub("", _FENCE.sub("", text_of(path))))]


def commands(path: Path) -> Iterator[str]:
    """Yield the commands in blocks and spans, without comments."""
    lines = [line for block in blocks(path) for line in block.splitlines()]
    for line in [*lines, *spans(path)]:
        command = line.partition(" #")[0].strip()
        if _COMMAND.fullmatch(command):
            yield command


def links(path: Path) -> list[str]:
    """Return the targets of links and pictures, but for those on the web."""
    return [link for link in _LINK.findall(text_of(path)) if "://" not in link]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text_of(path)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
