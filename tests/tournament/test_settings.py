"""Settings come from the environment; a bad one stops the start by name."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from tournament import settings
from tournament.configuration import environment
from tournament.configuration.environment import BadSetting
from tournament.configuration.origins import BadOrigin, normalise

ROOT = Path(__file__).resolve().parents[2]


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
            ["a.b", "ws://a", "http://", "http://a/", "http://a/b", "*", "https://*.example.org"],
            "https://a:81",
        ),
        (
            lambda: environment.frame_ancestors("X", ""),
            ["a.b", "*", "https://*", "https://a.example;script-src *", "https://[::1]", "https://*.10.0.0.7"],
            "https://a:81, http://*.example.org",
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
def test_an_origin_becomes_what_browsers_send(monkeypatch: pytest.MonkeyPatch, written: str, sent: str) -> None:
    """In lower case, without the default port, and IPv6 compressed."""
    monkeypatch.setenv("X", f"https://other.example, {written},{written}")
    assert environment.origins("X", "") == ["https://other.example", sent]
    monkeypatch.setenv("X", sent)
    assert environment.origins("X", "") == [sent]


NO_ORIGINS = (
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


@pytest.mark.parametrize("written", NO_ORIGINS)
@pytest.mark.parametrize("read", [environment.origins, environment.frame_ancestors])
def test_what_no_browser_sends_is_no_origin(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[str, str], list[str]], written: str
) -> None:
    """It would never match, or be more than an origin."""
    monkeypatch.setenv("X", f"https://good.example,{written}")
    with pytest.raises(
        BadSetting, match=r"X=['\"].*['\"] cannot be used: it takes origins such as https://example.org"
    ) as caught:
        read("X", "")
    assert "\n" not in str(caught.value)
    if not written.isascii() and "\u0664" not in written:
        assert "xn--" in str(caught.value)


@pytest.mark.parametrize("written", ["https://*.example.org", "http://*.a-b.example:8080"])
def test_a_wildcard_is_for_frames_alone(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    """A site may have frames on all its subdomains; an `Origin` is always one."""
    monkeypatch.setenv("X", written.upper())
    assert environment.frame_ancestors("X", "") == [written]
    with pytest.raises(BadSetting, match="wildcard"):
        environment.origins("X", "")


@pytest.mark.parametrize(
    "written", ["http://[::1]:8001", "http://scoreboard_2", "https://*.10.0.0.7", "https://*.*.org"]
)
def test_what_browsers_do_not_know_in_frame_ancestors(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    """Chromium reads such a source as none at all, and shows no frame."""
    monkeypatch.setenv("X", written)
    with pytest.raises(BadSetting):
        environment.frame_ancestors("X", "")


@how(deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.builds("{}://{}{}{}".format, st.sampled_from(["http", "HTTPS", "ws"]), *[st.text("ab.:-_*@[]/;0159x ")] * 3),
    )
)
def test_whatever_is_taken_is_one_source_and_stays_as_it_is(written: str) -> None:
    """No text gets another directive, source or header into the policy, and what is normalised is normal."""
    for for_frames in (False, True):
        try:
            origin = normalise(written, for_frames=for_frames)
        except BadOrigin:
            continue
        assert re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[a-z0-9_.*-]+)(:[1-9][0-9]*)?", origin)
        assert normalise(origin, for_frames=for_frames) == origin
        assert urlsplit(origin).geturl() == origin


def test_a_directive_in_the_ancestors_stops_the_start() -> None:
    """It is no origin, and never gets into a policy."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CLOCK_FRAME_ANCESTORS": "https://a.example;script-src *"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"CLOCK_FRAME_ANCESTORS='https://a.example;script-src \*' cannot be used: .+\n", done.stderr)


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
