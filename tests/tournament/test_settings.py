"""Settings come from the environment; an invalid one stops the start with its name."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from tournament.configuration import redis_table, table
from tournament.configuration.network_parsers import Addresses, Hosts, IpAddress, Networks, Origins, RedisUrl
from tournament.configuration.origins import InvalidOrigin, normalise
from tournament.configuration.parsers import Choice, NumberOrAuto, ReadableFile, Switch, Text, TimeZone, WholeNumber
from tournament.configuration.setting import InvalidSetting, InvalidValue, Parser, Setting, changes, read

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")


# A parser, texts that it rejects, and one that it accepts.
PARSERS: Final[dict[str, tuple[Parser[Any], list[str], str]]] = {
    "time zone": (TimeZone(), ["Berlin", "", "/etc/passwd", "../UTC", "Europe/", "\0"], "Europe/Berlin"),
    "switch": (Switch(), ["maybe", "2", "flase"], "Yes"),
    "choice": (Choice(("INFO", "DEBUG")), ["loud", ""], "debug"),
    "hosts": (
        Hosts(is_wildcard_allowed=lambda: False),
        ["", ",", "*", "http://a", "a:80", "a b", "a/b"],
        "a.b, .c,[::1]",
    ),
    "origins": (
        Origins(for_frames=False),
        ["a.b", "ws://a", "http://", "http://a/", "http://a/b", "*", "https://*.example.org"],
        "https://a:81",
    ),
    "frame ancestors": (
        Origins(for_frames=True),
        ["a.b", "*", "https://*", "https://a.example;script-src *", "https://[::1]", "https://*.10.0.0.7"],
        "https://a:81, http://*.example.org",
    ),
    "Redis URL": (
        RedisUrl(),
        [
            *("", "localhost", "http://a", "valkey://a", "redis://a:port", "redis://a/b", "redis://a#b"),
            *("rediss://a?ssl_cert_reqs=none", "rediss://a?ssl_check_hostname=no", "redis://a?socket_timeout=5"),
            *("redis://a?db", "redis://[::1", "unix:///a?db=x"),
        ],
        "rediss://u:p@a:1/2?ssl_certfile=/c&ssl_keyfile=/k",
    ),
    "number": (
        WholeNumber(minimum=1, maximum=20, unit="eggs"),
        ["", "0", "21", "-1", "1.5", "1e1", "five", "\u0665", "9" * 5_000],
        "20",
    ),
    "number or auto": (
        NumberOrAuto(WholeNumber(minimum=0, maximum=20), "half"),
        ["", "21", "-1", "Auto", "none", "9" * 5_000],
        "0",
    ),
    "networks": (
        Networks(),
        ["10.0.0.1/8", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0-10.0.0.9", "*"],
        "10.0.0.0/8, 192.0.2.1,2001:db8::/32",
    ),
    "addresses": (
        Addresses(),
        ["a", "a:", ":1", "a:0", "a:65536", "::1:26379", "[a]:1", "redis://a:1", "a:1 b:2"],
        "a.b:26379, 192.0.2.7:1,[2001:db8::7]:65535",
    ),
    "address": (IpAddress(), ["", "localhost", "1.2.3", "::g", "127.0.0.1:1", "[::1]"], "::1"),
    "file": (ReadableFile(), ["/nowhere", "/", "\0"], __file__),
    "text": (Text("[a-z]{1,3}", "1 to 3 letters"), ["", "abcd", "a\n", "A"], "abc"),
}


def setting(parser: Parser[T], *, secret: bool = False) -> Setting[T]:
    """Return a setting named X."""
    return Setting(name="X", parser=parser, description="a test", secret=secret)


@pytest.mark.parametrize(("parser", "invalid", "valid"), PARSERS.values(), ids=PARSERS)
def test_an_invalid_value_is_reported_with_what_is_required(
    monkeypatch: pytest.MonkeyPatch, parser: Parser[object], invalid: list[str], valid: str
) -> None:
    """One line names the setting, its value and what is required; a valid value raises nothing."""
    for value in invalid:
        if "\0" in value:  # an environment cannot hold it
            with pytest.raises(InvalidValue):
                parser.parse(value)
            continue
        monkeypatch.setenv("X", value)
        with pytest.raises(InvalidSetting) as caught:
            read(setting(parser))
        message = str(caught.value)
        assert re.fullmatch(r"X=['\"].*['\"] is invalid( \(.+\))?\. Required: .+\.", message), message
        assert parser.required in message
    monkeypatch.setenv("X", valid)
    read(setting(parser))


def test_a_number_states_unit_minimum_maximum_and_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, because operators read it."""
    monkeypatch.setenv("CLOCK_DRAIN_NOTICE", "x")
    with pytest.raises(InvalidSetting) as caught:
        read(table.CLOCK_DRAIN_NOTICE)
    required = "a whole number of seconds, at least 0 and at most 3600"
    assert str(caught.value) == f"CLOCK_DRAIN_NOTICE='x' is invalid. Required: {required}."
    assert table.CLOCK_IDLE_TIMEOUT.parser.required == f"{required}; 0 means unlimited"


