"""The words of the page, in each of its languages."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from clock.page_version import page_version
from clock.texts import WORDS

LOCALE = Path(__file__).resolve().parents[2] / "clock" / "locale"
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]


def read_po(path: Path) -> dict[str, str]:
    """Return the texts of a .po file and their translations. Its strings are written as Python would write them."""
    texts: dict[str, list[str]] = {"msgid": [], "msgstr": []}
    for line in path.read_text().splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword in texts:
            texts[keyword].append(ast.literal_eval(rest))
            last = keyword
        elif line.startswith('"'):
            texts[last][-1] += ast.literal_eval(line)
    return dict(zip(texts["msgid"], texts["msgstr"], strict=True))


def test_there_are_at_least_five_languages_besides_english() -> None:
    """One of them is written from right to left."""
    assert len(LANGUAGES) >= 5
    assert any(translation.get_language_info(code)["bidi"] for code in LANGUAGES)
    assert {path.name for path in LOCALE.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_translated(language: str) -> None:
    """None is missing, none is left from before, none is in doubt; and what is filled in is the same."""
    path = LOCALE / language / "LC_MESSAGES" / "django.po"
    assert "fuzzy" not in path.read_text()
    translated = read_po(path)
    assert f"Language: {language}\n" in translated.pop("")
    with translation.override(None):
        assert translated.keys() == {str(word) for word in WORDS.values()}
    for text, told in translated.items():
        assert told, text
        assert sorted(re.findall(r"\{\w+\}", told)) == sorted(re.findall(r"\{\w+\}", text)), told


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    """`make translations` has been run since the last change."""
    folder = LOCALE / language / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    written = read_po(folder / "django.po")
    assert {text: catalog.gettext(text) for text in written if text} == {t: told for t, told in written.items() if t}


def test_the_version_of_the_page_is_one_word() -> None:
    """It stands in a header, and is the same for as long as the worker runs."""
    assert re.fullmatch(r"[0-9a-f]{12}", page_version())
    assert page_version() == page_version()
