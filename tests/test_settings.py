"""Settings come from the environment; a bad one stops the start by name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tournament import environment, settings
from tournament.environment import BadSetting

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("read", "bad", "good"),
    [
        (
            lambda: environment.time_zone("X", "UTC"),
            ["Berlin", "", "/etc/passwd", "../UTC", "Europe/", "\0"],
            "Europe/Berlin",
        ),
        (lambda: environment.switch("X", default=False), ["maybe", "2", "flase"], "Yes"),
        (lambda: environment.choice("X", "INFO", ("INFO", "DEBUG")), ["loud", ""], "debug"),
        (
            lambda: environment.hosts("X", "a", wildcard=False),
            ["", ",", "*", "http://a", "a:80", "a b", "a/b"],
            "a.b, .c,[::1]",
        ),
        (
            lambda: environment.origins("X", ""),
            ["a.b", "ws://a", "http://", "http://a/", "http://a/b", "*"],
            "https://a:81",
        ),
        (
            lambda: environment.redis_url("X", ""),
            [
                *("", "localhost", "http://a", "valkey://a", "redis://a:port", "redis://a/b", "redis://a#b"),
                *("rediss://a?ssl_cert_reqs=none", "rediss://a?ssl_check_hostname=no", "redis://a?socket_timeout=5"),
                *("redis://a?db", "redis://[::1", "unix:///a?db=x"),
            ],
            "rediss://u:p@a:1/2?ssl_certfile=/c&ssl_keyfile=/k",
        ),
        (
            lambda: environment.number("X", 5, least=1, most=20, unit="eggs"),
            ["", "0", "21", "-1", "1.5", "1e1", "five", "\u0665", "9" * 5_000],
            "20",
        ),
        (
            lambda: environment.number_or_auto("X", "auto", least=0, most=20, unit="eggs"),
            ["", "21", "-1", "Auto", "none", "9" * 5_000],
            "0",
        ),
        (
            lambda: environment.networks("X", ""),
            ["10.0.0.1/8", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0-10.0.0.9", "*"],
            "10.0.0.0/8, 192.0.2.1,2001:db8::/32",
        ),
        (
            lambda: environment.addresses("X", ""),
            ["a", "a:", ":1", "a:0", "a:65536", "::1:26379", "[a]:1", "redis://a:1", "a:1 b:2"],
            "a.b:26379, 192.0.2.7:1,[2001:db8::7]:65535",
        ),
        (lambda: environment.file("X", ""), ["/nowhere", "/", "\0"], __file__),
        (lambda: environment.text("X", "a", pattern="[a-z]{1,3}", accepts="…"), ["", "abcd", "a\n", "A"], "abc"),
    ],
)
def test_a_bad_value_is_named_with_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, read: object, bad: list[str], good: str
) -> None:
    """The error ends the program with one line, and a good value does not."""
    assert callable(read)
    for value in bad:
        if "\0" in value:  # an environment cannot hold it
            continue
        monkeypatch.setenv("X", value)
        with pytest.raises(BadSetting) as caught:
            read()
        assert re.fullmatch(r"X='.*' cannot be used: it takes .+\.", str(caught.value)), str(caught.value)
    monkeypatch.setenv("X", good)
    read()
    monkeypatch.delenv("X")


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the password in an address that cannot be read, nor a key."""
    for url in (
        "redis://:sesame@host:port",
        "redis://:sesame/x@host",  # signs that are not written %XX, so that a part of the password is read as the port
        "redis://:sesame?x@host",
        "redis://:sesame#x@host",
        "redis://user:12#sesame@host",
        "redis://user:12/sesame@host",
        "redis://:ses\u2100ame@host",
        "redis://host?password=sesame&db=x",
        "redis://:sesame@host?ssl_cert_reqs=none",
    ):
        monkeypatch.setenv("X", url)
        with pytest.raises(BadSetting) as caught:
            environment.redis_url("X", "")
        assert str(caught.value).startswith("X='…' cannot be used")
        assert "sesame" not in str(caught.value)
        # An error that came before would be shown too, were it not for `from None`.
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    monkeypatch.setenv("X", "$sesame")
    with pytest.raises(BadSetting) as caught:
        environment.secret("X")
    assert "sesame" not in str(caught.value)


def test_a_value_may_be_taken_from_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$OTHER` is replaced, as platforms that name things their own way need it."""
    monkeypatch.setenv("OTHER", "redis://elsewhere")
    monkeypatch.setenv("X", "$OTHER")
    assert environment.redis_url("X", "") == "redis://elsewhere"


def test_addresses_are_hosts_with_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 in brackets."""
    monkeypatch.setenv("X", "one:26379, [2001:db8::7]:1")
    assert environment.addresses("X", "") == [("one", 26379), ("2001:db8::7", 1)]


def test_a_wildcard_host_needs_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would let any site embed the clock by a rebound name."""
    monkeypatch.setenv("X", "*")
    assert environment.hosts("X", "", wildcard=True) == ["*"]
    with pytest.raises(BadSetting, match="DJANGO_DEBUG"):
        environment.hosts("X", "", wildcard=False)


def test_without_any_environment_it_is_safe_for_localhost() -> None:
    """No debugging, no other host, no other origin, and a key that nobody knows."""
    assert settings.DEBUG is False
    assert settings.ALLOWED_HOSTS == ["localhost", "127.0.0.1", "[::1]"]
    assert settings.CLOCK_ALLOWED_ORIGINS == []
    assert settings.CLOCK_ALLOW_MISSING_ORIGIN is False
    assert settings.CLOCK_TIME_ZONE.key == "UTC"
    assert settings.DATABASES == {}
    assert len(settings.SECRET_KEY) == 50


def test_the_namespace_is_before_everything() -> None:
    """Pub/sub ignores Redis database numbers, so the prefix is what keeps two clocks apart."""
    assert settings.CHANNEL_LAYERS["default"]["CONFIG"]["prefix"] == settings.CLOCK_NAMESPACE  # type: ignore[index]


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "check"],
        ["-m", "daphne", "-p", "0", "tournament.asgi:application"],
        ["-m", "tournament.server", "-p", "0", "tournament.asgi:application"],
    ],
)
def test_a_bad_setting_ends_every_command_with_one_line(command: list[str]) -> None:
    """Exit code 1 and no traceback, whatever program reads the settings."""
    environment_ = {"PATH": os.environ["PATH"], "REDIS_URL": "http://localhost"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment_, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"REDIS_URL='…' cannot be used: it takes .+\.\n", done.stderr), done.stderr


def check(*options: str, **environment_: str) -> tuple[int, str]:
    """Run Django's own checks, and return the exit code and what they say."""
    command = [sys.executable, "-W", "error", "manage.py", "check", "--fail-level", "WARNING", *options]
    environment_ = {"PATH": os.environ["PATH"], **environment_}
    done = subprocess.run(command, cwd=ROOT, env=environment_, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_djangos_own_checks_pass() -> None:
    """With no environment at all."""
    assert check() == (0, "")


def test_djangos_checks_of_a_deployment_pass() -> None:
    """With HTTPS they are clean; without, they warn of that alone, in two ways that the README names."""
    assert check("--deploy", CLOCK_HTTPS="on") == (0, "")
    code, said = check("--deploy")
    assert code == 1
    warnings = set(re.findall(r"security\.W\d+", said))
    assert warnings == {"security.W004", "security.W008"}
    assert all(warning in (ROOT / "README.md").read_text() for warning in warnings)
