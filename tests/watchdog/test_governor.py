"""What the governor does with heat, neighbours, memory, pins and time."""

import doctest
from dataclasses import replace
from itertools import pairwise

import pytest

import edgeapp.watchdog
from edgeapp.core.dial import Setting
from edgeapp.watchdog import Ladder, LadderError, Limits, Rung, SensorReading, Tenant
from edgeapp.watchdog.checks import floor_of
from tests.watchdog.desk import CAMERA, EARS, TENANTS, Desk, tenant
from tests.watchdog.toy_plant import ToyPlant


def test_the_example_of_the_package_is_true() -> None:
    assert doctest.testmod(edgeapp.watchdog).attempted > 5
    assert doctest.testmod(edgeapp.watchdog).failed == 0


@pytest.mark.slow
def test_a_cool_device_stays_at_its_best_and_nothing_ever_moves() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    for _ in range(600):
        decision = desk.tick()
        assert decision.settings == {CAMERA: Setting(0), EARS: Setting(0)}
    assert (desk.swaps, decision.level, decision.binding) == (0, "nominal", "none")
    assert decision.utility == pytest.approx(1.0)


@pytest.mark.slow
def test_a_hot_device_gives_way_before_the_trip_and_says_why() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=40.0))
    seen = [desk.tick() for _ in range(900)]
    assert desk.hottest_c < 80.0
    first = next(decision for decision in seen[1:] if decision.changed)
    assert "30 s ahead the die would reach" in first.reason
    assert seen[-1].binding in {"heat_30s", "heat_300s"}
    assert 0.3 < seen[-1].utility < 1.0


@pytest.mark.slow
def test_down_comes_in_one_tick_to_a_point_that_holds_for_minutes() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=38.0))
    seen = [desk.tick() for _ in range(900)]
    downs = [i for i in range(1, 900) if seen[i].cores_chosen < seen[i - 1].cores_chosen - 0.1]
    assert downs
    assert all(b - a > 60 for a, b in pairwise(downs))


@pytest.mark.slow
def test_what_was_given_up_comes_back_when_it_is_cool_again() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=40.0))
    hot = desk.run(900)
    desk.plant.ambient_c = 15.0
    cool = desk.run(1200)
    assert cool.utility > hot.utility
    assert cool.settings == {CAMERA: Setting(0), EARS: Setting(0)}


@pytest.mark.slow
def test_nothing_flaps_under_constant_inputs_with_a_noisy_sensor() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=33.0, noise_c=1.0))
    desk.run(1800)
    swaps, changes = desk.swaps, 0
    for _ in range(3600):
        changes += desk.tick().changed
    assert desk.swaps - swaps <= 3
    assert changes <= 6


@pytest.mark.slow
def test_a_hot_boot_starts_low_and_climbs_on_evidence() -> None:
    plant = ToyPlant(ambient_c=20.0)
    plant.die_c, plant.board_c, plant.case_c = 79.0, 74.0, 66.0
    desk = Desk(plant=plant)
    first = desk.tick()
    assert first.cores_chosen < 0.7 * desk_best()
    assert desk.run(1500).utility == pytest.approx(1.0)
    assert desk.hottest_c < 82.0  # it boots at the load of its own start


def desk_best() -> float:
    return sum(x.rate_hz * x.rungs[0].cpu_s for one in TENANTS for x in one.ladders)


def test_a_furnace_is_called_infeasible_and_what_is_critical_stays() -> None:
    plant = ToyPlant(ambient_c=62.0)
    desk = Desk(plant=plant)
    for _ in range(30):
        decision = desk.tick()
        assert "camera" not in decision.paused
        assert decision.settings[CAMERA].divisor > 0
    assert decision.infeasible
    assert decision.level == "critical"
    assert decision.settings[CAMERA].rung == 2
    ears = decision.settings[EARS]
    assert "ears" in decision.paused or ears.divisor == 0


def test_a_neighbour_that_takes_the_cores_is_given_way_to_but_not_without_end() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    desk.run(60)
    desk.foreign = 4.0
    crowded = desk.run(30)
    assert crowded.cores_allowed >= 0.4 * 4 * 0.9
    assert crowded.cores_chosen <= crowded.cores_allowed
    desk.foreign = 0.1
    assert desk.run(120).utility == pytest.approx(1.0)


def test_a_stretched_call_that_comes_too_late_is_replaced_by_a_faster_one() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    desk.run(60)
    slow = {"cpu_s": 0.2, "wall_s": 0.9}
    desk.stages = {EARS: slow, CAMERA: {"cpu_s": 0.16, "wall_s": 0.7}}
    seen = [desk.tick() for _ in range(10)]
    assert "contention" in seen[-1].detectors
    assert any("deadline" in decision.reason for decision in seen)
    assert seen[-1].settings[EARS] != Setting(0)


@pytest.mark.slow
def test_memory_gives_back_standbys_first_and_only_then_models_shrink() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    assert desk.run(30).keep_standbys
    desk.told = {"memory_pressure": 0.3, "memory_available_mb": 400.0}
    first = desk.tick()
    assert not first.keep_standbys
    assert not first.changed
    later = desk.run(60)
    assert later.utility < 1.0
    assert later.binding == "memory"
    desk.told = {"memory_pressure": 0.0, "memory_available_mb": 900.0}
    assert not desk.run(500).keep_standbys
    back = desk.run(900)
    assert back.keep_standbys
    assert back.utility == pytest.approx(1.0)


