"""One temperature out of many sensors, some of which lie."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, nan
from statistics import fmean

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgeapp.watchdog.limits import Prior
from edgeapp.watchdog.thermal_model import Forecast, ThermalModel
from edgeapp.watchdog.tick import SensorReading, Trust
from edgeapp.watchdog.trust import COLDEST_C, HOTTEST_C, Fused, Fusion
from tests.watchdog.toy_plant import ToyPlant

PRIOR = Prior("toy", board_k_per_core=11.8, board_tau_s=500.0, die_k_per_core=2.7)
SOC = "cpu-thermal"


@dataclass
class Bench:
    """A plant, a model and the sensors between them."""

    plant: ToyPlant = field(default_factory=ToyPlant)
    level: Callable[[int], float] = lambda t: 0.5 + (t // 120) % 3

    def __post_init__(self) -> None:
        self.model = ThermalModel(PRIOR)
        self.fusion = Fusion(PRIOR)
        self.t = 0

    def run(
        self, seconds: int, *, soc: Callable[[float], float | None] | None = None, **others: object
    ) -> list[Fused]:
        """So many ticks; `soc` distorts what the die's sensor reads, others are more sensors."""
        seen = []
        for _ in range(seconds):
            cores = self.plant.tick(self.level(self.t))
            value: float | None = self.plant.read()
            if soc is not None and value is not None:
                value = soc(value)
            readings = [SensorReading(SOC, "die", value, "error" if value is None else "")]
            for name, read in others.items():
                assert callable(read)
                readings.append(SensorReading(name, "die", read(self.plant.die_c)))
            expected = self.model.forecast(cores, 1.0)
            fused = self.fusion.judge(float(self.t), readings, expected, cores)
            self.model.observe(float(self.t), cores, fused.die_c, noise_c=fused.noise_c)
            seen.append(fused)
            self.t += 1
        return seen

    def error_c(self) -> float:
        return abs(self.model.die_c - self.plant.die_c)


def trust_of(fused: Fused, name: str = SOC) -> Trust:
    return next(trust for trust in fused.trusts if trust.name == name)


def test_a_good_sensor_is_believed_as_it_is() -> None:
    seen = Bench().run(600)
    assert all(fused.die_c is not None and not fused.alarm and not fused.lost for fused in seen)
    assert trust_of(seen[-1]).trust == 1.0
    assert seen[-1].noise_c == pytest.approx(0.38, abs=0.15)


def test_a_frozen_sensor_is_found_and_believed_again_after_thirty_good_samples() -> None:
    bench = Bench()
    bench.run(600)
    stuck = bench.plant.read()
    seen = bench.run(300, soc=lambda _: stuck)
    found = next(i for i, fused in enumerate(seen) if fused.lost)
    assert found <= 60
    assert trust_of(seen[-1]).problem == "frozen"
    assert SOC in seen[-1].alarm
    # What it was told while nobody knew yet is covered by the doubt of the blind.
    assert bench.error_c() < 2 * bench.model.forecast(1.0, 1.0).sigma_c
    after = bench.run(60)
    assert [fused.lost for fused in after].index(False) == pytest.approx(30, abs=2)
    assert bench.error_c() < 2.0


