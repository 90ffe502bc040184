from edgeapp.service.recent import WINDOW_S, Pace, Recent
from tests.cli import scenes


def test_a_rate_is_that_of_the_last_seconds_not_of_all_time() -> None:
    recent = Recent()
    for second in range(60):
        done = 10 * second if second < 50 else 500 + 100 * (second - 50)
        recent.add(float(second), [scenes.inspection(done)])
    assert recent.pace("inspection", "belt").rate_hz == 100.0


def test_latency_is_that_of_the_last_seconds() -> None:
    recent = Recent()
    recent.add(0.0, [scenes.inspection(1_000)])
    recent.add(WINDOW_S, [scenes.inspection(1_000)])
    assert recent.pace("inspection", "detect") == Pace()
    recent.add(WINDOW_S + 1, [scenes.inspection(1_010)])
    p50_ms = recent.pace("inspection", "detect").p50_ms
    assert p50_ms is not None
    assert abs(p50_ms - 4.0) < 0.25


def test_one_snapshot_says_nothing_yet() -> None:
    recent = Recent()
    recent.add(0.0, [scenes.inspection(5)])
    assert recent.pace("inspection", "belt") == Pace()


def test_what_did_not_exist_before_has_no_pace() -> None:
    recent = Recent()
    recent.add(0.0, [])
    recent.add(1.0, [scenes.inspection(5)])
    assert recent.pace("inspection", "belt") == Pace()
    assert recent.pace("nobody", "nothing") == Pace()


def test_after_a_reload_it_is_what_came_since() -> None:
    """Counters begin anew then; the rate is neither negative nor that of before."""
    recent = Recent()
    recent.add(0.0, [scenes.inspection(1_000)])
    recent.add(1.0, [scenes.inspection(1_100)])
    recent.add(2.0, [scenes.inspection(5)])
    assert recent.pace("inspection", "belt") == Pace()
    recent.add(3.0, [scenes.inspection(25)])
    assert recent.pace("inspection", "belt").rate_hz == 20.0
