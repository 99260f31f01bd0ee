"""Tables as text for the terminal, and as Markdown for the documents."""

import re
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]

NUMBER = re.compile(r"[\d.,%]+|inf|-|")


def as_text(headings: Sequence[str], rows: Rows) -> str:
    """Return a table for the terminal. Columns of numbers are aligned right."""
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    numeric = [all(NUMBER.fullmatch(row[column]) for row in rows) for column in range(len(headings))]
    lines = (
        "  ".join(
            cell.rjust(width) if is_numeric else cell.ljust(width)
            for cell, width, is_numeric in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in table
    )
    return "\n".join(lines)


def as_markdown(headings: Sequence[str], rows: Rows) -> str:
    """Return a table in Markdown."""
    table = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table)


def between_markers(text: str, new: str, name: str) -> str:
    """Return `text` with `new` between the markers `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: `text` does not have both markers.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, has_begin, rest = text.partition(begin)
    _, has_end, after = rest.partition(end)
    if not has_begin or not has_end:
        raise ValueError(f"there is no {begin} followed by {end}")
    return f"{before}{begin}\n{new}\n{end}{after}"
