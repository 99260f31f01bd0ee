"""What the tests of the Compose stack share: images, a stack that most of them use, and viewers."""

from collections.abc import Callable, Iterator

import pytest

from testbed import release
from testbed.recording.recorder import Recorder
from tests.compose.stack import IMAGE, Stack, docker

RecordProperty = Callable[[str, object], None]

# Viewers through the balancer. Most of them receive what a page gets in a crowd: a frame from a worker through HAProxy
# and Docker's proxy to a viewer costs about 60 µs, so 300 viewers at 100 frames per second would take two processors.
SLOW, FAST = 270, 30
SLOW_RATE, FAST_RATE = 10, 100


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this version, as Compose builds it."""
    Stack().compose("build")
    return IMAGE


@pytest.fixture(scope="session")
def next_image(image: str) -> str:
    """An image that Docker takes for another one. Its content is the same."""
    name = f"{image}-next"
    docker("build", "--quiet", "--label", "tests.compose=next", "--tag", name, ".")
    return name


@pytest.fixture(scope="session")
def old_image() -> str:
    """The image of the last release."""
    try:
        return release.build()
    except release.ReleaseUnavailable as error:
        pytest.fail(str(error), pytrace=False)


def run_stack(stack: Stack, replicas: int = 3) -> Iterator[Stack]:
    """Run a stack for some tests.

    At the end Docker must not have restarted a container, unless a test meant that. On `stop` tickers and workers exit
    with 0, and none has printed a traceback.
    """
    with stack:
        stack.scale(replicas)
        yield stack
        assert stack.restarted() == []
        assert stack.stop() == {0}
        assert "Traceback" not in stack.compose("logs", "--no-color")


@pytest.fixture(scope="session")
def stack(image: str) -> Iterator[Stack]:
    """The stack with three workers, in Kathmandu. A test leaves it so, but for the last module that uses it."""
    yield from run_stack(Stack(image=image, CLOCK_TIME_ZONE="Asia/Kathmandu"))


@pytest.fixture
def crowd(stack: Stack) -> Iterator[Recorder]:
    """300 viewers that reconnect as the page does."""
    with Recorder() as recorder:
        recorder.add(FAST, [stack.port], rate=FAST_RATE, reconnects=True)
        recorder.add(SLOW, [stack.port], rate=SLOW_RATE, reconnects=True)
        recorder.run(2)
        yield recorder
