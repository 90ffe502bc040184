"""Sensors with faults, the policies that the governor is compared with, and the score."""

import random
from dataclasses import replace

import pytest

from edgeapp.core.dial import Setting
from edgeapp.simulation.player import Moment, play
from edgeapp.simulation.policies import Fixed, Thresholds, best_of, fixed_choices, none
from edgeapp.simulation.scenarios import soc_sensor, tenants
from edgeapp.simulation.score import Score, best_fixed, run
from edgeapp.simulation.senses import Senses, Sensor
from edgeapp.simulation.spec import DeviceState, Fault, SensorSpec
from edgeapp.simulation.trials import SCENARIOS
from edgeapp.watchdog.tick import Reading, SensorReading, Work
from tests.simulation.small_worlds import small

IDLE = Work(0.0, {})


def told(fault: Fault | None, seconds: int = 400) -> list[tuple[float | None, str]]:
    spec = soc_sensor(*([fault] if fault else []))
    sensor = Sensor(spec, random.Random(1))
    return [sensor.told(float(t), 50.0 + t / 100) for t in range(seconds)]


def test_a_healthy_sensor_has_steps_and_noise() -> None:
    values = [value for value, problem in told(None) if value is not None and not problem]
    assert len(values) == 400
    assert all(value / 0.487 == pytest.approx(round(value / 0.487)) for value in values)
    assert max(abs(value - 50.0 - t / 100) for t, value in enumerate(values)) < 2.0
    assert len(set(values)) > 5


@pytest.mark.parametrize(
    ("kind", "value"),
    [("freeze", 0.0), ("missing", 0.0), ("eio", 0.5), ("const", -89.7), ("offset", 15.0)],
)
def test_a_faulty_sensor_is_so_for_its_time_alone(kind: str, value: float) -> None:
    healthy = told(None)
    faulty = told(Fault(100.0, 200.0, kind, value))  # type: ignore[arg-type] # one of its words
    during = faulty[100:200]
    assert faulty[:100] == healthy[:100]
    assert all(value is not None for value, _ in faulty[200:])
    if kind == "freeze":
        assert {one for one, _ in during} == {faulty[99][0]}
    elif kind == "missing":
        assert {problem for _, problem in during} == {"missing"}
    elif kind == "eio":
        assert 20 < sum(problem == "error" for _, problem in during) < 80
    elif kind == "const":
        assert {round(one or 0.0) for one, _ in during} == {-90}
    else:
        assert all((one or 0.0) > 63.0 for one, _ in during)


def test_noise_grows_while_it_is_faulty() -> None:
    values = [value or 0.0 for value, _ in told(Fault(100.0, 200.0, "noise", 2.0))]
    off = [abs(value - 50.0 - t / 100) for t, value in enumerate(values)]
    assert sum(off[100:200]) > 2.5 * sum(off[:100])


def test_what_cannot_be_true_is_not_given_as_a_temperature() -> None:
    scenario = small(sensors=(soc_sensor(Fault(0.0, 10.0, "const", -89.7)),))
    state = DeviceState(
        0.0, {"die": 50.0, "board": 45.0, "case": 40.0}, 1.0, 0, 3.0, 1.0, 1.0, 25.0
    )
    reading = Senses(scenario).read(state)
    assert reading.sensors == (SensorReading("cpu-thermal", "die", None, "range"),)


def test_a_device_tells_only_what_it_can() -> None:
    """The clock that lies stays at its greatest; what is not listed is not there."""
    scenario = SCENARIOS["hidden_throttle"](1)
    state = DeviceState(
        0.0, {"die": 50.0, "board": 45.0, "case": 40.0}, 0.5, 2, 3.0, 1.0, 1.0, 25.0
    )
    reading = Senses(scenario).read(state)
    assert reading.clock_ratio == 1.0
    assert reading.throttled is None
    mute = replace(scenario, plant=replace(scenario.plant, tells=("throttled",)))
    assert Senses(mute).read(state).clock_ratio is None
    assert Senses(mute).read(state).throttled


def test_the_ladder_goes_down_when_hot_up_when_cool_and_stays_without_a_sensor() -> None:
    ladder = Thresholds(tenants(), down_c=78, up_c=70, down_every_s=5, up_every_s=20)

    def rung(value_c: float | None, seconds: int) -> int:
        sensors = (SensorReading("cpu-thermal", "die", value_c),)
        for _ in range(seconds):
            decision = ladder.step(Reading(sensors), IDLE)
        return decision.settings["camera", "model"].rung

    assert rung(60.0, 30) == 0
    assert rung(79.0, 1) == 1
    assert rung(79.0, 5) == 2
    assert rung(None, 50) == 2
    assert rung(74.0, 50) == 2
    assert rung(69.0, 20) == 1


def test_fixed_choices_are_worth_more_the_more_they_cost() -> None:
    choices = fixed_choices(tenants())
    assert [one[0] for one in choices] == sorted(one[0] for one in choices)
    assert [one[1] for one in choices] == sorted(one[1] for one in choices)
    assert choices[-1][1] == pytest.approx(1.0)
    assert choices[-1][2] == best_of(tenants())


def test_the_best_fixed_choice_is_no_worse_than_any_rung_everywhere() -> None:
    scenario = replace(SCENARIOS["hot_box_boot"](1), duration_s=400.0)
    best = best_fixed(scenario).utility
    keys = [ladder.key for tenant in scenario.tenants for ladder in tenant.ladders]
    for rung in range(4):
        settings = {key: Setting(rung) for key in keys}
        assert run(scenario, lambda _s, _c, at=settings: Fixed(at)).utility <= best + 1e-9  # type: ignore[misc] # bound early


def test_a_second_above_the_limit_costs_and_a_throttled_one_earns_nothing() -> None:
    scenario = replace(SCENARIOS["furnace"](1), duration_s=120.0)
    moments: list[Moment] = []
    play(scenario, none, moments.append)
    hot = [moment for moment in moments if moment.state.throttle_step > 0]
    assert hot
    assert all(moment.credit == -moment.over_k for moment in hot)
    score = Score(scenario.limits.trip_c)
    for moment in moments:
        score.note(moment)
    assert score.over_s == score.avoidable_s > 0
    assert score.credit == pytest.approx(sum(moment.credit for moment in moments))


def test_an_empty_battery_ends_the_run() -> None:
    base = small(3600.0)
    plant = replace(base.plant, battery_wh=0.5)
    score = run(replace(base, plant=plant), none)
    assert 0 < score.ended_s < 600


def test_the_plain_senses_and_their_spec_agree_on_the_node() -> None:
    spec = SensorSpec("x", "board", "board", lsb_c=0.0, noise_c=0.0)
    state = DeviceState(
        0.0, {"die": 50.0, "board": 45.0, "case": 40.0}, 1.0, 0, 3.0, 1.0, 1.0, 25.0
    )
    reading = Senses(small(sensors=(spec,))).read(state)
    assert reading.sensors == (SensorReading("board", "board", 45.0),)
