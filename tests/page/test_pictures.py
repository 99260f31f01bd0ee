"""The pictures of the documentation."""

from tests.page.pictures import DOCS, DOCUMENTED

MAXIMUM_COUNT, MAXIMUM_BYTES = 10, 1_000_000


def test_there_are_few_and_small_pictures() -> None:
    """At most ten, under 1 MB together, and those that `make pictures` takes. Git keeps each version of them."""
    pictures = sorted(DOCS.parent.rglob("*.png"))
    assert pictures == sorted(DOCS / f"{name}.png" for name in DOCUMENTED)
    assert len(pictures) <= MAXIMUM_COUNT
    assert sum(picture.stat().st_size for picture in pictures) < MAXIMUM_BYTES