@pytest.mark.slow
def test_undervoltage_cuts_at_once_and_holds_ten_minutes_without_flapping() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    desk.run(60)
    seen = []
    for second in range(300):
        desk.told = {"undervoltage": second % 12 == 0}
        seen.append(desk.tick())
    assert seen[0].changed
    assert seen[0].binding == "undervoltage"
    assert seen[0].cores_chosen <= 1.0
    assert sum(decision.changed for decision in seen) == 1
    desk.told = {"undervoltage": False}
    assert desk.run(570).cores_chosen <= 1.0
    assert desk.run(120).utility == pytest.approx(1.0)


@pytest.mark.slow
def test_a_weak_supply_goes_before_a_pin_and_says_so() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    desk.stages = {CAMERA: {"pinned": Setting(0)}, EARS: {"pinned": Setting(0)}}
    assert not desk.run(30).urgent
    desk.told = {"undervoltage": True}
    weak = desk.tick()
    assert weak.urgent
    assert weak.cores_chosen <= 1.0
    desk.told = {}
    back = desk.run(700)
    assert not back.urgent
    assert back.settings == {CAMERA: Setting(0), EARS: Setting(0)}


@pytest.mark.slow
def test_a_pin_is_respected_at_once_and_others_make_room() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=30.0))
    desk.run(600)
    desk.stages = {EARS: {"pinned": Setting(2, 4)}}
    pinned = desk.tick()
    assert pinned.settings[EARS] == Setting(2, 4)
    assert pinned.reason == "a person pinned 'listen' in 'ears'"
    assert desk.run(300).settings[EARS] == Setting(2, 4)
    desk.stages = {}
    assert desk.run(300).settings[EARS] != Setting(2, 4)


@pytest.mark.slow
def test_what_could_not_be_loaded_is_never_wanted() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=5.0))
    desk.run(30)
    desk.stages = {EARS: {"struck": frozenset({0})}}
    struck = desk.tick()
    assert struck.settings[EARS].rung == 1
    assert struck.reason == "a variant of 'listen' in 'ears' could not be loaded"
    assert desk.run(300).settings[EARS].rung == 1


@pytest.mark.slow
def test_a_pipeline_that_a_person_paused_costs_nothing_and_is_not_ours() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=38.0))
    before = desk.run(900)
    desk.paused = frozenset({"ears"})
    alone = desk.run(300)
    assert alone.paused == frozenset()
    assert alone.settings[CAMERA].rung <= before.settings[CAMERA].rung
    assert alone.utility >= before.utility


def test_a_power_limit_is_kept() -> None:
    desk = Desk(limits=Limits(cores=4, power_w=3.2), plant=ToyPlant(ambient_c=5.0))
    for _ in range(300):
        watts = 2.1 + 1.07 * (desk.own_cores() + desk.foreign)
        desk.told = {"power_w": watts}
        decision = desk.tick()
    assert watts <= 3.2 * 1.03
    assert decision.binding == "power"


@pytest.mark.slow
def test_other_tenants_are_governed_while_what_was_learned_stays() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=40.0))
    known = desk.run(900).facts["ambient_c"]
    bell = tenant(("bell", "ring"), 2.0, 0.1)
    desk.governor.replace([TENANTS[0], bell])
    desk.tenants = (TENANTS[0], bell)
    desk.wants |= {("bell", "ring"): Setting(0)}
    decision = desk.tick()
    assert set(decision.settings) == {CAMERA, ("bell", "ring")}
    assert decision.facts["ambient_c"] == pytest.approx(known, abs=1.0)
    assert decision.binding != "fault"


def test_nonsense_is_refused_with_every_mistake_in_a_sentence() -> None:
    broken = Tenant("x", (Ladder("x", "m", (Rung("v", float("nan"), 0.5),), 1.0),))
    with pytest.raises(LadderError) as caught:
        Desk(tenants=(broken,), limits=Limits(cores=0))
    assert len(caught.value.problems) >= 2
    desk = Desk()
    with pytest.raises(LadderError):
        desk.governor.replace([broken])
    assert set(desk.tick().settings) == {CAMERA, EARS}


def test_a_tick_at_the_same_time_repeats_the_decision() -> None:
    desk = Desk()
    first = desk.run(5)
    again = desk.tick(0.0)
    assert not again.changed
    assert again == replace(first, changed=False)


def test_hours_without_a_tick_are_survived() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=30.0))
    desk.run(60)
    desk.clock.advance(7200.0)
    assert desk.run(60).binding != "fault"
    assert desk.hottest_c < 80.0


def test_a_fault_inside_means_the_floor_and_is_said_and_passes() -> None:
    class Spoiled(dict[object, object]):
        def get(self, key: object, default: object = None) -> object:
            raise RuntimeError("spoiled")

    desk = Desk()
    desk.run(10)
    work = replace(desk._work(1.0), stages=Spoiled())  # type: ignore[arg-type]  # that is the point
    desk.clock.advance(1.0)
    reading = edgeapp.watchdog.Reading((SensorReading("cpu-thermal", "die", 50.0),))
    decision = desk.governor.step(reading, work)
    assert decision.binding == "fault"
    assert decision.paused == frozenset()
    assert "RuntimeError" in decision.reason
    for one in TENANTS:
        for ladder in one.ladders:
            setting = decision.settings[ladder.key]
            assert setting == Setting(floor_of(ladder), ladder.divisors[-1])
    desk.wants = dict(decision.settings)
    assert desk.run(120).binding != "fault"
