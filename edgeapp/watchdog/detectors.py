"""What is wrong besides the heat: slowed down, crowded out, held back, short of memory or current.

Two of the detectors need nothing of the hardware and work inside containers: the same work costs
more seconds of CPU time where the cores are slowed down, whatever clock the system claims, and more
seconds of wall time for each of CPU time where a neighbour takes the cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median

from edgeapp.watchdog.ladder import Rung, StageKey, Tenant
from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.tick import Reading, StageWork, Work

THROTTLING = "throttling"
"""The same work costs more CPU time than when it was calibrated."""
FIRMWARE = "firmware"
"""The hardware itself says that it slows the cores down."""
CONTENTION = "contention"
"""Model calls wait for a core."""
PRESSURE = "pressure"
"""The kernel says that something waits for a core most of the time."""
QUOTA = "quota"
"""Our control group is held back by its CPU quota."""
MEMORY = "memory"
"""Everything waits for memory, or less is available than shall be left."""
UNDERVOLTAGE = "undervoltage"
"""The supply was too weak within the last minutes."""
OVERCURRENT = "overcurrent"
"""An over-current counter rose within the last minute."""

UNDERVOLTAGE_HOLD_S = 600.0
"""How long a fall of the supply counts: what was cut stays cut."""
OVERCURRENT_HOLD_S = 60.0

_FILTER = 0.4
"""Share of a new sample in the filtered one: a doubling is seen within three ticks."""
_STALE_S = 15.0
"""A stage that made no call for longer has no say."""
_FADE_S = 60.0
"""Where no stage has a say, what was measured fades away."""
_MOST_PULL = 1.6
_USUAL_SAMPLES = 30
_USUAL_STEP = 0.001
_USUAL_INFLATION = (0.5, 1.1)
_USUAL_STRETCH = (0.4, 1.0)
"""How far what is usual may be from what was calibrated: more is no mistake, but a finding."""
_MEMORY_RELEASE = 1.25
"""Times the reserve that must be free before memory is no longer short."""
_LEAST_RATIO, _MOST_RATIO = 0.2, 20.0
_LIGHT_LOAD = 0.6
"""Below this share of the cores a clock that is low is low because nobody needs it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the detectors see at a tick."""

    inflation: float
    """CPU time of model calls over the calibrated one, pooled over all stages; about 1."""
    stretch: float
    """Wall time over CPU time of model calls, over what it is undisturbed; 1 or more."""
    measured: bool
    """Whether a stage told of its calls lately; otherwise both are what they were, fading to 1."""
    named: tuple[str, ...]
    """Detectors that say something is wrong, in a fixed order."""
    undervoltage_held: bool
    """The supply failed within the last ten minutes: fewer things at once until that is over."""
    overcurrent_held: bool
    memory_short: bool
    """Standbys must go."""


class Detectors:
    """Looks at each tick. One thread."""

    def __init__(self, tenants: Sequence[Tenant], limits: Limits) -> None:
        self._limits = limits
        self._rungs: dict[StageKey, tuple[Rung, ...]] = {}
        self._calls: dict[StageKey, _Calls] = {}
        self._switches = {
            THROTTLING: _Switch(1.3, 1.15, on_ticks=2),
            CONTENTION: _Switch(1.35, 1.15, on_ticks=3),
            PRESSURE: _Switch(0.4, 0.25, on_ticks=2),
            QUOTA: _Switch(0.1, 0.02, on_ticks=2),
            MEMORY: _Switch(0.1, 0.05, on_ticks=1),
        }
        self._inflation = self._stretch = 1.0
        self._t_s: float | None = None
        self._weak_until_s: float | None = None
        self._current_until_s: float | None = None
        self._events: int | None = None
        self.replace(tenants)

    def replace(self, tenants: Sequence[Tenant]) -> None:
        """Go on with other tenants; of stages that are the same nothing is forgotten."""
        rungs = {ladder.key: ladder.rungs for tenant in tenants for ladder in tenant.ladders}
        self._calls = {
            key: calls
            for key, calls in self._calls.items()
            if self._rungs.get(key) == rungs.get(key)
        }
        self._rungs = rungs

    def look(self, t_s: float, reading: Reading, work: Work) -> Findings:
        """Say what is wrong now.

        Args:
            t_s: Monotonic time.
            reading: What the device says.
            work: What the application did since the tick before.
        """
        dt = 1.0 if self._t_s is None else max(0.0, t_s - self._t_s)
        self._t_s = t_s
        measured = self._measure(t_s, dt, work)
        weak = self._undervoltage(t_s, reading)
        current = self._overcurrent(t_s, reading)
        memory = self._memory(reading)
        switches = self._switches
        flags = {
            THROTTLING: switches[THROTTLING].set(self._unexplained(reading)),
            FIRMWARE: reading.throttled is True,
            CONTENTION: switches[CONTENTION].set(self._stretch),
            PRESSURE: switches[PRESSURE].set(_number(reading.cpu_pressure)),
            QUOTA: switches[QUOTA].set(_number(reading.quota_throttled)),
            MEMORY: memory,
            UNDERVOLTAGE: weak,
            OVERCURRENT: current,
        }
        named = tuple(name for name, on in flags.items() if on)
        return Findings(
            inflation=self._inflation,
            stretch=self._stretch,
            measured=measured,
            named=named,
            undervoltage_held=weak,
            overcurrent_held=current,
            memory_short=memory,
        )

    def _measure(self, t_s: float, dt: float, work: Work) -> bool:
        """Pool what the stages' calls cost; False: no stage has a say."""
        for key, stage in work.stages.items():
            rungs = self._rungs.get(key)
            if rungs is None or not 0 <= stage.actual.rung < len(rungs):
                continue
            self._calls.setdefault(key, _Calls()).add(t_s, rungs[stage.actual.rung], stage)
        fresh = [calls for calls in self._calls.values() if calls.fresh(t_s)]
        if not fresh:
            fade = min(1.0, dt / _FADE_S)
            self._inflation += (1.0 - self._inflation) * fade
            self._stretch += (1.0 - self._stretch) * fade
            return False
        self._inflation = median(calls.inflation for calls in fresh)
        self._stretch = max(1.0, median(calls.stretch for calls in fresh))
        return True

    def _unexplained(self, reading: Reading) -> float:
        """Inflation that is not the kernel saving power because the device has little to do."""
        usual = median(calls.usual for calls in self._calls.values()) if self._calls else 1.0
        inflation = self._inflation / usual
        clock, busy = reading.clock_ratio, reading.busy_cores
        if clock is None or busy is None or not 0 < clock <= 1 or reading.throttled:
            return inflation
        light = busy < _LIGHT_LOAD * self._limits.cores
        return inflation * clock if light else inflation

    def _undervoltage(self, t_s: float, reading: Reading) -> bool:
        if reading.undervoltage:
            self._weak_until_s = t_s + UNDERVOLTAGE_HOLD_S
        return self._weak_until_s is not None and t_s < self._weak_until_s

    def _overcurrent(self, t_s: float, reading: Reading) -> bool:
        events = reading.overcurrent_events
        if events is not None:
            if self._events is not None and events > self._events:
                self._current_until_s = t_s + OVERCURRENT_HOLD_S
            self._events = events
        return self._current_until_s is not None and t_s < self._current_until_s

    def _memory(self, reading: Reading) -> bool:
        level = _number(reading.memory_pressure)
        available, reserve = reading.memory_available_mb, self._limits.memory_reserve_mb
        switch = self._switches[MEMORY]
        if available is not None and available < reserve:
            level = max(level, switch.on_at)
        elif available is not None and available < reserve * _MEMORY_RELEASE:
            level = max(level, switch.off_at)
        return switch.set(level)


