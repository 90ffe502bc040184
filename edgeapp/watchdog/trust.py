"""Which temperature to believe: one value out of many sensors, some of which lie.

A board shows a dozen temperatures: a clock chip, a radio, a power chip that reads 100.0 for ever, a
dead accelerator at -89.7. Only those of the die count, each must deserve its trust, and the greatest
of those that are trusted is taken, for it is the greatest that the hardware slows down for.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, sqrt

from edgeapp.watchdog.limits import Prior
from edgeapp.watchdog.thermal_model import Forecast
from edgeapp.watchdog.tick import SensorKind, SensorReading, Trust

COLDEST_C, HOTTEST_C = -40.0, 125.0
"""What silicon that computes can have."""
GOOD_SAMPLES = 30
"""In a row, before a sensor that lied is believed again."""
DISAGREEING_K = 12.0
"""Sensors of one die are not further apart."""

_DEAD_C = frozenset({0.0, 85.0, 100.0, 127.0})
"""What sensors that measure nothing show: believed only of one that was seen to move."""
_GATE_K = 8.0
"""A sensor may be so far from what the model expects, beside what the model itself doubts."""
_RATE_K_PER_S = 15.0
"""Without a model: no die changes faster."""
_SPIKE = "spike"
_SPIKES = 3
"""Values in a row that are far off before it is more than a spike."""
_GRACE = 10
"""Samples after trust was regained, in which the model may follow the sensor."""
_GAP_S = 15.0
"""Without a value for longer a sensor is lost; until then the model bridges the gap."""
_FROZEN_K = 2.0
"""The load must have moved the die so far within seconds while the reading stood still."""
_FROZEN_NOISY = 30
"""Samples without a change of a sensor whose noise is greater than its steps."""
_ZIGZAG_STEPS = 2.5
_ZIGZAGS = 2
"""How often it turns round by so many steps among the last samples, if its noise is greater than its
steps. Flicker between two neighbours, and ramps, never do: such a sensor can be still for minutes."""
_STUCK = frozenset({"frozen", "implausible"})
"""What is not cured by the same value again and again."""
_PATIENCE_S = 600.0
"""A sensor that goes on to move, far below what was expected, is believed after all."""
_NOISE_SAMPLES = 60
_NOISE_EVERY = 10
_NOISE_FILTER = 0.3
_LEAST_NOISE_C, _MOST_NOISE_C = 0.15, 6.0
_COARSE = 0.6
"""Steps without noise err for minutes in the same direction: by so much of a step they count."""
_SMOOTHING = 0.2
_MOST_SENSORS = 64
_FORGET_S = 3600.0
_BOARD_NOISE_C = 1.5
"""Of a die temperature that is derived from the board's sensor."""


@dataclass(frozen=True, slots=True)
class Fused:
    """What all sensors together say."""

    die_c: float | None
    """None: nothing that can be believed was read at this tick."""
    noise_c: float
    """Standard deviation of `die_c`, as its sensor was seen to behave."""
    trusts: tuple[Trust, ...]
    """Of every sensor, by name; those of other things than the die are left out: trust 0."""
    alarm: str
    """A clause for people; empty: the sensors are as they should be."""
    lost: bool
    """No sensor is trusted now; False where a gap of some seconds is bridged."""


