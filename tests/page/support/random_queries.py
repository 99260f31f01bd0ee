"""Random query strings: options of the page with valid and invalid values, and strings that are no options at all."""

import random
from urllib.parse import urlencode

NAMES = [
    *("tz", "label", "h", "date", "seconds", "hundredths", "theme", "bg", "size", "mirror", "offset", "rate", "raw"),
    *("awake", "lang", "", "TZ", "__proto__", "constructor", "toString", "hasOwnProperty", "utm_source", "🕰"),
]
VALUES = [
    *("", "on", "off", "1", "0", "12", "24", "10", "100", "-80", "1e3", "0x10", "NaN", "Infinity", "9" * 20),
    *("UTC", "Europe/Berlin", "europe/berlin", "Asia/Tokyo,UTC", "Mars/Olympus", ",,,", "+05:30", "Etc/GMT+5"),
    *("light", "contrast", "fff-003366", "fff-eee", "#fff-#000", "transparent", "own", "auto", "de", "pt-BR", "tlh"),
    *("<script>alert(1)</script>", "{name}", "${x}", "%", "\0", "\u202e", "é", "../etc"),
    *("__proto__", "constructor", "null", "undefined", "a" * 3_000, "😀" * 61, "\n", "javascript:alert(1)", "$&", "$1"),
]


def random_queries(seed: int, count: int) -> list[str]:
    """Return this many query strings, each with its question mark."""
    draw = random.Random(seed)
    return [_random_query(draw) for _ in range(count)]


def _random_query(draw: random.Random) -> str:
    if draw.random() < 0.1:
        return "?" + "".join(chr(draw.randrange(33, 0x2FF)) for _ in range(draw.randrange(60)))
    pairs = [(draw.choice(NAMES), draw.choice(VALUES)) for _ in range(draw.randrange(1, 6))]
    if draw.random() < 0.1:
        return "?" + "&".join(f"{name}={value}"[:200] for name, value in pairs).replace("\0", "%00").replace("#", "%23")
    return "?" + urlencode(pairs, errors="replace")