class _Calls:
    """What one stage's model calls cost, over what they cost when they were calibrated."""

    def __init__(self) -> None:
        self.inflation = 1.0
        self.stretch = 1.0
        self.usual = 1.0
        """Inflation when all is well: calibration is not perfect."""
        self._ratio = 1.0
        self._usual_ratio = 1.0
        self._rung: int | None = None
        self._heard_s: float | None = None
        self._disturbed = 0
        self._samples = 0

    def fresh(self, t_s: float) -> bool:
        """Whether it made a call lately."""
        return self._heard_s is not None and t_s - self._heard_s <= _STALE_S

    def add(self, t_s: float, rung: Rung, stage: StageWork) -> None:
        """Take in a tick, unless the stage went over to another model in it."""
        calibrated = rung.cpu_s if rung.call_cpu_s is None else rung.call_cpu_s
        moved = self._rung not in {None, stage.actual.rung}
        self._rung = stage.actual.rung
        # A model that is being loaded takes wall time of the calls, for seconds; no CPU time.
        self._disturbed = self._disturbed + 1 if stage.opening else 0
        cpu_s, wall_s = _number(stage.cpu_s), _number(stage.wall_s)
        if moved or cpu_s <= 0 or calibrated <= 0:
            return
        self._heard_s = t_s
        self._samples += 1
        self.inflation = _filtered(self.inflation, cpu_s / calibrated)
        if self._samples > _USUAL_SAMPLES:
            self.usual = _lower(self.usual, self.inflation, *_USUAL_INFLATION)
        if wall_s <= 0 or 0 < self._disturbed <= _STALE_S:
            return
        undisturbed = rung.wall_s / calibrated if rung.wall_s > 0 else 1.0
        self._ratio = _filtered(self._ratio, wall_s / cpu_s / undisturbed)
        if self._samples > _USUAL_SAMPLES:
            self._usual_ratio = _lower(self._usual_ratio, self._ratio, *_USUAL_STRETCH)
        self.stretch = self._ratio / self._usual_ratio


class _Switch:
    """On after so many ticks above a threshold, off below another."""

    def __init__(self, on_at: float, off_at: float, *, on_ticks: int) -> None:
        self.on_at = on_at
        self.off_at = off_at
        self._on_ticks = on_ticks
        self._ticks = 0
        self._on = False

    def set(self, level: float) -> bool:
        self._ticks = self._ticks + 1 if level >= self.on_at else 0
        self._on = level >= self.off_at if self._on else self._ticks >= self._on_ticks
        return self._on


def _filtered(before: float, sample: float) -> float:
    """A sample may pull only so far: one call that had to wait for a page is not news."""
    if sample < before / _MOST_PULL:
        sample = before / _MOST_PULL
    elif sample > before * _MOST_PULL:
        sample = before * _MOST_PULL
    value = before + _FILTER * (sample - before)
    return min(max(value, _LEAST_RATIO), _MOST_RATIO)


def _lower(quartile: float, sample: float, least: float, most: float) -> float:
    """Follow the lower quartile of the samples by small steps."""
    step = -3 * _USUAL_STEP if sample < quartile else _USUAL_STEP
    return min(max(quartile + step, least), most)


def _number(value: float | None) -> float:
    return value if value is not None and isfinite(value) else 0.0
