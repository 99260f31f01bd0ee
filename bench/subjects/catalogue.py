"""All subjects, in the order in which the benchmark measures and reports them."""

from functools import partial
from typing import Final

from bench.subjects.balancer import BALANCED
from bench.subjects.peers import PEERS
from bench.subjects.subject import Deployment, Environment, Subject, python_server
from testbed.processes import PlainWorker, Worker


def deploy_worker(environment: Environment, *, plain: bool = False) -> Deployment:
    """Deploy a worker: the project's own server, or plain Daphne."""
    worker = (PlainWorker if plain else Worker)(environment.broker.url, environment.directory)
    return Deployment(worker.port, [worker])


def baseline(name: str, title: str) -> Subject:
    """Return one of the consumers in `baselines`, on Daphne."""
    application = f"bench.subjects.baselines:{name}"
    return Subject(name, title, "/", python_server(name, "-m", "daphne", "-v", "0", "-p", "PORT", application))


SUBJECTS: Final = (
    Subject(
        "floor",
        "the floor: a bare loop of send",
        "/",
        python_server("floor", "-m", "bench.subjects.floor", "PORT", "REDIS_PORT"),
    ),
    Subject("worker", "this worker", "/ws/clock/", deploy_worker, has_now=True),
    Subject("daphne", "plain Daphne, same application", "/ws/clock/", partial(deploy_worker, plain=True), has_now=True),
    baseline("loop", "baseline: one loop per connection"),
    baseline("group", "baseline: every connection in the group"),
    *PEERS,
    BALANCED,
)

TITLES: Final = {subject.name: subject.title for subject in SUBJECTS}