class Fusion:
    """Judges all sensors at each tick. One thread."""

    def __init__(self, prior: Prior) -> None:
        self._sensors: dict[str, _Sensor] = {}
        self._response = _Response(prior)
        self._t_s: float | None = None

    def judge(
        self,
        t_s: float,
        sensors: Sequence[SensorReading],
        expected: Forecast | None,
        cores: float,
    ) -> Fused:
        """Say what the die has, and what is thought of each sensor. Never raises.

        Args:
            t_s: Monotonic time.
            sensors: As read at this tick; one that is missing from them cannot be read.
            expected: What the model says of this very moment, before it has seen the sensors.
            cores: Busy cores since the tick before.
        """
        cores = cores if isfinite(cores) else 0.0
        if expected is not None and not (isfinite(expected.die_c) and isfinite(expected.sigma_c)):
            expected = None
        dt = 1.0 if self._t_s is None else max(0.0, t_s - self._t_s)
        self._t_s = t_s
        moved_k = self._response.advance(dt, cores)
        read = {sensor.name: sensor for sensor in sensors}
        for name, reading in read.items():
            new = name not in self._sensors and reading.kind != "other"
            if new and len(self._sensors) < _MOST_SENSORS:
                self._sensors[name] = _Sensor(name, reading.kind)
        for name, sensor in list(self._sensors.items()):
            if not sensor.look(t_s, read.get(name), expected, moved_k):
                del self._sensors[name]
        return self._fuse(read)

    def _fuse(self, read: Mapping[str, SensorReading]) -> Fused:
        living = {sensor.kind for sensor in self._sensors.values() if sensor.lived}
        kind = "board" if "board" in living and "die" not in living else "die"
        mine = [sensor for sensor in self._sensors.values() if sensor.kind == kind]
        trusted = [sensor for sensor in mine if sensor.trusted and sensor.lived]
        best = max(trusted, key=_level, default=None)
        alarm, doubted = "", set[str]()
        if best is None and mine:
            alarm = "no sensor can be trusted: " + ", ".join(
                f"{sensor.name} is {sensor.problem or 'missing'}" for sensor in mine[:3]
            )
        elif best is not None and kind == "die":
            others = [
                s for s in mine if s.alive and abs(best.smooth_c - s.smooth_c) > DISAGREEING_K
            ]
            doubted = {sensor.name for sensor in others}
            if others:
                other = max(others, key=lambda sensor: abs(sensor.smooth_c - best.smooth_c))
                alarm = (
                    f"sensors disagree: {best.name} has {best.smooth_c:.0f} C, {other.name} "
                    f"{other.smooth_c:.0f} C; {best.name} is believed"
                )
        trusts = [
            sensor.trust(used=sensor.kind == kind, disagrees=sensor.name in doubted)
            for sensor in self._sensors.values()
        ]
        trusts += [
            Trust(name, reading.value_c, 0.0, reading.problem)
            for name, reading in read.items()
            if name not in self._sensors
        ]
        trusts.sort(key=lambda trust: trust.name)
        if best is None or best.value_c is None:
            return Fused(None, _BOARD_NOISE_C, tuple(trusts), alarm, lost=best is None)
        value, noise = best.value_c, best.noise_c
        if kind == "board":
            value, noise = value + self._response.die_k, sqrt(noise**2 + _BOARD_NOISE_C**2)
        value = min(max(value, COLDEST_C), HOTTEST_C)
        return Fused(value, noise, tuple(trusts), alarm, lost=False)


