"""The pace of what waited, on connections that exist only in numbers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.uplink.replay import RATE_OVER_S, Rate, ReplayPace

FOREVER = float("inf")


def replay(
    pace: ReplayPace, *, for_s: float, trip_s: float, each_s: float
) -> list[tuple[float, int]]:
    """Send as the pace says through a broker that takes `each_s` for each message."""
    now_s, sent = 0.0, []
    while now_s < for_s:
        now_s += pace.wait_s(now_s)
        count = pace.burst
        sent.append((now_s, count))
        pace.sent(count, now_s, now_s)
        assert pace.wait_s(now_s) == FOREVER
        for n in range(count):
            pace.answered(now_s + trip_s + (n + 1) * each_s)
        now_s += trip_s + count * each_s
    return sent


@given(
    window=st.integers(1, 20),
    trip_s=st.floats(0.0001, 1.0),
    each_s=st.floats(0.00001, 0.1),
)
def test_at_most_half_of_what_can_be_sent_is_used(
    window: int, trip_s: float, each_s: float
) -> None:
    """And never more than half of the window, where that has two places."""
    for_s = 300 * (trip_s + window * each_s)
    sent = replay(ReplayPace(window), for_s=for_s, trip_s=trip_s, each_s=each_s)
    per_s = sum(count for _, count in sent) / for_s
    can_per_s = window / (trip_s + window * each_s)
    assert per_s <= 0.55 * can_per_s
    assert max(count for _, count in sent) <= max(1, window // 2)


def test_on_a_long_way_half_of_the_window_is_used_without_a_rest() -> None:
    """There, a burst takes hardly longer than one message."""
    sent = replay(ReplayPace(20), for_s=60.0, trip_s=0.2, each_s=0.0001)
    last = sent[-50:]
    assert {count for _, count in last} == {10}
    assert all(b - a < 0.25 for (a, _), (b, _) in pairwise(last))


def test_a_slow_broker_gets_one_at_a_time_and_half_of_its_time_is_left() -> None:
    """Larger bursts are tried ever more seldom."""
    sent = replay(ReplayPace(20), for_s=600.0, trip_s=0.001, each_s=0.1)
    last = sent[-1000:]
    assert sum(count > 1 for _, count in last) <= 0.05 * len(last)
    busy_s = sum(count for _, count in sent) * 0.101
    assert busy_s <= 0.52 * 600.0


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    for n in range(1000):
        rate.add(n / 100)
    assert rate.per_s(10.0) == pytest.approx(100.0, rel=0.05)
    assert rate.per_s(10.0 + 10 * RATE_OVER_S) < 10.0
