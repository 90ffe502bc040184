from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.meters import Histogram, StageMeters


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentile_is_right_to_a_bucket(durations_ns: list[int], percent: float) -> None:
    """At most 12.5 % off the exact order statistic (or the 8 ns below which buckets end)."""
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.record(duration_ns)
    ranked = sorted(durations_ns)
    exact = ranked[max(0, -(-len(ranked) * int(percent) // 100) - 1)]
    found_ms = histogram.percentile_ms(percent)
    assert found_ms is not None
    assert abs(found_ms * 1e6 - exact) <= max(8, exact * 0.125)


def test_percentile_of_nothing_is_unknown() -> None:
    assert Histogram().percentile_ms(50) is None


def test_since_leaves_out_what_was_counted_before() -> None:
    """The live view shows the last seconds, not the whole run."""
    histogram = Histogram()
    histogram.record(1_000_000)
    earlier = histogram.copy()
    histogram.record(80_000_000)
    recent_ms = histogram.since(earlier).percentile_ms(0)
    assert recent_ms is not None
    assert 70 < recent_ms < 90


def test_dropping_nothing_leaves_no_reason_behind() -> None:
    meters = StageMeters()
    meters.drop("late", 0)
    meters.drop("late", 2)
    assert dict(meters.dropped) == {"late": 2}
