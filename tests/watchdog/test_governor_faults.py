"""Whatever the sensors say, the governor stays safe: on real parts, through `step` alone."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.core.clock import FakeClock
from edgeapp.core.dial import Setting
from edgeapp.watchdog import Governor, Limits, Prior, Reading, SensorReading, StageWork, Work
from tests.watchdog.desk import CAMERA, EARS, TENANTS, Desk
from tests.watchdog.toy_plant import ToyPlant

LOST = {
    "missing": SensorReading("cpu-thermal", "die", None, "missing"),
    "cold": SensorReading("cpu-thermal", "die", -89.7),
    "garbage": SensorReading("cpu-thermal", "die", float("nan")),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(LOST))
def test_without_a_sensor_nothing_climbs_and_pessimism_grows(fault: str) -> None:
    desk = Desk(plant=ToyPlant(ambient_c=36.0))
    before = desk.run(900)
    desk.told = {"sensors": (LOST[fault],)}
    desk.run(15)
    allowed, cores = [], [before.cores_chosen]
    for _ in range(400):
        decision = desk.tick()
        allowed.append(decision.cores_allowed)
        cores.append(decision.cores_chosen)
    assert all(later <= earlier + 0.05 for earlier, later in pairwise(cores))
    assert allowed[-1] < allowed[0]
    assert decision.die_c is None
    assert "sensors" in decision.detectors
    assert decision.trust[0].trust == 0.0
    assert desk.hottest_c < 80.0


@pytest.mark.slow
def test_a_sensor_that_returns_is_believed_again_after_thirty_good_samples() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=25.0))
    desk.run(300)
    desk.told = {"sensors": (LOST["missing"],)}
    lost = desk.run(600)
    desk.told = {}
    assert desk.run(20).die_c is None
    assert desk.run(30).die_c is not None
    assert desk.run(600).utility >= lost.utility


def test_of_disagreeing_sensors_the_higher_one_counts_and_is_an_alarm() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=20.0))
    for _ in range(120):
        low = desk.plant.read()
        two = (SensorReading("a", "die", low), SensorReading("b", "die", low + 15.0))
        desk.told = {"sensors": two}
        decision = desk.tick()
    assert decision.die_c == pytest.approx(low + 15.0, abs=3.0)
    assert "sensors" in decision.detectors


@pytest.mark.slow
def test_where_no_sensor_ever_was_a_cap_holds_and_slowing_down_is_not_climbed_into() -> None:
    limits = Limits(cores=4, cores_without_sensor=1.5)
    desk = Desk(limits=limits, plant=ToyPlant(ambient_c=20.0))
    desk.told = {"sensors": (), "clock_ratio": None}
    decision = desk.run(60)
    assert decision.cores_chosen <= 1.5
    assert decision.die_c is None
    assert decision.headroom is None
    slow = {"cpu_s": 0.4, "wall_s": 0.44}
    desk.stages = {CAMERA: slow, EARS: slow}
    slowed = desk.run(15)
    assert "throttling" in slowed.detectors
    assert slowed.cores_chosen / slowed.facts["inflation"] < decision.cores_chosen
    desk.stages = {}
    assert desk.run(300).binding == "sensors"


values = st.one_of(st.none(), st.floats(), st.floats(-100, 130))
small = st.one_of(st.none(), st.floats(), st.floats(0, 1))
sensors = st.lists(
    st.builds(
        SensorReading,
        st.sampled_from(["cpu-thermal", "soc", ""]),
        st.sampled_from(["die", "board", "other"]),
        values,
        st.sampled_from(["", "missing", "garbage"]),
    ),
    max_size=3,
).map(tuple)
readings = st.builds(
    Reading,
    sensors=sensors,
    busy_cores=values,
    clock_ratio=small,
    undervoltage=st.one_of(st.none(), st.booleans()),
    throttled=st.one_of(st.none(), st.booleans()),
    overcurrent_events=st.one_of(st.none(), st.integers()),
    on_ac=st.one_of(st.none(), st.booleans()),
    battery=small,
    battery_wh=values,
    power_w=values,
    cpu_pressure=small,
    memory_pressure=small,
    memory_available_mb=values,
    quota_throttled=small,
)
dials = st.builds(Setting, st.integers(-2, 4), st.integers(-1, 8))
stages = st.builds(
    StageWork,
    st.floats(),
    dials,
    struck=st.frozensets(st.integers(-1, 4), max_size=3),
    pinned=st.one_of(st.none(), dials),
    answered=st.integers(),
    late=st.integers(),
    cpu_s=values,
    wall_s=values,
    opening=st.booleans(),
)
works = st.builds(
    Work,
    st.floats(),
    st.dictionaries(st.sampled_from([CAMERA, EARS, ("who", "knows")]), stages),
    st.frozensets(st.sampled_from(["camera", "ears", "who"])),
)
moments = st.tuples(st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 30.0, 1e5]), readings, works)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(moments, min_size=1, max_size=12))
def test_whatever_is_told_a_decision_comes_and_what_is_critical_runs(
    told: list[tuple[float, Reading, Work]],
) -> None:
    clock = FakeClock()
    limits = Limits(cores=4, cores_without_sensor=2.0, power_w=4.0)
    governor = Governor(TENANTS, limits, Prior("raspberry-pi-4"), clock)
    for passed_s, reading, work in told:
        clock.advance(passed_s)
        decision = governor.step(reading, work)
        assert decision.binding != "fault", decision.reason
        assert set(decision.settings) == {CAMERA, EARS}
        assert "camera" not in decision.paused
        assert decision.settings[CAMERA].divisor >= 1
        for key, setting in decision.settings.items():
            assert 0 <= setting.rung < 3
            told_of = work.stages.get(key)
            if told_of is None or passed_s == 0.0:
                continue
            if len(told_of.struck & {0, 1, 2}) < 3 and told_of.pinned is None:
                assert setting.rung not in told_of.struck
        assert decision.reason
        assert 0.0 <= decision.utility <= 1.0


def test_one_bad_tick_is_not_believed() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=25.0))
    before = desk.run(300)
    desk.told = {"sensors": (SensorReading("cpu-thermal", "die", 119.0),)}
    spike = desk.tick()
    desk.told = {}
    assert spike.settings == before.settings
    assert desk.run(5).settings == replace(before).settings