class _Response:
    """How far the load lifts the die above the board, by the prior: independent of every sensor."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._cores: float | None = None

    @property
    def die_k(self) -> float:
        """What the die is above the board."""
        return self._prior.die_k_per_core * (self._cores or 0.0)

    def advance(self, dt: float, cores: float) -> float:
        """Let time pass under a load; gives `die_k`."""
        before = cores if self._cores is None else self._cores
        self._cores = before + (cores - before) * (1 - exp(-dt / self._prior.die_tau_s))
        return self.die_k


class _Sensor:
    """What is known of one sensor."""

    def __init__(self, name: str, kind: SensorKind) -> None:
        self.name = name
        self.kind = kind
        self.value_c: float | None = None
        """At this tick; None: it has none that can be used."""
        self.smooth_c = COLDEST_C
        """Of some seconds: to compare it with others."""
        self.noise_c = 0.5
        """Standard deviation of its noise, steps included."""
        self.problem = ""
        self.trusted = True
        self.lived = False
        """It was trusted, with a value, at some time."""
        self.alive = False
        """It measures something now, be it right or wrong."""
        self._last_c: float | None = None
        self._last_s = 0.0
        self._seen_s: float | None = None
        self._unchanged = 0
        self._moved_low = self._moved_high = 0.0
        self._ever_moved = self._moved_since = False
        self._doubted_s = 0.0
        self._good = self._spikes = self._grace = 0
        self._recent: deque[float] = deque(maxlen=_NOISE_SAMPLES)
        self._until_noise = _NOISE_EVERY
        self._step_c = 0.0
        self._noisy = False
        self._presence = 1.0

    def look(
        self, t_s: float, reading: SensorReading | None, expected: Forecast | None, moved_k: float
    ) -> bool:
        """Judge what it says at this tick; False: it is gone for good."""
        if self._seen_s is None:
            self._seen_s = t_s
        value = None if reading is None else reading.value_c
        self.value_c = None
        self._presence += ((value is not None) - self._presence) / GOOD_SAMPLES
        if reading is None or value is None:
            if t_s - self._seen_s > _GAP_S or not self.lived:
                self.alive = False
                self._distrust(t_s, reading.problem if reading and reading.problem else "missing")
            return t_s - self._seen_s <= _FORGET_S
        self._seen_s = t_s
        problem = self._problem_of(t_s, value, reading.problem, expected, moved_k)
        if problem == _SPIKE:
            return True
        self.alive = problem in {"", "implausible"}
        if self.alive:
            first = self._last_c == value and self.smooth_c == COLDEST_C
            self.smooth_c += (1.0 if first else _SMOOTHING) * (value - self.smooth_c)
        if problem:
            self._distrust(t_s, problem)
            return True
        self._regain()
        if self.trusted:
            self.value_c, self.lived = value, True
        return True

    def trust(self, *, used: bool, disagrees: bool) -> Trust:
        """What to tell of it."""
        if not (self.trusted and used):
            return Trust(self.name, self.value_c, 0.0, "disagrees" if disagrees else self.problem)
        if disagrees:
            return Trust(self.name, self.value_c, 0.5, "disagrees")
        return Trust(self.name, self.value_c, round(min(1.0, self._presence), 2))

    def _regain(self) -> None:
        if self.trusted:
            return
        self._good += 1
        healed = self._moved_since or self.problem not in _STUCK
        if not self.lived or (self._good >= GOOD_SAMPLES and healed):
            self.trusted, self.problem = True, ""
            self._grace, self._spikes = _GRACE, 0

    def _distrust(self, t_s: float, problem: str) -> None:
        if self.trusted:
            self._doubted_s = t_s
            self._moved_since = False
        self.trusted, self.problem, self._good = False, problem, 0

    def _problem_of(
        self, t_s: float, value: float, problem: str, expected: Forecast | None, moved_k: float
    ) -> str:
        if not isfinite(value):
            return "garbage"
        if not COLDEST_C <= value <= HOTTEST_C:
            return "range"
        if problem:
            return problem
        off, gate = self._off(t_s, value, expected)
        self._note(t_s, value, moved_k)
        if self._frozen() or (not self._ever_moved and value in _DEAD_C):
            return "frozen"
        return self._far(t_s, off, gate)

    def _far(self, t_s: float, off: float, gate: float) -> str:
        """What it means to be so far from what can be: a spike, a lie, in the end the truth."""
        self._grace -= self._grace > 0
        if abs(off) <= gate or self._grace:
            self._spikes = 0
            return ""
        self._spikes += 1
        if self.trusted:
            return _SPIKE if self._spikes < _SPIKES else "implausible"
        # Believed again once it was seen to live: soon where it is hotter than was thought, which
        # is the safe side to err on, late where it is colder.
        return "" if off > 0 or t_s - self._doubted_s > _PATIENCE_S else "implausible"

    def _off(self, t_s: float, value: float, expected: Forecast | None) -> tuple[float, float]:
        """How far a value is from what can be, and how far it may be."""
        if expected is not None and self.kind == "die":
            doubt = 3 * expected.sigma_c
            gate = _GATE_K + (min(doubt, _GATE_K / 2) if self.lived else doubt)
            return value - expected.die_c, gate + 3 * self.noise_c
        if self._last_c is None:
            return 0.0, 0.0
        since_s = max(1.0, t_s - self._last_s)
        return value - self._last_c, _RATE_K_PER_S * since_s + 3 * self.noise_c

    def _note(self, t_s: float, value: float, moved_k: float) -> None:
        """Remember how it moves."""
        changed = value != self._last_c
        if changed:
            if self._last_c is not None:
                self._ever_moved = self._moved_since = True
                step = abs(value - self._last_c)
                self._step_c = min(self._step_c * 1.001, step) if self._step_c else step
            self._unchanged = 0
            self._moved_low = self._moved_high = moved_k
        else:
            self._unchanged += 1
            self._moved_low = min(self._moved_low, moved_k)
            self._moved_high = max(self._moved_high, moved_k)
        self._last_c, self._last_s = value, t_s
        if self._unchanged < _FROZEN_NOISY // 2:
            self._recent.append(value)
        # What stands still tells nothing of its noise: that of before must be remembered.
        self._until_noise -= 1
        if changed and self._until_noise <= 0 and len(self._recent) >= _NOISE_SAMPLES // 2:
            self._until_noise = _NOISE_EVERY
            self._learn_noise()

    def _learn_noise(self) -> None:
        """From second differences, which no slope touches, without the greatest of them."""
        values = list(self._recent)
        triples = list(zip(values, values[1:], values[2:], strict=False))
        squares = sorted((a - 2 * b + c) ** 2 for a, b, c in triples)
        kept = squares[: len(squares) * 9 // 10]
        # 0.62: mean of the lower nine tenths of squared normal numbers; 6: 1 + 4 + 1.
        spread = sqrt(sum(kept) / len(kept) / 0.62 / 6)
        noise = min(max(spread, _LEAST_NOISE_C, _COARSE * self._step_c), _MOST_NOISE_C)
        self.noise_c += _NOISE_FILTER * (noise - self.noise_c)
        turn = _ZIGZAG_STEPS * self._step_c
        turns = sum((b - a) * (c - b) < 0 and abs(a - 2 * b + c) > turn for a, b, c in triples)
        self._noisy = turns >= _ZIGZAGS

    def _frozen(self) -> bool:
        if self._moved_high - self._moved_low > _FROZEN_K and self._unchanged >= _SPIKES:
            return self.kind == "die"
        return self._noisy and self._unchanged >= _FROZEN_NOISY


def _level(sensor: _Sensor) -> float:
    return sensor.smooth_c
