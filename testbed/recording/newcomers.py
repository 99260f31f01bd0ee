"""Newcomers: so many viewers a second connect, receive one frame and leave. None may be refused or reset.

python -m testbed.recording.newcomers --port 8001 --per-second 50 --seconds 20

It prints a report as JSON on its last line.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

from testbed.viewers import PING, TEXT, upgrade_request

# Seconds that a newcomer has to receive its frame.
TIMEOUT_S = 10.0


@dataclass
class Report:
    """What happened. Times are in seconds."""

    served: int = 0
    slowest_s: float = 0.0  # from the start of a connection to its first frame
    failures: list[str] = field(default_factory=list)  # one text each


async def visit(port: int) -> None:
    """Connect, receive a frame and disconnect.

    Raises:
        OSError, EOFError: the connection was refused or reset, or ended early.
        ValueError: the answer is not the expected one.
        TimeoutError: there was no frame in time.
    """
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(upgrade_request(port))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ValueError(f"the answer was {head!r}")
            opcode, length = await reader.readexactly(2)
            payload = await reader.readexactly(length)
            if opcode not in {TEXT, PING}:
                raise ValueError(f"the first frame was {opcode:#x} {payload!r}")
        finally:
            writer.close()


async def send(port: int, per_second: float, seconds: float) -> Report:
    """Have newcomers visit, evenly spread over the time, and report."""
    report = Report()

    async def one() -> None:
        began = time.monotonic()
        try:
            await visit(port)
        except (OSError, EOFError, ValueError) as error:
            report.failures.append(f"{began - start:.2f} s after the start: {error!r}")
        else:
            report.served += 1
            report.slowest_s = max(report.slowest_s, time.monotonic() - began)

    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(per_second * seconds)):
            await asyncio.sleep(start + number / per_second - time.monotonic())
            tasks.create_task(one())
    return report


def main() -> None:
    """Read the command line, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--per-second", type=float, default=50)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    report = asyncio.run(send(options.port, options.per_second, options.seconds))
    print(json.dumps(asdict(report)))
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
