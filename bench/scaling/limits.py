"""The limits: what gives out first beside the workers' cores, at how many viewers, and what to do about it."""

from typing import Final

from bench.report.tables import Rows
from bench.scaling.model import LOWEST_RATE, Model
from bench.scaling.plan import CORES_PER_HOST, WIRE_BYTES
from bench.scaling.redis_figures import PLANNED_LOAD, RedisFigures
from bench.scaling.storm import LIMIT_S, Loss, simulate
from clock.broadcast.admission import VIEWERS_SHARE
from clock.contract import DEFAULT_RATE

HEADINGS: Final = ("limit", "value", "reached at", "what to do")

# Linux' default range for outgoing connections: net.ipv4.ip_local_port_range is 32768 to 60999.
EPHEMERAL_PORTS: Final = 60_999 - 32_768 + 1

# The default of net.netfilter.nf_conntrack_max with 4 GiB of memory or more, and kube-proxy's per core.
CONNTRACK_ENTRIES: Final = 262_144
KUBE_PROXY_ENTRIES_PER_CORE: Final = 32_768

# A page has its stream, and for a while a connection for its probes.
CONNECTIONS_PER_PAGE: Final = 2

# Redis' default of `maxclients`. A worker has a subscription, and a connection to compare clocks.
REDIS_CLIENTS: Final = 10_000
CONNECTIONS_PER_WORKER: Final = 2

HOST_BITS: Final = 10e9

STORM_HEADINGS: Final = (
    "workers left",
    "viewers for each",
    "beside the planned load",
    "processes ended: 50 % are back",
    "99 %",
    "all",
    "hosts vanished: 50 % are back",
    "99 %",
    "all",
    "attempts per viewer",
)
STORM_VIEWERS: Final = 100_000
STORM_WORKERS: Final = (10, 20, 50, 100, 200, 500)


def limit_rows(model: Model, redis: RedisFigures) -> Rows:
    """Return a row under `HEADINGS` for each limit."""
    costs, full = model.costs, model.admitted()
    return [
        [
            "open files of a worker",
            f"a page has up to {CONNECTIONS_PER_PAGE}",
            f"{full:,} viewers, as many as a core serves, need {full / VIEWERS_SHARE:,.0f}",
            "raise the hard limit",
        ],
        [
            "memory of a worker",
            f"{costs.memory_bytes / 1024:.0f} KiB per page, without the kernel's buffers",
            f"{full:,} pages: {full * costs.memory_bytes / (1 << 20):.0f} MiB",
            "plan it, with half as much again",
        ],
        [
            "Redis to workers",
            f"{1e6 * redis.delivery_s:.1f} µs of one core per tick and worker",
            f"{redis.workers_of_master:,} workers at a load of {100 * PLANNED_LOAD:.0f} %",
            f"replicas: each feeds {redis.workers_of_replica:,} and costs the master {1e3 * redis.feed_s:.1f} ms/s",
        ],
        [
            "comparisons of clocks with the master",
            f"{1e6 * redis.comparison_s:.1f} µs per worker and second",
            f"{(PLANNED_LOAD - redis.base_load) / redis.comparison_s:,.0f} workers",
            "nothing: other limits come first",
        ],
        [
            "connections of Redis",
            f"`maxclients` is {REDIS_CLIENTS:,}",
            f"{REDIS_CLIENTS // CONNECTIONS_PER_WORKER:,} workers",
            "raise it, and the limit on open files of Redis",
        ],
        [
            "bandwidth of a host",
            f"{WIRE_BYTES} bytes per frame",
            f"{HOST_BITS / 1e9:.0f} Gbit/s: {at_both(HOST_BITS / (WIRE_BYTES * 8))}",
            "fewer workers per host, or `CLOCK_PAGE_RATE`",
        ],
        [
            "HAProxy's processor",
            f"{1e6 * costs.proxied_frame:.1f} µs per frame",
            f"one core: {at_both(1 / costs.proxied_frame)}",
            "balance below HTTP: IPVS with direct routing, or the layer 4 balancer of a cloud",
        ],
        [
            "ports of a proxy",
            f"{EPHEMERAL_PORTS:,} per address of the proxy and address and port of a worker",
            f"{EPHEMERAL_PORTS // CONNECTIONS_PER_PAGE:,} pages per proxy and worker; a worker is full at {full:,}",
            "widen `net.ipv4.ip_local_port_range`, more addresses (`source` in HAProxy), more proxies",
        ],
        [
            "connection tracking of a host",
            f"`nf_conntrack_max` is {CONNTRACK_ENTRIES:,}; kube-proxy sets {KUBE_PROXY_ENTRIES_PER_CORE:,} per core",
            f"{CONNTRACK_ENTRIES // CONNECTIONS_PER_PAGE:,} pages; {CORES_PER_HOST} workers: {CORES_PER_HOST * full:,}",
            "raise it, or exempt the port with the target NOTRACK",
        ],
    ]


def at_both(frames: float) -> str:
    """Return for how many viewers so many frames per second are enough, at the highest and at the lowest rate."""
    at_full, at_lowest = frames / DEFAULT_RATE, frames / LOWEST_RATE
    return f"{at_full:,.0f} viewers at {DEFAULT_RATE} frames/s, {at_lowest:,.0f} at {LOWEST_RATE}"


def storm_rows(model: Model) -> Rows:
    """Return a row under `STORM_HEADINGS` for each number of workers that are left."""
    arrival_s = model.costs.handshake + model.costs.request
    room = model.admitted() - model.pages_at(LOWEST_RATE)
    rows = []
    for workers in STORM_WORKERS:
        each = STORM_VIEWERS // workers
        ended, vanished = (
            simulate(Loss(STORM_VIEWERS, workers, arrival_s, is_silent=is_silent)) for is_silent in (False, True)
        )
        times = [time for one in (ended, vanished) for time in (one.half_s, one.most_s, one.all_s)]
        attempts = max(ended.attempts, vanished.attempts)
        rows.append(
            [
                f"{workers:,}",
                f"{each:,}",
                "fits" if each <= room else f"room for {room:,}",
                *(f"{time:.1f} s" if time < LIMIT_S else f"more than {LIMIT_S:.0f} s" for time in times),
                f"{attempts:.2f}",
            ]
        )
    return rows