@pytest.mark.parametrize("noise_c", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("lsb_c", [0.5, 1.0])
def test_a_steady_sensor_of_coarse_steps_is_not_frozen(lsb_c: float, noise_c: float) -> None:
    bench = Bench(ToyPlant(lsb_c=lsb_c, noise_c=noise_c), level=lambda t: 2.0 if t < 300 else 1.0)
    seen = bench.run(1500)
    assert not any(fused.lost for fused in seen)


def test_a_steady_quiet_sensor_is_not_distrusted_for_a_step_of_load() -> None:
    bench = Bench(ToyPlant(lsb_c=1.0, noise_c=0.0), level=lambda t: 0.2 if t < 1800 else 3.0)
    assert not any(fused.lost for fused in bench.run(2400))


@pytest.mark.parametrize("value", [-89.7, -87.9, 40.0, 100.0, 126.0, nan, inf])
def test_a_sensor_that_dies_at_some_value_is_left_out_within_seconds(value: float) -> None:
    bench = Bench()
    bench.run(600)
    seen = bench.run(120, soc=lambda _: value)
    assert all(fused.die_c is None for fused in seen)
    assert seen[3].lost
    assert trust_of(seen[-1]).trust == 0.0
    assert trust_of(seen[-1]).problem in {"range", "garbage", "implausible", "frozen"}
    assert bench.error_c() < 3.0


@pytest.mark.parametrize("value", [100.0, -89.7, 0.0, 127.0])
def test_a_zone_that_was_never_alive_is_ignored(value: float) -> None:
    seen = Bench().run(300, bogus=lambda _: value)
    assert trust_of(seen[-1], "bogus").trust == 0.0
    assert all(fused.die_c is not None and fused.die_c < 90.0 for fused in seen)
    assert not seen[-1].alarm


def test_dead_from_the_start_means_no_temperature_at_all() -> None:
    seen = Bench().run(100, soc=lambda _: -89.7)
    assert all(fused.die_c is None and fused.lost and fused.alarm for fused in seen)


@pytest.mark.parametrize("off_c", [15.0, -15.0])
def test_of_two_that_disagree_the_hotter_one_counts_with_an_alarm(off_c: float) -> None:
    bench = Bench()
    seen = bench.run(600, second=lambda die_c: die_c + off_c + random.Random(die_c).gauss(0, 0.2))
    assert all("disagree" in fused.alarm for fused in seen[5:])
    hot = "second" if off_c > 0 else SOC
    cold = SOC if off_c > 0 else "second"
    assert trust_of(seen[-1], cold).problem == "disagrees"
    assert hot in seen[-1].alarm.split(";")[-1]
    expected = bench.plant.die_c + max(off_c, 0.0)
    assert seen[-1].die_c == pytest.approx(expected, abs=2.0)


def test_sensors_of_one_die_agree_within_some_kelvin() -> None:
    seen = Bench().run(300, core1=lambda die_c: round(die_c - 4.0), core2=round)
    assert not any(fused.alarm for fused in seen)


def test_noise_of_two_kelvin_is_measured_and_smoothed_not_distrusted() -> None:
    rnd = random.Random(1)
    bench = Bench()
    seen = bench.run(1200, soc=lambda value: value + rnd.gauss(0.0, 2.0))
    assert not any(fused.lost for fused in seen)
    noise_c = fmean(fused.noise_c for fused in seen[300:])
    assert noise_c == pytest.approx(2.0, rel=0.3)
    assert bench.error_c() < 1.2


def test_single_errors_are_bridged() -> None:
    rnd = random.Random(1)
    bench = Bench()
    seen = bench.run(900, soc=lambda value: None if rnd.random() < 0.5 else value)
    assert not any(fused.lost for fused in seen[5:])
    assert any(fused.die_c is None for fused in seen)
    assert 0.3 < trust_of(seen[-1]).trust < 0.7
    assert bench.error_c() < 1.2


def test_a_spike_is_left_out() -> None:
    bench = Bench()
    bench.run(300)
    assert bench.run(1, soc=lambda value: value + 40.0)[0].die_c is None
    assert bench.run(1)[0].die_c is not None


def test_a_sensor_that_is_gone_is_missing_and_comes_back() -> None:
    bench = Bench()
    bench.run(300)
    seen = bench.run(60, soc=lambda _: None)
    assert not seen[5].lost
    assert seen[30].lost
    assert trust_of(seen[-1]).problem == "error"
    assert not bench.run(40)[-1].lost


def test_what_really_became_hotter_is_believed_soon() -> None:
    """As when a graphics processor of which the load says nothing starts to work."""
    bench = Bench()
    bench.run(600)
    seen = bench.run(60, soc=lambda value: value + 25.0)
    assert seen[-1].die_c is not None
    assert seen[-1].die_c == pytest.approx(bench.plant.die_c + 25.0, abs=2.0)


def test_a_fall_that_cannot_be_is_not_believed_for_minutes_but_not_for_ever() -> None:
    bench = Bench()
    bench.run(600)
    seen = bench.run(400, soc=lambda value: value - 30.0)
    assert all(fused.die_c is None for fused in seen)
    assert bench.run(400, soc=lambda value: value - 30.0)[-1].die_c is not None


def test_where_only_the_board_has_a_sensor_the_die_is_derived_from_it() -> None:
    fusion = Fusion(PRIOR)
    for t in range(60):
        board = SensorReading("acpitz", "board", 50.0 + t % 2)
        fused = fusion.judge(float(t), [board], None, 2.0)
    assert fused.die_c == pytest.approx(50.5 + 2 * PRIOR.die_k_per_core, abs=1.0)
    assert fused.noise_c >= 1.0


def test_sensors_of_other_things_are_told_of_but_never_taken() -> None:
    fusion = Fusion(PRIOR)
    readings = [
        SensorReading(SOC, "die", 55.0),
        SensorReading("hwmon:ds3231/temp1", "other", 99.0),
        SensorReading("acpitz", "board", 90.0),
    ]
    fused = fusion.judge(0.0, readings, None, 1.0)
    assert fused.die_c == 55.0
    assert [trust.trust for trust in fused.trusts] == [0.0, 1.0, 0.0]


odd = st.sampled_from([None, nan, inf, -inf, 1e308, -89.7, 100.0, 0.0, 85.0])
readings = st.builds(
    SensorReading,
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(["die", "board", "other"]),
    odd | st.floats(-200, 300) | st.floats(40, 80),
    st.sampled_from(["", "", "", "range", "stale", "missing"]),
)
expectations = st.none() | st.builds(
    Forecast, st.floats(20, 110) | st.just(nan), st.floats(0, 20) | st.just(inf)
)
ticks = st.tuples(
    st.sampled_from([1.0, 1.0, 1.0, 0.0, 5000.0, -3.0]),
    st.lists(readings, max_size=5),
    expectations,
    st.floats(0, 8) | st.just(nan),
)


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(ticks, max_size=60))
def test_whatever_sensors_say_what_is_believed_can_be_true(
    told: list[tuple[float, list[SensorReading], Forecast | None, float]],
) -> None:
    fusion, t = Fusion(PRIOR), 0.0
    for step, sensors, expected, cores in told:
        t += step
        fused = fusion.judge(t, sensors, expected, cores)
        assert fused.die_c is None or COLDEST_C <= fused.die_c <= HOTTEST_C
        assert 0.0 < fused.noise_c < 10.0
        assert all(0.0 <= trust.trust <= 1.0 for trust in fused.trusts)
        assert (fused.die_c is None) or not fused.lost
