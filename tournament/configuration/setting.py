"""A setting: one environment variable, with everything there is to know about it."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import environ

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_env = environ.Env()

# What errors and logs show in place of a value that may be secret.
HIDDEN: Final = "…"


class InvalidValue(ValueError):
    """A text is no valid value: `part` of it, for the reason `why` unless that is clear from what is required."""

    def __init__(self, part: str, why: str = "") -> None:
        super().__init__(part, why)
        self.part = part
        self.why = why


class InvalidSetting(SystemExit):
    """A variable has an invalid value.

    It is a `SystemExit`, so that every program that loads the settings (`manage.py`, `daphne`, a test runner) prints
    this one line on standard error and exits with code 1, without a traceback.
    """

    def __init__(self, name: str, value: str, required: str, why: str = "") -> None:
        reason = f" ({why})" if why else ""
        super().__init__(f"{name}={value!r} is invalid{reason}. Required: {required}.")


class Parser(Protocol[T_co]):
    """Turns the text of a variable into a value."""

    @property
    def required(self) -> str:
        """What a valid value is: for the error message and for the document."""

    def parse(self, text: str) -> T_co:
        """Return the value.

        Raises:
            InvalidValue: the text is no valid value.
        """


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One environment variable.

    `default` is a text as it would be written in the environment; where it is empty, `default_note` says what that
    means. `used_by` names the processes that the setting has an effect on; every process checks all settings. A
    `secret` value is never repeated in an error, and a log has what `mask` returns for its text.

    Compose passes the variable on, unless `in_compose` is false. Its default there is `compose_default`, if that
    differs, and follows `compose_prefix`; `compose_note` says why.
    """

    name: str
    parser: Parser[T]
    default: str = ""
    default_note: str = "none"
    description: str
    used_by: Sequence[str] = ("ticker", "worker")
    secret: bool = False
    mask: Callable[[str], str] = lambda _text: HIDDEN
    in_compose: bool = True
    compose_default: str | None = None
    compose_prefix: str = ""
    compose_note: str = ""


def read(setting: Setting[T]) -> T:
    """Return the value that the environment gives to a setting.

    Raises:
        InvalidSetting: the value is invalid.
    """
    text = read_text(setting.name, setting.default)
    try:
        return setting.parser.parse(text)
    except InvalidValue as invalid:
        shown = HIDDEN if setting.secret else invalid.part
        # Without `from None` a traceback could repeat the value.
        raise InvalidSetting(setting.name, shown, setting.parser.required, invalid.why) from None


def changes(settings: Iterable[Setting[Any]]) -> dict[str, str]:
    """Return the text of each setting whose value is not its default, by name, with secrets masked, for the log.

    Texts that mean the same count as the same: Compose passes every setting on.

    Raises:
        InvalidSetting: a setting is invalid.
    """
    texts = {
        setting: read_text(setting.name, setting.default)
        for setting in settings
        if read(setting) != setting.parser.parse(setting.default)
    }
    return {setting.name: setting.mask(text) if setting.secret else text for setting, text in texts.items()}


def read_text(name: str, default: str) -> str:
    """Return a variable's text; `$OTHER` stands for the text of the variable `OTHER`.

    Raises:
        InvalidSetting: the variable `OTHER` is not set.
    """
    written = os.environ.get(name, "")
    if written.startswith("$") and written[1:] not in os.environ:
        required = "a value that does not begin with a dollar sign, or $OTHER, where OTHER is a variable that is set"
        raise InvalidSetting(name, "$" + HIDDEN, required)
    text: str = _env.str(name, default)
    return text
