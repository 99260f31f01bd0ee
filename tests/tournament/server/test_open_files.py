"""The limit on open files is raised as far as the system allows."""

import errno
import resource

import pytest

from tournament.server.open_files import raise_open_file_limit


class Limit:
    """A limit on open files, on a system that refuses values above `bound`."""

    def __init__(self, soft: int, hard: int, bound: int) -> None:
        self.soft, self.hard, self._bound = soft, hard, bound

    def getrlimit(self, _which: int) -> tuple[int, int]:
        """Return it."""
        return self.soft, self.hard

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        """Change it, or raise what Python raises."""
        soft, hard = limits
        assert hard == self.hard
        if soft == resource.RLIM_INFINITY or soft > self._bound:
            raise OSError(errno.EINVAL, "Invalid argument")
        if self.hard != resource.RLIM_INFINITY and soft > self.hard:
            raise ValueError("not allowed to raise maximum limit")
        self.soft = soft


@pytest.mark.parametrize(
    ("soft", "hard", "bound", "raised"),
    [
        (1_024, 1_048_576, 1 << 30, 1_048_576),
        (1_048_576, 1_048_576, 0, 1_048_576),
        (256, resource.RLIM_INFINITY, 10_240, 10_240),  # macOS
        (256, 12_288, 10_240, 10_240),
        (12_000, resource.RLIM_INFINITY, 12_288, 12_000),
        (256, 2_048, 512, 256),  # neither is allowed
        (256, resource.RLIM_INFINITY, 512, 256),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 0, resource.RLIM_INFINITY),
    ],
)
def test_the_limit_is_raised_as_far_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, bound: int, raised: int
) -> None:
    """A system that refuses the hard limit, or has none, causes no error."""
    limit = Limit(soft, hard, bound)
    for name in ("getrlimit", "setrlimit"):
        monkeypatch.setattr(resource, name, getattr(limit, name))
    raise_open_file_limit()
    assert limit.soft == raised
