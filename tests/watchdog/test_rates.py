"""How many packets are to be expected."""

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.rates import Rates
from edgeapp.watchdog.tick import StageWork, Work

KEY = ("porch", "detect")
RUNGS = (Rung("m", 0.08, 0.5),)


def tenant(rate_hz: float = 10.0, stage: str = "detect") -> Tenant:
    return Tenant("porch", (Ladder("porch", stage, RUNGS, rate_hz),))


def work(rate_hz: float) -> Work:
    return Work(0.0, {KEY: StageWork(rate_hz, Setting(0))})


def after(rates: Rates, *arriving: float, begin_s: float = 0.0) -> float:
    for t_s, rate_hz in enumerate(arriving):
        rates.observe(begin_s + t_s, work(rate_hz))
    return rates.values[KEY]


def test_before_anything_came_the_ladder_says_it() -> None:
    assert Rates([tenant(7.5)]).values[KEY] == 7.5


def test_what_arrives_goes_before_what_the_ladder_says() -> None:
    rates = Rates([tenant(10.0)])
    assert after(rates, 4.0) == 4.0
    assert after(rates, *[4.0] * 5, begin_s=1) == 4.0


def test_a_higher_rate_is_believed_within_seconds() -> None:
    rates = Rates([tenant()])
    after(rates, *[5.0] * 10)
    assert after(rates, *[20.0] * 10, begin_s=10) > 19


def test_a_lower_rate_is_believed_within_minutes() -> None:
    rates = Rates([tenant()])
    after(rates, *[20.0] * 10)
    assert after(rates, *[5.0] * 10, begin_s=10) > 15
    assert after(rates, *[5.0] * 600, begin_s=20) < 5.3


def test_silence_changes_nothing() -> None:
    """A camera that is away for a night comes back with all its packets."""
    rates = Rates([tenant()])
    after(rates, *[20.0] * 10)
    before = after(rates, *[0.0] * 100, begin_s=10)
    assert before > 19
    rates.observe(40_000.0, work(0.0))
    assert rates.values[KEY] == before
    rates.observe(40_001.0, Work(0.0, {}))
    assert rates.values[KEY] == before


def test_a_rate_that_trembles_stays_what_it_was() -> None:
    rates = Rates([tenant()])
    after(rates, *[7.0, 8.0] * 60)
    settled = rates.values[KEY]
    values = {after(rates, rate, begin_s=120 + i) for i, rate in enumerate([7.0, 8.0] * 60)}
    assert max(values) - min(values) < 0.1
    assert 7.3 < settled < 8.0


def test_what_cannot_be_a_rate_is_not_believed() -> None:
    rates = Rates([tenant()])
    after(rates, 5.0, float("nan"), float("inf"), -3.0)
    assert rates.values[KEY] == 5.0


def test_a_clock_that_stands_still_is_no_harm() -> None:
    rates = Rates([tenant()])
    for rate_hz in (5.0, 9.0, 9.0):
        rates.observe(3.0, work(rate_hz))
    assert rates.values[KEY] == 5.0


def test_after_a_reload_what_is_known_of_a_stage_that_stays_is_kept() -> None:
    rates = Rates([tenant()])
    after(rates, 4.0)
    rates.replace([tenant(rate_hz=30.0)])
    assert rates.values[KEY] == 4.0
    rates.replace([tenant(rate_hz=30.0, stage="other")])
    assert dict(rates.values) == {("porch", "other"): 30.0}
