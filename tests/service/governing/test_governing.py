"""A governor at work on a device in memory: what it hears, which dials it turns, what it tells."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.config.watchdog import WatchdogConfig
from edgeapp.core.dial import Setting
from edgeapp.plan.graph import Plan
from edgeapp.watchdog.costs import costs_file
from tests.service.governing.governed import World, belt, keep_costs

BEST = Setting(0)


@pytest.fixture
def models(repo: Path) -> Path:
    folder = repo / "pipelines" / "models"
    if not (folder / "conveyor_256.onnx").exists():
        pytest.skip(f"no conveyor_256.onnx in {folder}")
    return folder


@pytest.fixture
def plan(tmp_path: Path, models: Path) -> Plan:
    return belt(tmp_path, models)


@pytest.fixture
def measured(plan: Plan, tmp_path: Path) -> Plan:
    keep_costs(plan, tmp_path)
    return plan


def wanted(world: World, pipeline: int = 0) -> Setting:
    return world.pipelines[pipeline].dials["detect"].wanted()


@pytest.mark.slow
def test_heat_is_answered_before_the_trip_told_once_and_taken_back(
    measured: Plan, tmp_path: Path
) -> None:
    world = World(tmp_path, [measured])
    world.run(300)
    assert wanted(world) == BEST

    world.ambient_c = 45.0
    warmest: list[float] = []
    world.run(1500, lambda: warmest.append(world.die_c))
    assert max(warmest) < 80
    assert wanted(world) != BEST
    told = world.states[-1]
    assert told.binding in {"heat_30s", "heat_300s"}
    assert (told.stages[0].rung, told.stages[0].divisor) != (0, 1)
    assert told.die_c is not None

    world.ambient_c = 22.0
    world.run(1500)
    assert wanted(world) == BEST
    assert (world.states[-1].level, world.states[-1].binding) == ("nominal", "none")
    lines = world.logged("models chosen")
    assert lines[-1]["chosen"] == "belt/detect conveyor_256"
    for facts in lines:
        assert {
            "reason",
            "device_level",
            "die_c",
            "headroom",
            "chosen",
            "swap_price",
        } <= facts.keys()


@pytest.mark.slow
def test_each_change_of_the_dials_is_one_log_line(measured: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [measured])
    seen = [(BEST, False)]

    def look() -> None:
        now = wanted(world), world.pipelines[0].held
        if now != seen[-1]:
            seen.append(now)

    world.run(200, look)
    world.ambient_c = 45.0
    world.run(900, look)
    assert len(seen) > 1
    lines = [line for line in world.logged("models chosen") if not line.get("infeasible")]
    assert len(lines) == len(seen) - 1


@pytest.mark.slow
def test_a_device_at_rest_tells_the_broker_nothing_new(measured: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [measured])
    world.run(900)
    settled = len(world.told)
    world.run(900)
    assert len(world.told) - settled <= 2


def test_without_costs_and_without_sensors_nothing_is_touched(plan: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [plan], sensor=False)
    world.foreign = 3.9
    world.run(120)
    dial = world.pipelines[0].dials["detect"]
    assert dial.wanted() == BEST
    world.clock.advance(60)  # no wish was made, so none expires
    assert dial.wanted() == BEST
    [signals] = world.signals
    assert signals.acts_on == ()
    assert not signals.costs[0].measured
    [line] = world.logged("watchdog watches")
    assert line["acts_on"] == "nothing"
    assert line["to_measure"] == f"STATE_DIRECTORY={tmp_path} edgeapp bench {plan.file}"


@pytest.mark.slow
def test_without_costs_load_changes_nothing_and_heat_does(plan: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [plan])
    world.foreign = 3.9
    settings = set()
    world.run(20, lambda: settings.add(wanted(world)))
    assert settings == {BEST}
    world.foreign, world.ambient_c = 0.0, 47.0
    world.run(1200)
    assert wanted(world) != BEST
    assert world.signals[-1].acts_on == ("heat",)


def test_costs_that_are_measured_while_it_runs_are_used(plan: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [plan], sensor=False)
    world.run(40)
    keep_costs(plan, tmp_path)
    world.run(40)
    told = [(signals.costs[0].measured, signals.acts_on) for signals in world.signals]
    assert told == [(False, ()), (True, ("load", "latency", "memory"))]


def test_costs_that_hold_no_more_where_nothing_can_be_sensed_let_go_of_the_dials(
    measured: Plan, tmp_path: Path
) -> None:
    world = World(tmp_path, [measured], WatchdogConfig(cpu_share=0.1), sensor=False)
    world.run(25)
    assert wanted(world) != BEST
    costs_file(tmp_path, "belt").write_text("}")
    world.run(40)
    assert wanted(world) == BEST
    assert world.states[-1].stages[0].rung == 0
    world.clock.advance(60)
    assert wanted(world) == BEST


def test_a_sensor_that_is_lost_lets_go_of_nothing(plan: Plan, tmp_path: Path) -> None:
    """Without costs heat is all there is to go by; its loss must not mean the best."""
    world = World(tmp_path, [plan])
    world.run(30)
    world.sensor = False
    del world.tree["/sys/class/thermal/thermal_zone0/temp"]
    del world.tree["/sys/class/thermal/thermal_zone0/type"]
    world.foreign = 3.9
    world.run(200)
    assert world.states[-1].binding == "sensors"
    assert wanted(world) != BEST


def test_a_governor_that_is_no_more_leaves_the_floor(measured: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [measured])
    world.run(30)
    assert wanted(world) == BEST
    world.clock.advance(4.9)
    assert wanted(world) == BEST
    world.clock.advance(0.2)
    assert wanted(world).rung == 2


def test_pipelines_that_come_and_go_are_governed_from_then_on(
    measured: Plan, tmp_path: Path, models: Path
) -> None:
    world = World(tmp_path, [measured])
    world.run(100)
    other = belt(tmp_path, models, name="other")
    keep_costs(other, tmp_path)
    both = World(tmp_path, [measured, other])
    world.pipelines.append(both.pipelines[1])
    world.run(3)
    assert {stage.pipeline for stage in world.governing.state.stages} == {"belt", "other"}  # type: ignore[union-attr]
    assert [costs.pipeline for costs in world.signals[-1].costs] == ["belt", "other"]
    del world.pipelines[0]
    world.run(3)
    assert {stage.pipeline for stage in world.governing.state.stages} == {"other"}  # type: ignore[union-attr]


def test_a_model_that_needs_every_packet_gets_every_packet_or_is_paused(
    measured: Plan, tmp_path: Path
) -> None:
    whole = {name: replace(stage, gate_for=None) for name, stage in measured.stages.items()}
    world = World(tmp_path, [replace(measured, stages=whole)])
    world.run(30)
    world.ambient_c = world.board_c = 95.0
    divisors = set()
    world.run(60, lambda: divisors.add(wanted(world).divisor))
    assert divisors == {1}
    assert world.pipelines[0].held


def test_a_furnace_stops_what_is_not_critical_and_says_that_it_is_one(
    tmp_path: Path, models: Path
) -> None:
    vital = belt(tmp_path, models, name="vital", top="critical: true\n")
    spare = belt(tmp_path, models, name="spare")
    for plan in (vital, spare):
        keep_costs(plan, tmp_path)
    world = World(tmp_path, [vital, spare])
    world.ambient_c, world.board_c = 55.0, 83.0
    world.run(120)
    vital_pipeline, spare_pipeline = world.pipelines
    assert not vital_pipeline.held
    assert spare_pipeline.held_by == {"watchdog"} or wanted(world, 1).divisor == 0
    assert wanted(world) == Setting(2, 4)
    assert world.states[-1].infeasible
    assert world.states[-1].level == "critical"


def test_what_a_governor_that_is_no_more_paused_is_opened_by_the_next(
    measured: Plan, tmp_path: Path
) -> None:
    world = World(tmp_path, [measured])
    world.run(10)
    world.pipelines[0].pause("watchdog")
    world.governing = world.begin()
    world.run(2)
    assert not world.pipelines[0].held


def test_the_sensor_that_a_person_names_is_that_of_the_die(measured: Plan, tmp_path: Path) -> None:
    world = World(tmp_path, [measured], WatchdogConfig(sensor="odd"))
    world.tree["/sys/class/thermal/thermal_zone1/type"] = "odd\n"
    world.tree["/sys/class/thermal/thermal_zone1/temp"] = "51000\n"
    world.governing = world.begin()
    world.run(5)
    assert world.states[0].die_c == pytest.approx(51, abs=0.5)
    assert world.states[0].trust.keys() == {"odd", "cpu-thermal"}


def test_a_sensor_that_a_person_names_and_nobody_has_is_told_and_passed_over(
    measured: Plan, tmp_path: Path
) -> None:
    """The die does not go unwatched for a typing mistake; the line says which names there are."""
    world = World(tmp_path, [measured], WatchdogConfig(sensor="cpu-termal"))
    world.run(5)
    [line] = world.logged("the sensor of the device file is not there")
    assert (line["sensor"], line["there_are"]) == ("cpu-termal", "cpu-thermal")
    assert world.states[0].die_c is not None


def test_limits_come_from_the_device_file_the_kernel_or_the_board(
    measured: Plan, tmp_path: Path
) -> None:
    board = World(tmp_path, [measured])
    board.run(1)
    assert board.signals[-1].trip_from == "board"
    kernel = World(tmp_path, [measured])
    kernel.tree["/sys/class/thermal/thermal_zone0/trip_point_0_type"] = "passive\n"
    kernel.tree["/sys/class/thermal/thermal_zone0/trip_point_0_temp"] = "75000\n"
    kernel.governing = kernel.begin()
    kernel.run(1)
    assert (kernel.signals[-1].trip_from, kernel.signals[-1].trip_c) == ("kernel", 75)
    given = World(tmp_path, [measured], WatchdogConfig(trip_c=70))
    given.run(1)
    assert (given.signals[-1].trip_from, given.signals[-1].trip_c) == ("device file", 70)
