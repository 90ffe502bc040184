"""How many cores a power limit and a battery goal allow."""

import random
from collections.abc import Callable
from math import inf, nan

import pytest

from edgeapp.watchdog.limits import BatteryGoal, Limits, Prior
from edgeapp.watchdog.power import DOUBT, Power, Watts
from edgeapp.watchdog.tick import Reading

PRIOR = Prior("bench", idle_w=2.0, core_w=1.0)
HOUR = 3600.0


def limits(power_w: float | None = None, battery: BatteryGoal | None = None) -> Limits:
    return Limits(cores=4, power_w=power_w, battery=battery)


def test_without_limits_every_core_may_run() -> None:
    power = Power(limits(), PRIOR)
    power.observe(0.0, Reading(power_w=9.0, on_ac=False, battery=0.01), 3.0)
    assert power.limit_cores == inf
    assert power.battery_cores == inf


def test_a_power_limit_allows_what_the_prior_says_until_something_is_measured() -> None:
    power = Power(limits(4.5), PRIOR)
    assert power.limit_cores == pytest.approx(2.5)
    power.observe(0.0, Reading(), 1.0)
    assert power.limit_cores == pytest.approx(2.5)


def test_below_what_an_idle_device_takes_nothing_is_allowed() -> None:
    assert Power(limits(1.0), PRIOR).limit_cores == 0.0


@pytest.mark.parametrize(("idle_w", "core_w"), [(2.8, 1.35), (1.4, 0.7), (2.6, 0.8)])
def test_watts_are_learned_from_what_is_measured(idle_w: float, core_w: float) -> None:
    draw = random.Random(3)
    power = Power(limits(5.0), PRIOR)
    for t_s in range(900):
        cores = draw.uniform(0.2, 3.5)
        watts = idle_w + core_w * cores + draw.gauss(0, 0.1)
        power.observe(float(t_s), Reading(power_w=watts), cores)
    facts = power.facts()
    assert facts["idle_w"] == pytest.approx(idle_w, rel=0.05)
    assert facts["core_w"] == pytest.approx(core_w, rel=0.05)
    assert power.limit_cores == pytest.approx((5.0 - idle_w) / core_w, rel=0.1)


def test_the_limit_is_kept_where_the_device_is_nothing_like_its_prior() -> None:
    """Far outside of what is learned, what is measured still puts it right."""
    power = Power(limits(12.0), PRIOR)
    cores = 4.0
    for t_s in range(300):
        power.observe(float(t_s), Reading(power_w=8.0 + 2.5 * cores), cores)
        cores = min(4.0, power.limit_cores)
    assert 8.0 + 2.5 * cores == pytest.approx(12.0, abs=0.3)


def test_what_is_learned_stays_near_the_prior() -> None:
    watts = Watts(PRIOR)
    for _ in range(1000):
        watts.learn(3.0, 500.0, over_s=1.0, noise_w=0.1)
    assert watts.idle_w <= (1 + DOUBT) * PRIOR.idle_w
    assert watts.core_w <= (1 + DOUBT) * PRIOR.core_w
    for _ in range(1000):
        watts.learn(3.0, 0.01, over_s=1.0, noise_w=0.1)
    assert watts.idle_w >= (1 - DOUBT) * PRIOR.idle_w
    assert watts.core_w >= (1 - DOUBT) * PRIOR.core_w


def test_what_cannot_be_a_power_is_not_believed() -> None:
    power = Power(limits(4.5), PRIOR)
    for t_s, watts in enumerate((nan, inf, -inf, -5.0, 0.0, 1e9)):
        power.observe(float(t_s), Reading(power_w=watts, battery=nan, battery_wh=-inf), 1.0)
    assert power.limit_cores == pytest.approx(2.5)


GOAL = BatteryGoal(for_s=8 * HOUR, reserve=0.0, capacity_wh=20.0)


class Battery:
    """A battery and a device that do what they like, not what the prior says."""

    def __init__(self, *, idle_w: float, core_w: float, step_wh: float, wh: float = 20.0) -> None:
        self.idle_w, self.core_w, self.step_wh, self.wh = idle_w, core_w, step_wh, wh

    def run(self, cores: float, for_s: float) -> None:
        self.wh -= (self.idle_w + self.core_w * cores) * for_s / HOUR

    @property
    def reading(self) -> Reading:
        steps = int(max(self.wh, 0.0) / self.step_wh)
        return Reading(on_ac=False, battery_wh=steps * self.step_wh)


def lasts_h(
    battery: Battery, want: Callable[[float], float], foreign: Callable[[float], float]
) -> float:
    """Hours until the battery is empty, where all that is allowed and wanted is used."""
    power = Power(limits(battery=GOAL), PRIOR)
    t_s, tick_s, cores = 0.0, 5.0, 0.5
    while battery.wh > 0 and t_s < 12 * HOUR:
        power.observe(t_s, battery.reading, cores)
        ours = max(0.0, min(want(t_s), power.battery_cores - 0.3))
        cores = ours + foreign(t_s)
        battery.run(cores, tick_s)
        t_s += tick_s
    return t_s / HOUR


