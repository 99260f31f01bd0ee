"""How `make test` spreads the tests over its processes: whole files, and the tests of the page by folder.

Two browsers at once would slow each other down on two cores. So the tests of the page are in one process, but for those
of its time, which come last, when there is most room for them. It is a plugin of pytest: `-p tests.scheduling`.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

TIME: Final = "tests/page/time/"
FOLDERS: Final = (TIME, "tests/page/")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # its base class has no types
    """Sends each file to one process, and each of `FOLDERS` as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in FOLDERS if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Have pytest-xdist use it."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the page's time to the end."""
    items.sort(key=lambda item: item.nodeid.startswith(TIME))
