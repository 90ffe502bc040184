"""How many busy cores a limit of power and a goal of the battery allow.

Electrical power is taken to be linear in the busy cores. What it is on this device is learned from
what is measured, on top of what is believed beforehand; what the straight line cannot explain is
put right by what is measured as well, so that a wrong line costs accuracy for a while and no more.
"""

from dataclasses import dataclass, replace
from math import inf, isfinite

from edgeapp.watchdog.limits import BatteryGoal, Limits, Prior
from edgeapp.watchdog.tick import Reading

DOUBT = 0.6
"""How far, as a share, what is learned may lie from what was believed."""
LAST_S = 900.0
"""The end of a plan is taken to be at least so far ahead, or the last watt-minutes would jump."""
PLUGGED_S = 600.0
"""Mains must be back for so long before their loss begins a new plan: a plug may be loose."""
WINDOW_S = 120.0
"""Over which the drain of a battery is measured at least; a gauge moves in steps."""
GAP_S = 30.0
"""Without a reading for so long, what was measured before is no part of the same drain."""
_BIAS_S = 20.0
_MOST_W = 10_000.0


class Watts:
    """Power of the device by busy cores: `idle_w + core_w * cores`, learned as it runs.

    A Kalman filter over the two, which wander slowly; both stay within `DOUBT` of the prior.
    """

    def __init__(self, prior: Prior) -> None:
        self.idle_w = prior.idle_w
        self.core_w = prior.core_w
        self.samples = 0
        """Measurements that were taken in."""
        self._prior = prior
        # Half of the bound is one standard deviation.
        self._idle_var = (DOUBT / 2 * prior.idle_w) ** 2
        self._core_var = (DOUBT / 2 * prior.core_w) ** 2
        self._both_var = 0.0
        self._most_vars = self._idle_var, self._core_var

    def at(self, cores: float) -> float:
        """Watts at so many busy cores."""
        return self.idle_w + self.core_w * cores

    def cores_at(self, watts: float) -> float:
        """Busy cores that so many watts are enough for; 0 where not even an idle device is."""
        return max(0.0, (watts - self.idle_w) / self.core_w)

    def learn(self, cores: float, watts: float, *, over_s: float, noise_w: float) -> None:
        """Take in the mean power at a mean load over a time; `noise_w`: standard deviation."""
        self.samples += 1
        # Both are thought to wander by a tenth of their doubt in an hour.
        wander = 0.01 * min(over_s / 3600, 1.0)
        self._idle_var = min(self._idle_var + wander * self._most_vars[0], self._most_vars[0])
        self._core_var = min(self._core_var + wander * self._most_vars[1], self._most_vars[1])
        idle = self._idle_var + cores * self._both_var
        core = self._both_var + cores * self._core_var
        total = idle + cores * core + noise_w * noise_w
        if total <= 0:
            return
        wrong = watts - self.at(cores)
        self.idle_w = _within(self.idle_w + idle / total * wrong, self._prior.idle_w)
        self.core_w = _within(self.core_w + core / total * wrong, self._prior.core_w)
        self._idle_var -= idle * idle / total
        self._core_var -= core * core / total
        self._both_var -= idle * core / total


class Power:
    """Told each tick what the device says and does; knows how many cores its power allows."""

    def __init__(self, limits: Limits, prior: Prior) -> None:
        self._limit_w = limits.power_w
        self._meter = Watts(prior)
        self._plan = _Plan(limits.battery) if limits.battery is not None else None
        self._drain = _Drain(Watts(prior))
        self._bias_w = 0.0
        self._t_s: float | None = None

    def observe(self, t_s: float, reading: Reading, cores: float) -> None:
        """Take in one tick.

        Args:
            t_s: Monotonic.
            reading: What the device says.
            cores: Busy ones since the tick before, of all processes, at the real clock.
        """
        passed_s = 1.0 if self._t_s is None else max(t_s - self._t_s, 0.0)
        self._t_s = t_s
        if reading.power_w is not None and 0 < reading.power_w < _MOST_W:
            wrong = reading.power_w - self._meter.at(cores)
            self._meter.learn(
                cores, reading.power_w, over_s=passed_s, noise_w=0.1 * reading.power_w + 0.1
            )
            self._bias_w += min(passed_s / _BIAS_S, 1.0) * (wrong - self._bias_w)
        if self._plan is not None:
            energy_wh = self._plan.energy_wh(reading)
            self._plan.observe(t_s, reading, energy_wh)
            self._drain.observe(t_s, None if reading.on_ac else energy_wh, cores, passed_s)

    @property
    def limit_cores(self) -> float:
        """Busy cores in total that the power limit allows; infinite: there is none."""
        if self._limit_w is None:
            return inf
        return self._meter.cores_at(self._limit_w - self._bias_w)

    @property
    def battery_cores(self) -> float:
        """Busy cores in total, on average, with which the battery lasts; infinite: no matter."""
        watts = inf if self._plan is None else self._plan.watts(self._t_s or 0.0)
        return self._watts().cores_at(watts) if isfinite(watts) else inf

    @property
    def blind(self) -> bool:
        """There is a goal for the battery, and nothing says what the battery holds."""
        return self._plan is not None and self._plan.unknown

    def facts(self) -> dict[str, float]:
        """What is believed now: idle_w, core_w, and with a plan plan_w, plan_left_s, energy_wh."""
        watts = self._watts()
        facts = {"idle_w": watts.idle_w, "core_w": watts.core_w}
        if self._plan is not None:
            facts |= self._plan.facts(self._t_s or 0.0)
        return facts

    def _watts(self) -> Watts:
        """By the battery itself if it has told enough: a counter may see a part of the device."""
        return self._drain.watts if self._drain.watts.samples else self._meter


