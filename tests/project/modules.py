"""The modules of the product, described by their own first sentences, for docs/architecture.md (`make docs`).

python -m tests.project.modules
"""

import ast
import re
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.project.documents import ROOT
from tournament.configuration.document import between

DOCUMENT: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- modules -->\n"
END: Final = "<!-- /modules -->"
PRODUCT: Final = ("ticker", "clock", "tournament")


def modules() -> list[Path]:
    """Return the paths of all modules of the product, in Python and JavaScript, in the order of the document."""
    found = []
    for top in PRODUCT:
        paths = [*(ROOT / top).rglob("*.py"), *(ROOT / top).rglob("*.js")]
        found += sorted(path for path in paths if path.name != "__init__.py")
    return sorted(found, key=lambda path: (PRODUCT.index(path.relative_to(ROOT).parts[0]), path.parent, path.name))


def summary(path: Path) -> str:
    """Return the first sentence of a module. A module without a docstring has that of its first class."""
    text = path.read_text()
    if path.suffix == ".js":
        opening = re.match(r"/\*.*?\*/|(?://[^\n]*\n)+", text, re.DOTALL)
        described = re.sub(r"^ ?/?[*/]+ ?", "", opening[0], flags=re.MULTILINE).strip() if opening else ""
    else:
        tree = ast.parse(text)
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        described = ast.get_docstring(tree) or (ast.get_docstring(classes[0]) if classes else None) or ""
    paragraph = " ".join(described.partition("\n\n")[0].split())
    sentence = re.match(r".*?[.!?](?= [A-Z`]|$)", paragraph)
    assert sentence, f"{path} does not begin with a sentence that says what it is"
    return sentence[0].replace("|", r"\|")


def tables() -> str:
    """Return a table for each folder."""
    parts = []
    for folder, paths in groupby(modules(), key=lambda path: path.parent):
        rows = [f"| `{path.name}` | {summary(path)} |\n" for path in paths]
        heading = f"\n### `{folder.relative_to(ROOT)}/`\n\n| module | what it is |\n| --- | --- |\n"
        parts.append(heading + "".join(rows))
    return "".join(parts) + "\n"


def update(text: str) -> str:
    """Return the text of the document with the present modules."""
    return between(text, BEGIN, END, tables())


if __name__ == "__main__":
    DOCUMENT.write_text(update(DOCUMENT.read_text()))
