"""Parsers of plain values: numbers, switches, choices, texts, files and time zones."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from clock.contract import AUTO, AUTO_RATES, RATES
from tournament.configuration.setting import InvalidValue

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"0", "false", "no", "off", ""})

# `int` accepts signs, blanks, underscores and the digits of other scripts, and takes long over thousands of digits.
_NUMBER: Final = re.compile(r"[0-9]{1,12}")


def split_list(text: str) -> list[str]:
    """Return the items of a comma-separated list, without the blanks around them and without empty items."""
    return [item.strip() for item in text.split(",") if item.strip()]


@dataclass(frozen=True, kw_only=True)
class WholeNumber:
    """A number from `minimum` to `maximum`, in `unit`; `zero` says what 0 means where that is special."""

    minimum: int
    maximum: int
    unit: str = ""
    zero: str = ""

    @property
    def required(self) -> str:
        """What a valid value is."""
        unit = f" of {self.unit}" if self.unit else ""
        zero = f"; 0 means {self.zero}" if self.zero else ""
        return f"a whole number{unit}, at least {self.minimum} and at most {self.maximum}{zero}"

    def parse(self, text: str) -> int:
        """Return the number."""
        if not _NUMBER.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise InvalidValue(text)
        return int(text)


@dataclass(frozen=True)
class NumberOrAuto:
    """A number, or `auto`, whose meaning is `auto`."""

    number: WholeNumber
    auto: str

    @property
    def required(self) -> str:
        """What a valid value is."""
        return f"{self.number.required}; or auto, which means {self.auto}"

    def parse(self, text: str) -> int | None:
        """Return the number, or None for `auto`."""
        return None if text == "auto" else self.number.parse(text)


class Switch:
    """On or off."""

    required = "1, true, yes or on; or 0, false, no or off"

    def parse(self, text: str) -> bool:
        """Return whether it is on."""
        word = text.strip().lower()
        if word not in _ON | _OFF:
            raise InvalidValue(text)
        return word in _ON


@dataclass(frozen=True)
class Choice:
    """One of several words, in upper or lower case."""

    choices: tuple[str, ...]

    @property
    def required(self) -> str:
        """What a valid value is."""
        return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"

    def parse(self, text: str) -> str:
        """Return the word in upper case."""
        word = text.upper()
        if word not in self.choices:
            raise InvalidValue(text)
        return word


@dataclass(frozen=True)
class Text:
    """A text that matches `pattern` from end to end; `required` describes the pattern."""

    pattern: str
    required: str

    def parse(self, text: str) -> str:
        """Return the text."""
        if not re.fullmatch(self.pattern, text):
            raise InvalidValue(text)
        return text


class SecretText:
    """Any text; an empty one is none."""

    required = "any text"

    def parse(self, text: str) -> str | None:
        """Return the text, or None where it is empty."""
        return text or None


class ReadableFile:
    """The path of a file that this process can read, or nothing."""

    required = "the path of a file that can be read"

    def parse(self, text: str) -> str:
        """Return the path."""
        if text and not (Path(text).is_file() and os.access(text, os.R_OK)):
            raise InvalidValue(text)
        return text


class TimeZone:
    """A zone of the IANA database."""

    required = "a zone of the IANA database, such as UTC or Europe/Berlin"

    def parse(self, text: str) -> ZoneInfo:
        """Return the zone."""
        try:
            return ZoneInfo(text)
        except (KeyError, ValueError, OSError):  # unknown, or not the name of a file in the database
            raise InvalidValue(text) from None


class PageRate(NamedTuple):
    """The rate that pages request, and the lowest one that a worker may choose for `rate=auto`."""

    requested: int | str
    lowest: int


class RateOfPages:
    """`auto`, `auto:25` with the lowest rate, or a rate."""

    required = (
        f"{AUTO}; or {AUTO}: and the lowest rate, one of {', '.join(map(str, AUTO_RATES))}; or one of"
        f" {', '.join(map(str, RATES))}"
    )

    def parse(self, text: str) -> PageRate:
        """Return the rate."""
        lowest = AUTO_RATES[-1]
        choices = {str(rate): PageRate(rate, lowest) for rate in RATES}
        choices |= {f"{AUTO}:{rate}": PageRate(AUTO, rate) for rate in AUTO_RATES}
        choices[AUTO] = PageRate(AUTO, lowest)
        if text not in choices:
            raise InvalidValue(text)
        return choices[text]