class _Plan:
    """Until when the battery must last, and what it holds."""

    def __init__(self, goal: BatteryGoal) -> None:
        self._goal = goal
        self._capacity_wh = goal.capacity_wh
        self._until_s: float | None = None
        self._plugged_s: float | None = None
        self._plugged = False
        self._left_wh: float | None = None

    @property
    def unknown(self) -> bool:
        """Whether the energy that is left was never known."""
        return self._left_wh is None

    def energy_wh(self, reading: Reading) -> float | None:
        """What is left in the battery; None: it does not say."""
        energy_wh, charge = reading.battery_wh, reading.battery
        if energy_wh is not None and not 0 <= energy_wh < inf:
            energy_wh = None
        if charge is not None and not 0 <= charge <= 1:
            charge = None
        if energy_wh is None:
            known = self._capacity_wh is not None and charge is not None
            return self._capacity_wh * charge if known else None  # type: ignore[operator]
        if self._goal.capacity_wh is None and charge is not None and charge > 0:
            self._capacity_wh = energy_wh / charge
        return energy_wh

    def observe(self, t_s: float, reading: Reading, energy_wh: float | None) -> None:
        if energy_wh is not None:
            self._left_wh = energy_wh
        if reading.on_ac:
            if not self._plugged:
                self._plugged_s = t_s
            self._plugged = True
            return
        back_s = inf if self._plugged_s is None else t_s - self._plugged_s
        if self._until_s is None or (self._plugged and back_s >= PLUGGED_S):
            self._until_s = t_s + self._goal.for_s
        self._plugged = False

    def watts(self, t_s: float) -> float:
        """What may be drawn on average; infinite: on mains, or the goal is reached, or unknown."""
        if self._plugged or self._until_s is None or self._left_wh is None or t_s >= self._until_s:
            return inf
        reserve_wh = self._goal.reserve * (self._capacity_wh or 0.0)
        left_s = max(self._until_s - t_s, LAST_S)
        return max(0.0, self._left_wh - reserve_wh) * 3600 / left_s

    def facts(self, t_s: float) -> dict[str, float]:
        watts = self.watts(t_s)
        if not isfinite(watts) or self._until_s is None or self._left_wh is None:
            return {}
        return {
            "plan_w": watts,
            "plan_left_s": self._until_s - t_s,
            "energy_wh": self._left_wh,
        }


@dataclass(frozen=True, slots=True)
class _Window:
    """A drain that is being measured, from one step of the gauge to a later one."""

    energy_wh: float
    lasted_s: float = 0.0
    core_s: float = 0.0


class _Drain:
    """Learns power from the steps in which the energy of a battery falls."""

    def __init__(self, watts: Watts) -> None:
        self.watts = watts
        self._seen_wh: float | None = None
        self._window: _Window | None = None

    def observe(self, t_s: float, energy_wh: float | None, cores: float, passed_s: float) -> None:
        """Take in one tick; `energy_wh` None: not known, or the battery is not what feeds us."""
        if energy_wh is None or passed_s > GAP_S:
            self._window = self._seen_wh = None
            return
        window = self._window
        if window is not None:
            window = replace(
                window,
                lasted_s=window.lasted_s + passed_s,
                core_s=window.core_s + cores * passed_s,
            )
        step_wh = 0.0 if self._seen_wh is None else self._seen_wh - energy_wh
        if step_wh < 0:  # it is charged by something that does not say so, or was corrected
            window = None
        elif step_wh > 0 and window is None:
            window = _Window(energy_wh)
        elif step_wh > 0 and window is not None and window.lasted_s >= WINDOW_S:
            watts = (window.energy_wh - energy_wh) * 3600 / window.lasted_s
            # At either end a step may have come up to a tick late.
            noise_w = 0.05 * watts + 0.3 * step_wh * 3600 / window.lasted_s
            self.watts.learn(
                window.core_s / window.lasted_s, watts, over_s=window.lasted_s, noise_w=noise_w
            )
            window = _Window(energy_wh)
        self._window = window
        self._seen_wh = energy_wh


def _within(value: float, prior: float) -> float:
    return min(max(value, (1 - DOUBT) * prior), (1 + DOUBT) * prior)