def test_an_error_never_repeats_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the password in an invalid URL, nor a key, also not in the chain of exceptions."""
    for url in (
        "redis://:sesame@host:port",
        "redis://:sesame/x@host",  # not written as %XX, so a part of the password is parsed as the port
        "redis://:sesame?x@host",
        "redis://:sesame#x@host",
        "redis://user:12#sesame@host",
        "redis://user:12/sesame@host",
        "redis://:ses\u2100ame@host",
        "redis://host?password=sesame&db=x",
        "redis://:sesame@host?ssl_cert_reqs=none",
    ):
        monkeypatch.setenv("REDIS_URL", url)
        with pytest.raises(InvalidSetting) as caught:
            read(redis_table.REDIS_URL)
        assert str(caught.value).startswith("REDIS_URL='…' is invalid. Required: redis://")
        assert "sesame" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    monkeypatch.setenv("DJANGO_SECRET_KEY", "$sesame")
    with pytest.raises(InvalidSetting) as caught:
        read(table.DJANGO_SECRET_KEY)
    assert "sesame" not in str(caught.value)


def test_the_log_shows_what_differs_from_the_defaults_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another way to write a default is no difference. Of the URL of a Redis only the place is shown."""
    for name in os.environ:
        if name.startswith(("CLOCK_", "DJANGO_", "REDIS_")):
            monkeypatch.delenv(name)
    assert changes(table.SETTINGS) == {}
    monkeypatch.setenv("CLOCK_HTTPS", "No")
    monkeypatch.setenv("DJANGO_ALLOWED_HOSTS", "localhost, 127.0.0.1,[::1],")
    assert changes(table.SETTINGS) == {}
    monkeypatch.setenv("NUMBER", "7")
    monkeypatch.setenv("CLOCK_DRAIN_NOTICE", "$NUMBER")
    for secret in ("DJANGO_SECRET_KEY", "REDIS_SENTINEL_PASSWORD"):
        monkeypatch.setenv(secret, "sesame")
    for url, shown in {
        "rediss://user:sesame@redis.example:6380/2": "rediss://…@redis.example:6380/2",
        "redis://sesame@[::1]": "redis://…@[::1]",
        "redis://redis?password=sesame": "redis://redis?…",
        "unix://user:sesame@/run/redis.sock?db=1": "unix://…@/run/redis.sock?…",
        "redis://redis:1": "redis://redis:1",
    }.items():
        monkeypatch.setenv("REDIS_URL", url)
        assert changes(table.SETTINGS) == {
            "REDIS_URL": shown,
            "REDIS_SENTINEL_PASSWORD": "…",
            "CLOCK_DRAIN_NOTICE": "7",
            "DJANGO_SECRET_KEY": "…",
        }


def test_every_setting_that_holds_a_password_or_key_is_secret() -> None:
    """All others may appear in an error."""
    secret = {setting.name for setting in table.SETTINGS if setting.secret}
    assert secret == {"REDIS_URL", "REDIS_SENTINEL_PASSWORD", "CLOCK_REDIS_REPLICA_URL", "DJANGO_SECRET_KEY"}