@pytest.mark.parametrize("step_wh", [0.01, 0.2])
@pytest.mark.parametrize(("idle_w", "core_w"), [(1.4, 0.7), (1.5, 1.3), (2.2, 1.0)])
def test_20_wh_last_for_8_hours(idle_w: float, core_w: float, step_wh: float) -> None:
    """Also where the gauge counts in hundredths of the charge, and neighbours come and go."""
    battery = Battery(idle_w=idle_w, core_w=core_w, step_wh=step_wh)

    def neighbours(t_s: float) -> float:
        return 0.9 if t_s % 900 < 300 else 0.0

    assert lasts_h(battery, lambda _: 4.0, neighbours) == pytest.approx(8.0, rel=0.05)


def test_what_is_saved_while_nothing_is_wanted_may_be_used_later() -> None:
    battery = Battery(idle_w=1.2, core_w=1.0, step_wh=0.05)

    def quiet_at_first(t_s: float) -> float:
        return 0.2 if t_s < 3 * HOUR else 4.0

    assert lasts_h(battery, quiet_at_first, lambda _: 0.0) == pytest.approx(8.0, rel=0.05)


def test_the_drain_of_the_battery_teaches_what_the_device_takes() -> None:
    battery = Battery(idle_w=2.6, core_w=0.7, step_wh=0.05)
    power = Power(limits(battery=GOAL), PRIOR)
    draw = random.Random(1)
    cores = 1.0
    for t_s in range(0, 4 * 3600, 2):
        if t_s % 200 == 0:
            cores = draw.uniform(0.0, 3.0)
        power.observe(float(t_s), battery.reading, cores)
        battery.run(cores, 2.0)
    assert power.facts()["idle_w"] == pytest.approx(2.6, rel=0.1)
    assert power.facts()["core_w"] == pytest.approx(0.7, rel=0.2)


def test_mains_lost_is_planned_for_at_once_and_mains_back_lifts_the_limit() -> None:
    goal = BatteryGoal(for_s=HOUR, reserve=0.0)
    power = Power(limits(battery=goal), PRIOR)
    power.observe(0.0, Reading(on_ac=True, battery_wh=4.0), 2.0)
    assert power.battery_cores == inf
    power.observe(5000.0, Reading(on_ac=False, battery_wh=4.0), 2.0)
    assert power.battery_cores == pytest.approx(2.0)
    assert power.facts()["plan_left_s"] == HOUR
    power.observe(5001.0, Reading(on_ac=True, battery_wh=4.0), 2.0)
    assert power.battery_cores == inf


def test_a_loose_plug_does_not_put_off_the_end() -> None:
    power = Power(limits(battery=BatteryGoal(for_s=HOUR)), PRIOR)
    for t_s, on_ac in ((0.0, False), (1000.0, True), (1060.0, False)):
        power.observe(t_s, Reading(on_ac=on_ac, battery_wh=4.0), 2.0)
    assert power.facts()["plan_left_s"] == HOUR - 1060
    for t_s, on_ac in ((1100.0, True), (2000.0, False)):
        power.observe(t_s, Reading(on_ac=on_ac, battery_wh=4.0), 2.0)
    assert power.facts()["plan_left_s"] == HOUR


def test_the_reserve_is_kept() -> None:
    goal = BatteryGoal(for_s=HOUR, reserve=0.25, capacity_wh=8.0)
    power = Power(limits(battery=goal), PRIOR)
    power.observe(0.0, Reading(on_ac=False, battery_wh=6.0), 2.0)
    assert power.facts()["plan_w"] == pytest.approx(4.0)
    power.observe(10.0, Reading(on_ac=False, battery_wh=1.9), 2.0)
    assert power.battery_cores == 0.0


def test_a_charge_in_per_cent_is_enough_where_the_capacity_is_given() -> None:
    power = Power(limits(battery=GOAL), PRIOR)
    power.observe(0.0, Reading(on_ac=False, battery=0.9), 1.0)
    assert power.facts()["energy_wh"] == pytest.approx(18.0)
    assert not power.blind


def test_a_battery_that_says_nothing_cannot_be_planned_with() -> None:
    power = Power(limits(battery=BatteryGoal(for_s=HOUR)), PRIOR)
    power.observe(0.0, Reading(battery=0.9), 1.0)
    assert power.battery_cores == inf
    assert power.blind
    assert not Power(limits(), PRIOR).blind


def test_after_the_goal_there_is_nothing_to_save_for() -> None:
    power = Power(limits(battery=BatteryGoal(for_s=HOUR, reserve=0.0)), PRIOR)
    power.observe(0.0, Reading(on_ac=False, battery_wh=3.0), 1.0)
    assert power.battery_cores == pytest.approx(1.0)
    power.observe(HOUR, Reading(on_ac=False, battery_wh=0.2), 1.0)
    assert power.battery_cores == inf
