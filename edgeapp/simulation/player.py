"""Plays a scenario: each second a policy reads, decides, and the world goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgeapp.core.clock import Clock, FakeClock
from edgeapp.simulation.app_model import AppModel, AppTick
from edgeapp.simulation.plant import Plant, PlantState
from edgeapp.simulation.senses import Read, Senses
from edgeapp.simulation.spec import DeviceState, Scenario
from edgeapp.watchdog.tick import Decision, Reading, Work

TICK_S = 1.0
OVER_COST = 1.0
"""What a kelvin above the limit of the hardware costs each second, in seconds of best answers."""
_PRESSURE_S = 10.0
"""Over which the kernel averages pressure."""


class Policy(Protocol):
    """Whoever decides, once a second."""

    def step(self, reading: Reading, work: Work) -> Decision:
        """What is wanted from now until the next tick."""


PolicyOf = Callable[[Scenario, Clock], Policy]


@dataclass(frozen=True, slots=True)
class Moment:
    """One tick: what was read and decided at its beginning, and what came of it at its end."""

    reading: Reading
    decision: Decision
    app: AppTick
    state: DeviceState
    floor: bool
    """Nothing was left to be reduced."""

    over_k: float
    """Die above the temperature at which the hardware slows itself down, at the end."""

    @property
    def credit(self) -> float:
        """Utility, nothing while the hardware slowed itself down for heat; less what heat costs."""
        earned = self.app.utility if self.state.throttle_step == 0 else 0.0
        return earned - OVER_COST * self.over_k


def play(
    scenario: Scenario,
    policy_of: PolicyOf,
    watch: Callable[[Moment], None],
    *,
    read: Read | None = None,
) -> None:
    """Play it to its end, or until its battery is empty; `watch` is called once a tick.

    `read` stands for the device's sensors and files; the plain ones of `Senses` if not given.
    """
    read = read or Senses(scenario).read
    clock = FakeClock()
    policy = policy_of(scenario, clock)
    plant, inputs = Plant(scenario.plant, scenario.inputs.at("ambient_c", 0.0)), scenario.inputs
    app = AppModel(scenario.tenants, scenario.plant.power.cores, random.Random(scenario.seed))  # noqa: S311 - a simulation
    world = _World(scenario, plant)
    state, work = world.first(), app.first_work()
    while plant.t_s < scenario.duration_s and (state.battery_wh is None or state.battery_wh > 0):
        reading = read(state)
        decision = policy.step(reading, work)
        swaps = app.obey(decision)
        ratio, foreign = plant.clock_ratio(inputs), inputs.at("foreign_cores", plant.t_s)
        tick = app.tick(ratio, foreign, swaps)
        state, work = world.after(tick), tick.work
        clock.advance(TICK_S)
        over_k = max(0.0, plant.nodes_c[0] - scenario.plant.throttle.on_c)
        watch(Moment(reading, decision, tick, state, app.at_floor(), over_k))


class _World:
    """The plant, and what is around it: mains, battery, memory, waiting for cores."""

    def __init__(self, scenario: Scenario, plant: Plant) -> None:
        self._plant = plant
        self._inputs = scenario.inputs
        self._cores = scenario.plant.power.cores
        spec = scenario.plant
        self._battery_wh = None if spec.battery_wh is None else spec.battery_wh * spec.battery_level
        self._pressure = 0.0

    def first(self) -> DeviceState:
        plant, inputs = self._plant, self._inputs
        nodes = zip(plant.spec.nodes, plant.nodes_c, strict=True)
        nodes_c = {node.id: at_c for node, at_c in nodes}
        ratio, idle_w = plant.clock_ratio(inputs), plant.spec.power.idle_w
        begin = PlantState(0.0, nodes_c, ratio, plant.throttle_step, idle_w)
        return self._state(begin, inputs.at("foreign_cores", 0.0), 0.0, 0.0)

    def after(self, tick: AppTick) -> DeviceState:
        waiting = min(1.0, max(0.0, tick.wanted_cores - self._cores))
        self._pressure += (waiting - self._pressure) * TICK_S / _PRESSURE_S
        on_ac = self._on_ac()
        step = self._plant.step(TICK_S, tick.busy_cores, self._inputs)
        if self._battery_wh is not None and not on_ac:
            self._battery_wh = max(0.0, self._battery_wh - step.power_w * TICK_S / 3600.0)
        return self._state(step, tick.busy_cores, tick.work.own_cores, tick.memory_mb)

    def _on_ac(self) -> bool | None:
        inputs = self._inputs
        return None if inputs.on_ac is None else inputs.at("on_ac", self._plant.t_s) > 0

    def _state(
        self, plant: PlantState, busy_cores: float, own_cores: float, memory_mb: float
    ) -> DeviceState:
        t_s, inputs = plant.t_s, self._inputs
        return DeviceState(
            t_s,
            plant.nodes_c,
            plant.clock_ratio,
            plant.throttle_step,
            plant.power_w,
            busy_cores,
            own_cores,
            inputs.at("ambient_c", t_s),
            self._pressure,
            inputs.at("undervoltage", t_s) > 0,
            self._on_ac(),
            self._battery_wh,
            max(0.0, inputs.at("memory_available_mb", t_s) - memory_mb),
            inputs.at("memory_pressure", t_s),
        )
