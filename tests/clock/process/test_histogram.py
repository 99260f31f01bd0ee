"""The histogram: what Prometheus reads of the durations that were recorded."""

from clock.process.histogram import BOUNDS_S, MAX_S, Histogram


def read(histogram: Histogram) -> tuple[list[float], float, float]:
    """Return the cumulative counts of the buckets, the count and the sum."""
    samples = histogram.metric("x_seconds", "A test.").samples
    counts = [sample.value for sample in samples if sample.name == "x_seconds_bucket"]
    values = {sample.name: sample.value for sample in samples}
    return counts, values["x_seconds_count"], values["x_seconds_sum"]


def test_an_empty_histogram_has_all_buckets() -> None:
    """A rate of zero is not a missing rate."""
    counts, count, total = read(Histogram())
    assert counts == [0] * (len(BOUNDS_S) + 1)
    assert (count, total) == (0, 0)


def test_a_bucket_includes_its_upper_bound() -> None:
    """As Prometheus defines it: less than or equal."""
    histogram = Histogram()
    for value_s in (0.0001, 0.00010001, 0.5, 2.0):
        histogram.record(value_s)
    counts, count, total = read(histogram)
    bounds = dict(zip((*BOUNDS_S, float("inf")), counts, strict=True))
    assert (bounds[0.0001], bounds[0.00025], bounds[0.25], bounds[0.5], bounds[1.0]) == (1, 2, 2, 3, 3)
    assert bounds[float("inf")] == count == 4
    assert abs(total - 2.50020001) < 1e-9


def test_the_sum_stays_useful_whatever_is_recorded() -> None:
    """It never falls, and one absurd value does not hide all others."""
    histogram = Histogram()
    for value_s in (-5.0, 1e12, float("inf"), float("nan")):
        histogram.record(value_s)
    counts, count, total = read(histogram)
    assert (counts[0], count, total) == (1, 4, 3 * MAX_S)


def test_the_buckets_have_the_usual_labels() -> None:
    """As Prometheus itself writes them."""
    labels = [sample.labels.get("le") for sample in Histogram().metric("x_seconds", "A test.").samples]
    assert labels[:3] == ["0.0001", "0.00025", "0.0005"]
    assert labels[len(BOUNDS_S)] == "+Inf"
