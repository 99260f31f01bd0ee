"""How `make test` and `make page-test` spread tests over processes: whole files, and the tests of the page as one.

Two browsers at once would slow each other down on two cores. So the tests of the page are in one process, but for the
simulations of its time, which need little of a browser, and its accuracy, which comes last, when there is most room for
it. It is a plugin of pytest: `-p tests.scheduling`.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

PAGE: Final = "tests/page/"
TIME: Final = "tests/page/time/"
ACCURACY: Final = "tests/page/time/test_accuracy.py"


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # its base class has no types
    """Sends each file to one process, and those of the page as if they were one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return PAGE if file.startswith(PAGE) and not file.startswith(TIME) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Have pytest-xdist use it."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the page's accuracy to the end."""
    items.sort(key=lambda item: item.nodeid.startswith(ACCURACY))
