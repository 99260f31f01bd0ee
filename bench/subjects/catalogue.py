"""All subjects, in the order in which the benchmark reports them."""

from typing import Final

from bench.subjects.balancer import BALANCED
from bench.subjects.peers import PEERS
from bench.subjects.subject import Deployment, Environment, Subject, python_server
from testbed.processes import PlainWorker, Worker
from testbed.workers import Workers


def worker(name: str, title: str, kind: type[Worker]) -> Subject:
    """Return a worker of the clock."""

    def deploy(environment: Environment) -> Deployment:
        program = kind(environment.broker.url, environment.directory, CLOCK_NAMESPACE=environment.namespace)
        return Deployment(program.port, [program])

    return Subject(name, title, "/ws/clock/", deploy, has_now=True)


def baseline(name: str, title: str) -> Subject:
    """Return one of the consumers in `baselines`, on Daphne."""
    application = f"bench.subjects.baselines:{name}"
    return Subject(name, title, "/", python_server(name, "-m", "daphne", "-v", "0", "-p", "PORT", application))


ALL: Final = (
    Subject(
        "floor",
        "the floor: a bare loop of `send`",
        "/",
        python_server("floor", "-m", "bench.subjects.floor", "PORT", "REDIS_PORT", "CHANNEL"),
    ),
    worker("worker", "this worker", Worker),
    worker("daphne", "plain Daphne, same application", PlainWorker),
    baseline("loop", "baseline: one loop per connection"),
    baseline("group", "baseline: every connection in the group"),
    *PEERS,
    worker("processes", "two workers on one port", Workers),
    *BALANCED,
)

SUBJECTS: Final = {subject.name: subject for subject in ALL}