def test_a_value_may_name_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$OTHER` stands for the value of OTHER."""
    monkeypatch.setenv("OTHER", "redis://elsewhere")
    monkeypatch.setenv("REDIS_URL", "$OTHER")
    assert read(redis_table.REDIS_URL) == "redis://elsewhere"


def test_an_address_is_a_host_with_a_port() -> None:
    """An IPv6 address is in brackets."""
    assert Addresses().parse("one:26379, [2001:db8::7]:1") == [("one", 26379), ("2001:db8::7", 1)]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("https://example.org:80", "https://example.org:80"),
        ("HTTPS://Example.ORG:8443", "https://example.org:8443"),
        ("https://example.org:65535", "https://example.org:65535"),
        ("http://localhost:8001", "http://localhost:8001"),
        ("http://scoreboard_2:8001", "http://scoreboard_2:8001"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        (f"https://{'a' * 63}.example", f"https://{'a' * 63}.example"),
        ("http://[::1]:8001", "http://[::1]:8001"),
        ("https://[2001:DB8:0:0:0:0:0:7]:443", "https://[2001:db8::7]"),
        ("https://[2001:0db8::0:7]", "https://[2001:db8::7]"),
        ("https://[2001:db8:0:1:1:1:1:1]", "https://[2001:db8:0:1:1:1:1:1]"),
        ("https://[1:0:0:2:0:0:0:3]", "https://[1:0:0:2::3]"),
        ("https://[::ffff:192.0.2.7]", "https://[::ffff:c000:207]"),
        ("https://[::ffff:0.0.0.0]", "https://[::ffff:0:0]"),
        ("https://[::192.0.2.7]", "https://[::c000:207]"),
    ],
)
def test_an_origin_is_normalised_to_what_browsers_send(written: str, sent: str) -> None:
    """In lower case, without the default port, IPv6 compressed, and each once."""
    parser = Origins(for_frames=False)
    assert parser.parse(f"https://other.example, {written},{written}") == ["https://other.example", sent]
    assert parser.parse(sent) == [sent]


INVALID_ORIGINS = (
    *("null", "*", "example.org", "//example.org", "ws://example.org", "file:///x", "about:blank", "https:example.org"),
    *("https://", "https:///", "https://:443", "https://.", "https://*", "https://*.", "https://.*"),
    *("https://example.org/", "https://example.org/x", "https://example.org?x", "https://example.org#x"),
    *("https://example.org;", "https://example.org;script-src *", "https://example.org'", 'https://"example.org"'),
    *("https://exa mple.org", "https://example.org https://a", "https://exa\tmple.org", "https://exa\nmple.org"),
    *("https://user@example.org", "https://user:password@example.org", "https://@example.org"),
    *("https://example.org:", "https://example.org:0", "https://example.org:00443", "https://example.org:0443"),
    *("https://example.org:65536", "https://example.org:99999", "https://example.org:-1", "https://example.org:+1"),
    *("https://example.org:*", "https://example.org:x", "https://example.org:80:80", "https://example.org:\u0664"),
    *(
        "https://.example.org",
        "https://example..org",
        "https://example.org.",
        "https://-a.example",
        "https://a-.example",
    ),
    *(f"https://{'a' * 64}.example", "https://" + ".".join(["a" * 60] * 5), "https://a*.example", "https://*a.example"),
    *(
        "https://b\u00fccher.example",
        "https://example\u3002org",
        "https://\u212aelvin.example",
        "https://ex\u00adample.org",
    ),
    *("https://xn--.example", "https://xn--abc-.example", "https://xn--99999999999.example", "https://%61.example"),
    *("http://1.2.3", "http://1.2.3.256", "http://01.2.3.4", "http://0x7f.1", "http://example.1", "http://1.2.3.4.5"),
    *("http://[::1", "http://::1", "http://[]", "http://[::g]", "http://[1::2::3]", "http://[::1%25eth0]"),
    *(
        "http://[::1]x",
        "http://[::1]:",
        "http://[127.0.0.1]",
        "http://[1:2:3:4:5:6:7]",
        "http://[v1.x]",
        "http://x[::1]",
    ),
)


@pytest.mark.parametrize("written", INVALID_ORIGINS)
@pytest.mark.parametrize("for_frames", [False, True])
def test_what_no_browser_sends_is_an_invalid_origin(
    monkeypatch: pytest.MonkeyPatch, written: str, *, for_frames: bool
) -> None:
    """It would never match, or would be more than an origin. The error is one line and says why."""
    monkeypatch.setenv("X", f"https://good.example,{written}")
    with pytest.raises(
        InvalidSetting, match=r"is invalid \(.+\)\. Required: a comma-separated list of origins"
    ) as caught:
        read(setting(Origins(for_frames=for_frames)))
    assert "\n" not in str(caught.value)
    if not written.isascii() and "\u0664" not in written:
        assert "xn--" in str(caught.value)


@pytest.mark.parametrize("written", ["https://*.example.org", "http://*.a-b.example:8080"])
def test_a_wildcard_is_valid_for_frames_only(written: str) -> None:
    """A site may have frames on all its subdomains; an `Origin` header is always one origin."""
    assert Origins(for_frames=True).parse(written.upper()) == [written]
    with pytest.raises(InvalidValue, match="wildcard"):
        Origins(for_frames=False).parse(written)


@pytest.mark.parametrize(
    "written", ["http://[::1]:8001", "http://scoreboard_2", "https://*.10.0.0.7", "https://*.*.org"]
)
def test_what_browsers_do_not_support_in_frame_ancestors_is_invalid(written: str) -> None:
    """Chromium ignores such a source and shows no frame."""
    with pytest.raises(InvalidValue):
        Origins(for_frames=True).parse(written)


@how(deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.builds("{}://{}{}{}".format, st.sampled_from(["http", "HTTPS", "ws"]), *[st.text("ab.:-_*@[]/;0159x ")] * 3),
    )
)
def test_an_accepted_origin_is_one_source_and_normalising_it_again_changes_nothing(written: str) -> None:
    """No text gets another directive, source or header into the policy."""
    for for_frames in (False, True):
        try:
            origin = normalise(written, for_frames=for_frames)
        except InvalidOrigin:
            continue
        assert re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[a-z0-9_.*-]+)(:[1-9][0-9]*)?", origin)
        assert normalise(origin, for_frames=for_frames) == origin
        assert urlsplit(origin).geturl() == origin


def test_a_wildcard_host_needs_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would let any site embed the clock by DNS rebinding."""
    monkeypatch.setenv("DJANGO_ALLOWED_HOSTS", "*")
    monkeypatch.setenv("DJANGO_DEBUG", "on")
    assert read(table.DJANGO_ALLOWED_HOSTS) == ["*"]
    monkeypatch.setenv("DJANGO_DEBUG", "off")
    with pytest.raises(InvalidSetting, match="DJANGO_DEBUG"):
        read(table.DJANGO_ALLOWED_HOSTS)


@pytest.fixture
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of a process with an empty environment, which Django has not changed: it fills in DATABASES."""
    for name in os.environ:
        if name.startswith(("CLOCK_", "DJANGO_", "REDIS_")):
            monkeypatch.delenv(name)
    return runpy.run_path(str(ROOT / "tournament" / "settings.py"))


def test_the_defaults_are_safe_for_localhost(fresh_settings: dict[str, Any]) -> None:
    """No debugging, no other host, no other origin, no database, and a key that nobody knows."""
    assert fresh_settings["DEBUG"] is False
    assert fresh_settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert fresh_settings["CLOCK_ALLOWED_ORIGINS"] == []
    assert fresh_settings["CLOCK_ALLOW_MISSING_ORIGIN"] is False
    assert fresh_settings["CLOCK_TIME_ZONE"].key == "UTC"
    assert fresh_settings["DATABASES"] == {}
    assert len(fresh_settings["SECRET_KEY"]) == 50


def test_the_namespace_is_the_prefix_of_every_channel(fresh_settings: dict[str, Any]) -> None:
    """Pub/sub ignores Redis database numbers, so the prefix keeps two clocks apart."""
    assert fresh_settings["CHANNEL_LAYERS"]["default"]["CONFIG"]["prefix"] == fresh_settings["CLOCK_NAMESPACE"]


def test_the_settings_are_plain_assignments_from_the_table(fresh_settings: dict[str, Any]) -> None:
    """Each setting of the table is read in settings.py exactly once, under its own name or Django's."""
    source = (ROOT / "tournament" / "settings.py").read_text()
    assigned = re.findall(r"^([A-Z_]+) = read\(((?:redis_)?table)\.([A-Z_]+)\)", source, re.MULTILINE)
    assert sorted(name for _, _, name in assigned) == sorted(setting.name for setting in table.SETTINGS)
    modules = {"table": table, "redis_table": redis_table}
    for name, module, in_table in assigned:
        assert name == in_table.removeprefix("DJANGO_") if in_table.startswith("DJANGO_") else name == in_table
        assert getattr(modules[module], in_table).name == in_table
        assert name in fresh_settings


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program of the project with these variables and no others."""
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "check"],
        ["-m", "daphne", "-p", "0", "tournament.asgi:application"],
        ["-m", "tournament.server", "-p", "0", "tournament.asgi:application"],
    ],
    ids=["manage.py", "daphne", "tournament.server"],
)
def test_an_invalid_setting_ends_every_program_with_one_line(command: list[str]) -> None:
    """Exit code 1 and no traceback, whichever program loads the settings."""
    done = run(*command, REDIS_URL="http://localhost")
    assert done.returncode == 1
    assert re.fullmatch(r"REDIS_URL='…' is invalid\. Required: .+\.\n", done.stderr), done.stderr


def check(*options: str, **environment: str) -> tuple[int, str]:
    """Run Django's own checks, and return the exit code and what they print."""
    done = run("-W", "error", "manage.py", "check", "--fail-level", "WARNING", *options, **environment)
    return done.returncode, done.stderr


def test_djangos_deployment_checks_pass() -> None:
    """With HTTPS nothing is reported; without, only its absence, in two warnings that the documentation names.

    Without `--deploy` nothing is reported, with no environment at all.
    """
    assert check() == (0, "")
    assert check("--deploy", CLOCK_HTTPS="on") == (0, "")
    code, printed = check("--deploy")
    assert code == 1
    warnings = set(re.findall(r"security\.W\d+", printed))
    assert warnings == {"security.W004", "security.W008"}
    assert all(warning in (ROOT / "docs" / "operations.md").read_text() for warning in warnings)
