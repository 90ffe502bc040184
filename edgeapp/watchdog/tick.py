"""What the governor is told at each tick, and what it answers. Plain values; no input or output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import StageKey

SensorKind = Literal["die", "board", "other"]
Level = Literal["nominal", "fair", "serious", "critical"]
"""Fair: near the limit, or below the best because of it. Serious: at the floor, or slowed down by the
hardware. Critical: too hot at the floor, or nothing is known of the heat and load is high."""
Binding = Literal[
    "none",
    "heat_30s",
    "heat_300s",
    "cpu",
    "latency",
    "power",
    "battery",
    "memory",
    "undervoltage",
    "sensors",
    "fault",
]
"""What keeps the governor from choosing better: the tightest of its constraints."""


@dataclass(frozen=True, slots=True)
class SensorReading:
    """One temperature sensor, as read at this tick."""

    name: str
    """Stable over restarts, such as "cpu-thermal" or "hwmon:coretemp/Core 0"."""
    kind: SensorKind
    value_c: float | None
    """None: it could not be read, or what was read cannot be true."""
    problem: str = ""
    """Why there is no value, or why it is doubted: one of missing, error, garbage, range, rate, stale."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the device says of itself at one tick. None: the device has no such signal."""

    sensors: tuple[SensorReading, ...] = ()
    busy_cores: float | None = None
    """Cores in use by all processes since the tick before, 0..cores."""
    clock_ratio: float | None = None
    """Clock of the cores over their greatest; on some boards what was asked for, not what is."""
    undervoltage: bool | None = None
    throttled: bool | None = None
    """The hardware says that it slows the cores down, for heat or current."""
    overcurrent_events: int | None = None
    """Counter that only grows."""
    on_ac: bool | None = None
    battery: float | None = None
    """Charge, 0..1."""
    battery_wh: float | None = None
    """Energy left."""
    power_w: float | None = None
    """Electrical power taken now, by the best counter there is."""
    cpu_pressure: float | None = None
    """Share of time in which something waited for a core (PSI some, 10 s), 0..1."""
    memory_pressure: float | None = None
    """Share of time in which everything waited for memory (PSI full, 10 s), 0..1."""
    memory_available_mb: float | None = None
    quota_throttled: float | None = None
    """Share of this tick in which our cgroup was held back by its CPU quota, 0..1."""


@dataclass(frozen=True, slots=True)
class StageWork:
    """What one model stage did since the tick before."""

    rate_hz: float
    """Packets that arrived each second, also those that were left out."""
    actual: Setting
    struck: frozenset[int] = frozenset()
    pinned: Setting | None = None
    answered: int = 0
    late: int = 0
    """Packets dropped for their age, or because the queue before the stage was full, and answers
    later than the deadline."""
    cpu_s: float | None = None
    """CPU time of a model call, mean; None: there was none."""
    wall_s: float | None = None
    """Wall time of a model call, mean; None: there was none."""
    opening: bool = False
    """A model is being loaded beside it: what that costs is our own load."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the application did since the tick before."""

    own_cores: float
    """Cores that this process and its children used."""
    stages: Mapping[StageKey, StageWork]
    paused: frozenset[str] = frozenset()
    """Pipelines that are paused, by whomever, or do not run."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What is thought of a sensor."""

    name: str
    value_c: float | None
    trust: float
    """0 (left out) to 1."""
    problem: str = ""
    """missing, error, garbage, range, rate, stale, frozen, implausible, disagrees; empty: none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is wanted from now until the next tick, and why."""

    settings: Mapping[StageKey, Setting]
    """Of every stage; `divisor` 0 closes its gate."""
    paused: frozenset[str]
    """Pipelines to be paused whole: the last measure; never a critical one."""
    urgent: bool
    """Heat or current forbids to wait: goes before what a person pinned."""
    changed: bool
    """Whether settings or pauses differ from those of the tick before."""
    keep_standbys: bool
    """Whether there is memory to keep the next rungs loaded."""
    level: Level
    reason: str
    """One clause for people: why this, now."""
    binding: Binding
    detectors: tuple[str, ...]
    """Which detectors say at this tick that something is wrong: throttling, contention, pressure,
    undervoltage, memory, quota, sensors..."""
    infeasible: bool
    """Even the floor is too hot, or too much."""
    die_c: float | None = None
    """Fused from the sensors that are trusted; None: modelled alone, or unknown."""
    headroom: float | None = None
    """1 at the trip, 0 at 30 K below it, of what is forecast in 30 s; as Android counts it."""
    trip_in_s: float | None = None
    """Until the trip is reached if nothing is changed; None: it is not."""
    forecast_30s_c: float | None = None
    forecast_300s_c: float | None = None
    cores_allowed: float = 0.0
    """What all our stages may use together."""
    cores_chosen: float = 0.0
    """What they are expected to use."""
    utility: float = 0.0
    """Of what was chosen, 0..1 of the weighted best."""
    next_best: str = ""
    """The combination that would have come next, in words; empty: there is none."""
    swap_price: float = 0.0
    swaps_last_h: int = 0
    trust: tuple[Trust, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    """The model's own state, for whoever wants to look: ambient_c, board_c, gain, sigma_c..."""
