"""The scenarios: what happens to a subject while it is measured."""

from typing import Final

# All scenarios, in the order in which a running subject goes through them, with the seconds that each takes besides its
# window. A number is a number of clients at 100 frames per second.
SCENARIOS: Final = {
    "0": 2.5,
    "1": 2.5,
    "100": 2.7,
    "400": 3.0,
    "800": 2.7,
    "storm": 8.0,  # 400 clients stream, and 400 more connect, each with the requests of a page
    "stalled": 5.5,  # 400 clients, of which 20 stop reading
    "rate=10": 5.5,  # 400 clients at 10 frames per second
}
SIZES: Final = {"1": 1, "100": 100, "400": 400, "800": 800}
START_S: Final = 3.5  # until a subject runs

CLIENTS: Final = 400  # in the scenarios that are not numbers
STALLED_CLIENTS: Final = 20
STALLED_LIMIT_S: Final = 25.0  # how long the benchmark waits for a server to disconnect them

PARALLEL: Final = 32  # clients that connect at the same time
NOW_CALLS: Final = 5  # requests for /clock/now that a page sends when it starts

# Between the last client's connection and the start of the window. Just-in-time compilers (Node's, Bun's) need it.
SETTLE_S: Final = 2.0
