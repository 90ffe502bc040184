"""Worlds as plain values: a plant, what happens to it, its sensors, and what must come out.

Everything here can be written in the JSON of traces (`edgeapp-thermal/1`), field by field.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from edgeapp.watchdog.ladder import Tenant
from edgeapp.watchdog.limits import Limits, Prior

Table = tuple[tuple[float, float], ...]
"""Pairs of (seconds from the start, value), rising; before the first its value holds."""
FaultKind = Literal["freeze", "missing", "eio", "const", "offset", "noise"]
"""Freeze: the last good value; missing: no such file; eio: reading fails, with probability `value`;
const: `value`; offset: `value` is added; noise: `value` is its standard deviation."""
Signal = Literal["clock", "throttled", "undervoltage", "power", "pressure", "memory"]
"""What a device can tell beside its temperatures and the load; a battery and the mains are told
wherever there are any."""

LEAK_REFERENCE_C = 25.0
"""Die temperature for which `idle_w` and `core_w` hold; leakage is counted from it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A lump of heat capacity, `tau_s / r_k_per_w`, behind a resistance."""

    id: str
    r_k_per_w: float
    """Towards `to`."""
    tau_s: float
    to: str
    """Another node, or "ambient"."""


@dataclass(frozen=True, slots=True)
class Power:
    """Electrical power of the board; all of it becomes heat of the first node."""

    idle_w: float
    core_w: float
    """Of one busy core at the full clock."""
    cores: int
    leak_w_per_k: float = 0.0
    """For each kelvin of the first node above `LEAK_REFERENCE_C`."""
    freq_exp: float = 2.2
    """A core at a clock ratio of r takes r ** freq_exp of `core_w`."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """What the hardware does by itself, each second.

    One step down while the first node is at `on_c` or more, the last step at `hard_c`; one up
    again below `on_c - hyst_c`.
    """

    on_c: float = 80.0
    hard_c: float = 85.0
    hyst_c: float = 2.0
    steps: tuple[float, ...] = (1.0, 0.667, 0.5, 0.4)
    """Clock ratios, falling, the first is 1."""


@dataclass(frozen=True, slots=True)
class PlantSpec:
    """A device: its heat, its power, its hardware throttle, and what it can tell."""

    nodes: tuple[Node, ...]
    """The first is the die, the last lies in the surroundings (and in the sun, if any)."""
    power: Power
    throttle: Throttle = Throttle()
    start_c: float = 25.0
    """Of the first node; the others lie between it and the surroundings, as in a steady state."""
    battery_wh: float | None = None
    """Of the full battery; None: there is none."""
    battery_level: float = 1.0
    """At the start, 0..1."""
    tells: tuple[Signal, ...] = ("clock", "pressure", "memory")
    clock_lies: bool = False
    """The clock that it tells is what was asked for, not what the hardware made of it."""


@dataclass(frozen=True)
class Inputs:
    """What happens to a device from outside."""

    ambient_c: Table = ((0.0, 25.0),)
    foreign_cores: Table = ((0.0, 0.0),)
    """Cores that other processes would keep busy if they had them for themselves."""
    on_ac: Table | None = None
    """1 or 0; None: the device does not know of any mains."""
    r_factor: Table = ((0.0, 1.0),)
    """Times the last node's resistance: a fan that fails, a door that opens."""
    sun_w: Table = ((0.0, 0.0),)
    """Heat from outside into the last node."""
    clock_cap: Table = ((0.0, 1.0),)
    """Greatest clock ratio, for reasons other than heat."""
    undervoltage: Table = ((0.0, 0.0),)
    """1 or 0."""
    memory_available_mb: Table = ((0.0, 2000.0),)
    """What would be left if none of our models were loaded."""
    memory_pressure: Table = ((0.0, 0.0),)
    interpolate: Literal["step", "linear"] = "step"
    """How `ambient_c` and `sun_w` go from pair to pair; all others jump."""

    @cached_property
    def _times(self) -> dict[str, tuple[float, ...]]:
        return {}

    def at(self, name: str, t_s: float) -> float:
        """Value of the table of that name at a time; 0 where there is no table."""
        table: Table | None = getattr(self, name)
        if not table:
            return 0.0
        if len(table) == 1:
            return table[0][1]
        times = self._times.get(name)
        if times is None:
            times = self._times[name] = tuple(pair[0] for pair in table)
        after = bisect_right(times, t_s)
        if after == 0:
            return table[0][1]
        start_s, value = table[after - 1]
        if self.interpolate == "step" or name not in {"ambient_c", "sun_w"} or after == len(table):
            return value
        end_s, then = table[after]
        return value + (then - value) * (t_s - start_s) / (end_s - start_s)


@dataclass(frozen=True, slots=True)
class Fault:
    """A sensor misbehaves for a while."""

    from_s: float
    to_s: float
    kind: FaultKind
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """A temperature sensor."""

    path: str
    """Below the root of sysfs."""
    type: str
    """What it calls itself, such as "cpu-thermal"."""
    node: str
    """The node whose temperature it tells."""
    unit: Literal["mC", "C"] = "mC"
    lsb_c: float = 0.487
    """Step of its readings."""
    noise_c: float = 0.35
    """Standard deviation before it is rounded to steps."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold of a run; None: not asked for."""

    ratio_min: float | None = None
    """Utility over that of the clairvoyant."""
    utility_min: float | None = None
    """Mean, 0..1 of the best possible."""
    over_s_max: float | None = None
    """Seconds with the die above the trip."""
    avoidable_over_s_max: float | None = None
    """The same, while we were not at the floor."""
    model_swaps_per_h_max: float | None = None
    miss_max: float | None = None
    """Share of the packets that were wanted and not answered in time."""
    infeasible_within_s: float | None = None
    """From the start until the governor says so."""
    detects: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Detector: it fires after the first time, at the latest so many seconds later."""
    changes_max: int | None = None
    """Ticks at which settings changed."""
    battery_lasts_s: tuple[float, float] | None = None
    """The battery is empty, down to the reserve, between these times."""
    replan_within_s: tuple[float, float] | None = None
    """Settings change after the first time, at the latest so many seconds later."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world, what lives in it, and what must come out."""

    name: str
    seed: int
    plant: PlantSpec
    inputs: Inputs
    tenants: tuple[Tenant, ...]
    limits: Limits
    prior: Prior
    sensors: tuple[SensorSpec, ...]
    duration_s: float
    expect: Expect = Expect()


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The truth about a device after a tick: what its sensors and counters are rendered from."""

    t_s: float
    nodes_c: Mapping[str, float]
    clock_ratio: float
    throttle_step: int
    power_w: float
    """Electrical, mean of the tick."""
    busy_cores: float
    """In use by all, mean of the tick."""
    own_cores: float
    ambient_c: float
    cpu_pressure: float = 0.0
    """0..1, average over 10 s as PSI has it."""
    undervoltage: bool = False
    on_ac: bool | None = None
    battery_wh: float | None = None
    memory_available_mb: float = 2000.0
    memory_pressure: float = 0.0
