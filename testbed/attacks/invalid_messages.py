"""Invalid messages, as anybody with access to Redis could publish them to the group of ticks.

They are the same in every run: messages that are known to have done harm; real messages, truncated or changed; fields
of a wrong type or out of range; and what hypothesis generates from the types of msgpack. A message that the contract
still accepts as a tick is left out: forging a tick is another attack.
"""

import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain, count, islice
from typing import Any, Final

import msgpack
from channels.layers import get_channel_layer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from clock.contract import MESSAGE_TYPE, Tick

# An old tick without a term. If a worker accepted it, it would drop it as not newer than the last.
AT: Final = 1_577_880_000_000
TICK: Final = Tick(
    AT, f'{{"message": "2020-01-01 12:00:00.00", "at": {AT}}}', 0, 0, True, "f" * 40, 0.25, 0.125
).message()

# Payloads of huge messages, in bytes. The tests' broker disconnects a subscriber with more than 1 MiB unread.
HUGE_BYTES: Final = (65_537, 200_000, 1 << 20)

# How many of the messages hypothesis generates; the others are made from real ones.
FROM_HYPOTHESIS: Final = 1_000

WRONG: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**53,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
    10**17,
    10**17 + 5,
    AT + 1,
    1.5,
    float(AT),
    float("nan"),
    float("inf"),
    float("-inf"),
    -1e308,
    5e-324,
    "",
    "1577880000000",
    "\N{SNOWMAN}",
    "\0",
    "x" * 126,
    "x" * 4_000,
    b"",
    b"\xff\xfe",
    [],
    [AT],
    {},
    {"at": AT},
    msgpack.ExtType(5, b"x"),
    msgpack.Timestamp(1, 1),
)

KNOWN: Final = (
    b"",
    b"\x91" * 1_000 + b"\x01",  # nested deeper than can be printed
    b"\x91" * 4_000 + b"\x01",
    b"\x81\xa1a" * 1_000 + b"\x01",
    b"\x81\xa2at" + b"\x91" * 900 + b"\x01",
    b"\x91" * 1_000,  # nested, and truncated
    b"\x81\x90\x01",  # a list as a key
    b"\x81\x80\x01",  # a map as a key
    b"\x82\xa2at\x01\xa2at\x02",  # a repeated key
    b"\xc1",  # the byte that msgpack does not use
    b"\xdd\xff\xff\xff\xff",  # a list, a map, bytes and text of 4 GiB
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x05",
    b"\xdc\xff\xff" + b"\x01" * 100,
    b"\xde\xff\xff" + b"\xa1a\x01" * 100,
    b"\xc7\x0c\xff" + b"\xff" * 12,  # a time outside the calendar
    b"\xd7\xff" + b"\xff" * 8,
    b"\xa5\xff\xfe\xfd\xfc\xfb",  # text that is not UTF-8
    b"\x81\xa2at\xa2\xed\xa0",  # half a surrogate
    b"\xd9\xff" + b"\xc3" * 255,
    b'{"type": "clock.tick", "at": 1577880000000}',
    b"\x80",
    b"\x90",
    b"\xc0",
    b"\0" * 4_096,
    b"\xff" * 4_097,
)


def messages(number: int) -> list[bytes]:
    """Return so many messages. Django must be set up, as the channel layer's serializer says which are ticks."""
    read = get_channel_layer().deserialize
    return list(islice((message for message in _endless() if not _is_tick(message, read)), number))


def _is_tick(message: bytes, read: Callable[[bytes], Any]) -> bool:
    try:
        Tick.from_message(read(message))
    except Exception:  # noqa: BLE001 - any error means that it is not accepted
        return False
    return True


def huge() -> list[bytes]:
    """Return a few messages that are too large for any reader to keep."""
    ticks = [_pack({**TICK, "server": "x" * size}) for size in HUGE_BYTES]
    return [*ticks, b"\x91" * HUGE_BYTES[0], b"\xff" * HUGE_BYTES[-1]]


def _endless() -> Iterator[bytes]:
    real = _pack(TICK)
    truncated = (real[:length] for length in range(len(real)))
    yield from chain(KNOWN, truncated, _wrong_fields(), _from_hypothesis())
    chance = random.Random(1)
    for number in count():
        if number % 10:
            yield _mutate(chance, real)
        else:
            yield chance.randbytes(chance.choice((1, 8, 60, 200, 1_000, 4_096, 10_000)))


def _wrong_fields() -> Iterator[bytes]:
    """Yield ticks with each field missing or with each wrong value, and unknown versions, types and keys."""
    for name in TICK:
        yield _pack({key: value for key, value in TICK.items() if key != name})
        for wrong in WRONG:
            yield _pack({**TICK, name: wrong})
    for wrong in WRONG:
        yield _pack({"type": MESSAGE_TYPE, "at": wrong})
        yield _pack([TICK, wrong])
        if wrong.__hash__ is not None:
            yield _pack({**TICK, "at": -10, wrong: wrong})
    for version in (0, 2, 3, 9_999, 10_000, -1, 2**63, 1.0, "1", None, [1]):
        yield _pack({**TICK, "v": version})
    yield _pack({**TICK, "at": AT, **{f"unknown {number}": "x" * 50 for number in range(200)}})
    yield _pack({key.encode(): value for key, value in TICK.items()})
    yield _pack(list(TICK.values()))
    yield _pack(TICK) * 2
    yield _pack({**TICK, "frame": [[TICK]] * 20})


def _from_hypothesis() -> list[bytes]:
    """Return structures of all types that msgpack has, some of them with the names of a tick's fields."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=20),
        st.binary(max_size=20),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9)),
    )
    names = st.one_of(st.sampled_from(list(TICK)), st.text(max_size=8), st.integers(-5, 5), st.binary(max_size=4))
    anything = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=12
    )
    like_a_tick = st.fixed_dictionaries({}, optional={name: leaves | st.just(value) for name, value in TICK.items()})
    made: list[bytes] = []

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=FROM_HYPOTHESIS,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(anything | like_a_tick)
    def make(structure: Any) -> None:
        made.append(_pack(structure))

    with tempfile.TemporaryDirectory() as directory:
        set_hypothesis_home_dir(directory)  # where it stores its tables of characters
        make()
    return made


def _mutate(chance: random.Random, data: bytes) -> bytes:
    """Change, remove, insert or repeat a few bytes, or replace a number."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(changed) + 1)
        end = start + chance.choice((0, 1, 1, 1, 2, 9, 40))
        changed[start:end] = chance.choice(
            (
                b"",
                chance.randbytes(1),
                chance.randbytes(9),
                bytes(changed[start:end]) * 2,
                struct.pack("!Bd", 0xCB, chance.choice((float("nan"), float("inf"), -0.0, 1e300))),
                struct.pack("!BQ", 0xCF, chance.getrandbits(64)),
                bytes((0x90 | chance.randrange(16),)) * chance.choice((1, 300)),
            )
        )
    return bytes(changed)


def _pack(structure: Any) -> bytes:
    packed: bytes = msgpack.packb(structure, unicode_errors="surrogatepass")
    return packed
