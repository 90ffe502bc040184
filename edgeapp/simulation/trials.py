"""Worlds in which something is wrong: sensors, power, clock, memory, or what is believed of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from edgeapp.simulation.scenarios import (
    HEAT,
    HOUR_S,
    QUIET_CORES,
    ambient_step,
    cool_idle,
    pi4,
    rng_of,
    room_25,
    soc_sensor,
    tenant,
    world,
)
from edgeapp.simulation.spec import Expect, Fault, Inputs, Node, Scenario
from edgeapp.watchdog.limits import BatteryGoal, Prior

_QUIET = ((0.0, QUIET_CORES),)
_FAULT = Expect(ratio_min=0.86, over_s_max=5.0, miss_max=1e-2)


def furnace(seed: int) -> Scenario:
    """55 °C, and the board starts at 79 °C: even the floor is too hot."""
    return replace(
        _plain("furnace", seed, 55.0, start_c=79.0),
        expect=Expect(avoidable_over_s_max=0.0, infeasible_within_s=30.0),
    )


def plant_mismatch_low(seed: int) -> Scenario:
    """Resistances and time constants 30 % below what is believed; 42 °C."""
    return _scaled("plant_mismatch_low", seed, 0.7, 42.0)


def plant_mismatch_high(seed: int) -> Scenario:
    """Resistances and time constants 30 % above what is believed."""
    return _scaled("plant_mismatch_high", seed, 1.3, 22.0)


def sensor_lost(seed: int) -> Scenario:
    """The sensor is gone for an hour."""
    return _faulty("sensor_lost", seed, Fault(HOUR_S, 2 * HOUR_S, "missing"))


def sensor_frozen(seed: int) -> Scenario:
    """The sensor stays where it is for an hour."""
    return _faulty("sensor_frozen", seed, Fault(HOUR_S, 2 * HOUR_S, "freeze"))


def sensor_cold(seed: int) -> Scenario:
    """The sensor dies and reads -89.7 °C for an hour."""
    return _faulty("sensor_cold", seed, Fault(HOUR_S, 2 * HOUR_S, "const", -89.7))


def sensor_eio(seed: int) -> Scenario:
    """Every other reading fails, for an hour."""
    return _faulty("sensor_eio", seed, Fault(HOUR_S, 2 * HOUR_S, "eio", 0.5))


def sensor_noisy(seed: int) -> Scenario:
    """The sensor scatters by 2 K, for an hour."""
    return _faulty("sensor_noisy", seed, Fault(HOUR_S, 2 * HOUR_S, "noise", 2.0))


def sensor_bogus_100(seed: int) -> Scenario:
    """A second sensor that always reads 100.0 °C is ignored."""
    base = ambient_step(seed)
    bogus = replace(
        soc_sensor(Fault(0.0, base.duration_s, "const", 100.0)),
        path="class/thermal/thermal_zone1/temp",
        type="PMIC-Die",
        lsb_c=0.1,
    )
    return replace(base, name="sensor_bogus_100", sensors=(*base.sensors, bogus))


def sensors_disagree(seed: int) -> Scenario:
    """A second sensor of the die comes to read 15 K more: the higher one is believed."""
    base = room_25(seed)
    other = replace(
        soc_sensor(Fault(HOUR_S, 2 * HOUR_S, "offset", 15.0)),
        path="class/thermal/thermal_zone1/temp",
        type="soc-thermal",
    )
    expect = Expect(over_s_max=0.0, detects={"sensors": (HOUR_S, 60.0)})
    return replace(base, name="sensors_disagree", sensors=(*base.sensors, other), expect=expect)


def no_sensor_at_all(seed: int) -> Scenario:
    """No temperature can be read, 30 °C; one core is allowed."""
    base = _plain("no_sensor_at_all", seed, 30.0, start_c=55.0)
    return replace(
        base,
        sensors=(),
        limits=replace(base.limits, cores_without_sensor=1.0),
        duration_s=HOUR_S,
        expect=Expect(over_s_max=0.0, miss_max=1e-3),
    )


def hidden_throttle(seed: int) -> Scenario:
    """The clock halves for a quarter of an hour, and what is told of it stays at its greatest."""
    base = cool_idle(seed)
    cap = ((0.0, 1.0), (HOUR_S, 0.5), (1.25 * HOUR_S, 1.0))
    return replace(
        base,
        name="hidden_throttle",
        plant=replace(base.plant, clock_lies=True),
        inputs=replace(base.inputs, clock_cap=cap),
        expect=Expect(over_s_max=0.0, detects={"throttling": (HOUR_S, 5.0)}, miss_max=0.02),
    )


def undervoltage_flicker(seed: int) -> Scenario:
    """Five alarms a minute for ten minutes: one cut, held, and no flapping."""
    base = cool_idle(seed)
    begins = [1800.0 + 12.0 * alarm for alarm in range(50)]
    alarms = [pair for t_s in begins for pair in ((t_s, 1.0), (t_s + 2.0, 0.0))]
    return replace(
        base,
        name="undervoltage_flicker",
        plant=replace(base.plant, tells=(*base.plant.tells, "undervoltage")),
        inputs=replace(base.inputs, undervoltage=((0.0, 0.0), *alarms)),
        expect=Expect(detects={"undervoltage": (1800.0, 3.0)}, changes_max=10),
    )


def battery_target(seed: int) -> Scenario:
    """20 Wh have to last for eight hours."""
    base = _plain("battery_target", seed, 20.0)
    goal = BatteryGoal(8 * HOUR_S)
    return replace(
        base,
        plant=replace(base.plant, battery_wh=20.0, tells=(*base.plant.tells, "power")),
        inputs=replace(base.inputs, on_ac=((0.0, 0.0),)),
        limits=replace(base.limits, battery=goal),
        duration_s=9 * HOUR_S,
        expect=Expect(battery_lasts_s=(7.6 * HOUR_S, 8.4 * HOUR_S)),
    )


def ac_lost(seed: int) -> Scenario:
    """The mains fail after an hour; the battery has to last for six."""
    base = _plain("ac_lost", seed, 15.0)
    return replace(
        base,
        plant=replace(base.plant, battery_wh=20.0, tells=(*base.plant.tells, "power")),
        inputs=replace(base.inputs, on_ac=((0.0, 1.0), (HOUR_S, 0.0))),
        limits=replace(base.limits, battery=BatteryGoal(6 * HOUR_S)),
        expect=Expect(replan_within_s=(HOUR_S, 2.0)),
    )


def memory_pressure(seed: int) -> Scenario:
    """A neighbour takes the memory that standbys need, for half an hour: they go, models stay."""
    base = cool_idle(seed)
    return replace(
        base,
        name="memory_pressure",
        inputs=replace(
            base.inputs,
            memory_pressure=((0.0, 0.0), (HOUR_S, 0.15), (HOUR_S + 60.0, 0.0)),
            memory_available_mb=((0.0, 2000.0), (HOUR_S, 400.0), (1.5 * HOUR_S, 2000.0)),
        ),
        expect=Expect(detects={"memory": (HOUR_S, 15.0)}),
    )


def own_cost_feedback(seed: int) -> Scenario:
    """38 °C and nobody else: what changing models costs must not lead to more changes."""
    base = _plain("own_cost_feedback", seed, 38.0, start_c=65.0)
    expect = Expect(ratio_min=0.95, avoidable_over_s_max=0.0, model_swaps_per_h_max=12.0)
    return replace(base, expect=expect)


def many_pipelines(seed: int) -> Scenario:
    """Eight pipelines of six rungs."""
    base = _plain("many_pipelines", seed, 30.0, start_c=58.0)
    accuracy = (1.0, 0.97, 0.93, 0.88, 0.82, 0.74)
    many = tuple(
        tenant(
            f"camera-{place}",
            4.0,
            0.07 + 0.005 * place,
            accuracy,
            deadline_s=0.5,
            shares=(1.0, 0.7, 0.5, 0.35, 0.22, 0.12),
            critical=place == 0,
        )
        for place in range(8)
    )
    return replace(base, tenants=many, expect=Expect(ratio_min=0.95, avoidable_over_s_max=0.0))


def with_prior(scenario: Scenario, factor: float) -> Scenario:
    """The same world, believed to be so many times as warm and as slow."""
    prior = scenario.prior
    wrong = replace(
        prior,
        idle_k=prior.idle_k * factor,
        board_k_per_core=prior.board_k_per_core * factor,
        board_tau_s=prior.board_tau_s * factor,
        die_k_per_core=prior.die_k_per_core * factor,
    )
    return replace(scenario, prior=wrong)


def _plain(name: str, seed: int, ambient_c: float, *, start_c: float = 45.0) -> Scenario:
    plant = pi4(rng_of(name, seed), start_c)
    return world(name, seed, plant, Inputs(((0.0, ambient_c),), _QUIET))


def _scaled(name: str, seed: int, factor: float, ambient_c: float) -> Scenario:
    base = _plain(name, seed, ambient_c, start_c=60.0)
    nodes = tuple(
        Node(node.id, node.r_k_per_w * factor, node.tau_s * factor, node.to)
        for node in base.plant.nodes
    )
    return replace(base, plant=replace(base.plant, nodes=nodes), prior=Prior("raspberry-pi-4"))


def _faulty(name: str, seed: int, fault: Fault) -> Scenario:
    return replace(ambient_step(seed), name=name, sensors=(soc_sensor(fault),), expect=_FAULT)


SENSOR_FAULTS: Mapping[str, Callable[[int], Scenario]] = {
    one.__name__: one for one in (sensor_lost, sensor_frozen, sensor_cold, sensor_eio, sensor_noisy)
}
TRIALS: Mapping[str, Callable[[int], Scenario]] = {
    **SENSOR_FAULTS,
    **{
        one.__name__: one
        for one in (
            furnace,
            plant_mismatch_low,
            plant_mismatch_high,
            sensor_bogus_100,
            sensors_disagree,
            no_sensor_at_all,
            hidden_throttle,
            undervoltage_flicker,
            battery_target,
            ac_lost,
            memory_pressure,
            own_cost_feedback,
            many_pipelines,
        )
    },
}
SCENARIOS: Mapping[str, Callable[[int], Scenario]] = {"cool_idle": cool_idle, **HEAT, **TRIALS}
"""All of them."""
