"""The texts of the page, in each of its languages."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from clock.page_version import page_version
from clock.texts import TEXTS

LOCALE = Path(__file__).resolve().parents[2] / "clock" / "locale"
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]


def read_po(path: Path) -> dict[str, str]:
    """Return the texts of a .po file and their translations. Its strings have the syntax of Python's."""
    texts: dict[str, list[str]] = {"msgid": [], "msgstr": []}
    for line in path.read_text().splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword in texts:
            texts[keyword].append(ast.literal_eval(rest))
            last = keyword
        elif line.startswith('"'):
            texts[last][-1] += ast.literal_eval(line)
    return dict(zip(texts["msgid"], texts["msgstr"], strict=True))


def test_the_page_has_at_least_five_languages_besides_english() -> None:
    """One of them is written from right to left."""
    assert len(LANGUAGES) >= 5
    assert any(translation.get_language_info(code)["bidi"] for code in LANGUAGES)
    assert {path.name for path in LOCALE.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    """No translation is missing, obsolete or fuzzy, and each has the placeholders of its text."""
    path = LOCALE / language / "LC_MESSAGES" / "django.po"
    assert "fuzzy" not in path.read_text()
    translated = read_po(path)
    assert f"Language: {language}\n" in translated.pop("")
    with translation.override(None):
        assert translated.keys() == {str(text) for text in TEXTS.values()}
    for text, translated_text in translated.items():
        assert translated_text, text
        placeholders = sorted(re.findall(r"\{\w+\}", text))
        assert sorted(re.findall(r"\{\w+\}", translated_text)) == placeholders, translated_text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_translations_are_up_to_date(language: str) -> None:
    """`make translations` compiles them."""
    folder = LOCALE / language / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)
    written = read_po(folder / "django.po")
    del written[""]  # the header
    assert {text: catalog.gettext(text) for text in written} == written


def test_the_version_of_the_page_is_twelve_hexadecimal_digits() -> None:
    """It is a header's value, and constant while the worker runs."""
    assert re.fullmatch(r"[0-9a-f]{12}", page_version())
    assert page_version() == page_version()
