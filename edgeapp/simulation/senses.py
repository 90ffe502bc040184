"""What a device says of itself, straight from its true state: no files between."""

import random
from collections.abc import Callable

from edgeapp.simulation.spec import DeviceState, Fault, Scenario, SensorSpec
from edgeapp.watchdog.tick import Reading, SensorReading

Read = Callable[[DeviceState], Reading]

_POSSIBLE_C = (-40.0, 125.0)


class Senses:
    """Sensors with their steps, noise and faults; deterministic for a scenario's seed."""

    def __init__(self, scenario: Scenario) -> None:
        self._plant = scenario.plant
        self._die = scenario.plant.nodes[0].id
        self._sensors = [
            (spec, Sensor(spec, random.Random(f"{scenario.seed}/{spec.path}")))  # noqa: S311 - a simulation
            for spec in scenario.sensors
        ]

    def read(self, state: DeviceState) -> Reading:
        """What is read at this tick."""
        plant = self._plant
        tells = plant.tells
        clock = 1.0 if plant.clock_lies else state.clock_ratio
        has_battery = plant.battery_wh is not None and state.battery_wh is not None
        battery = (state.battery_wh or 0.0) / (plant.battery_wh or 1.0) if has_battery else None
        return Reading(
            sensors=tuple(self._told(spec, sensor, state) for spec, sensor in self._sensors),
            busy_cores=state.busy_cores,
            clock_ratio=clock if "clock" in tells else None,
            undervoltage=state.undervoltage if "undervoltage" in tells else None,
            throttled=state.throttle_step > 0 if "throttled" in tells else None,
            on_ac=state.on_ac,
            battery=battery,
            battery_wh=state.battery_wh,
            power_w=state.power_w if "power" in tells else None,
            cpu_pressure=state.cpu_pressure if "pressure" in tells else None,
            memory_pressure=state.memory_pressure if "memory" in tells else None,
            memory_available_mb=state.memory_available_mb if "memory" in tells else None,
        )

    def _told(self, spec: SensorSpec, sensor: "Sensor", state: DeviceState) -> SensorReading:
        value, problem = sensor.told(state.t_s, state.nodes_c[spec.node])
        if value is not None and not _POSSIBLE_C[0] <= value <= _POSSIBLE_C[1]:
            value, problem = None, "range"
        kind = "die" if spec.node == self._die else "board"
        return SensorReading(spec.type, kind, value, problem)  # type: ignore[arg-type] # one of two


class Sensor:
    """One sensor. Once for each second, in order; not for several threads."""

    def __init__(self, spec: SensorSpec, rng: random.Random) -> None:
        self._spec = spec
        self._rng = rng
        self._last_c: float | None = None

    def told(self, t_s: float, true_c: float) -> tuple[float | None, str]:
        """What it says, in steps of its own, and what is the matter ("missing", "error", "")."""
        spec, rng = self._spec, self._rng
        fault = next((one for one in spec.faults if one.from_s <= t_s < one.to_s), None)
        value_c = self._faulty(fault, true_c + spec.noise_c * rng.gauss(0.0, 1.0))
        if value_c is None:
            return None, "missing" if fault is not None and fault.kind == "missing" else "error"
        told_c = round(value_c / spec.lsb_c) * spec.lsb_c if spec.lsb_c > 0 else value_c
        self._last_c = told_c
        return told_c, ""

    def _faulty(self, fault: Fault | None, value_c: float) -> float | None:
        if fault is None or (fault.kind == "eio" and self._rng.random() >= fault.value):
            return value_c
        if fault.kind == "freeze":
            return value_c if self._last_c is None else self._last_c
        if fault.kind == "const":
            return fault.value
        if fault.kind == "offset":
            return value_c + fault.value
        return value_c + fault.value * self._rng.gauss(0.0, 1.0) if fault.kind == "noise" else None
