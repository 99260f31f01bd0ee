"""How `make test` spreads the tests over its processes: whole files, and all tests of the page in one process.

Two browsers at once would slow each other down on two cores, and tests of the page are about its timing. It is a plugin
of pytest: `-p tests.scheduling`.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

PAGE: Final = "tests/page"


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # its base class has no types
    """Sends each file to one process, and the whole folder of the page as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return PAGE if file.startswith(f"{PAGE}/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Have pytest-xdist use it."""
    return Scheduling(config, log)
