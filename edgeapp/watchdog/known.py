"""What is known of the device and of the load on it, learned tick by tick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from edgeapp.watchdog import budget
from edgeapp.watchdog.budget import NOTHING_BINDS, Budget, Cap, tightest
from edgeapp.watchdog.ceiling import Ceiling
from edgeapp.watchdog.choices import Choices
from edgeapp.watchdog.detectors import Detectors, Findings
from edgeapp.watchdog.ladder import Tenant
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.load import Load
from edgeapp.watchdog.margin import Margin
from edgeapp.watchdog.memory import Memory
from edgeapp.watchdog.options import Option
from edgeapp.watchdog.plausible import plausible_reading, plausible_work
from edgeapp.watchdog.power import Power
from edgeapp.watchdog.rates import Rates
from edgeapp.watchdog.thermal_model import ThermalModel
from edgeapp.watchdog.tick import Reading, Work
from edgeapp.watchdog.trust import Fused, Fusion

LATER_EVERY_S = 5.0
"""How often it is worked out what holds for good; it changes slowly."""
SAME_CORES = 1e-6


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known at a tick."""

    now_s: float
    elapsed_s: float
    reading: Reading
    work: Work
    findings: Findings
    fused: Fused
    lost: bool
    """There was a temperature, and there is none that can be believed."""


class Known:
    """The device and its load, as far as they are known. One thread.

    All that must hold is turned into one currency here: cores that we may use together.
    """

    def __init__(self, tenants: Sequence[Tenant], limits: Limits, prior: Prior) -> None:
        self.model = ThermalModel(prior)
        self.load = Load()
        self.memory = Memory(limits.memory_reserve_mb)
        self.sensed = False
        """Whether a temperature was ever believed."""
        self._limits = limits
        self._tenants = tuple(tenants)
        self._fusion = Fusion(prior)
        self._detectors = Detectors(tenants, limits)
        self._rates = Rates(tenants)
        self._power = Power(limits, prior)
        self._ceiling = Ceiling()
        self._margin = Margin()
        self._later = NOTHING_BINDS
        self._later_s = -inf

    def replace(self, tenants: Sequence[Tenant]) -> None:
        """These run from now on; what was learned of the device stays."""
        self._tenants = tuple(tenants)
        self._detectors.replace(tenants)
        self._rates.replace(tenants)

    @property
    def rates(self) -> Mapping[tuple[str, str], float]:
        """Packets that are to be expected each second, of every stage."""
        return self._rates.values

    def look(self, now_s: float, elapsed_s: float, reading: Reading, work: Work) -> Sight:
        """Learn from what is told."""
        reading, work = plausible_reading(reading), plausible_work(work, self._tenants)
        findings = self._detectors.look(now_s, reading, work)
        self._rates.observe(now_s, work)
        self.load.observe(
            elapsed_s,
            reading.busy_cores,
            work,
            self._tenants,
            rates=self._rates.values,
            inflation=findings.inflation,
        )
        busy = work.own_cores if reading.busy_cores is None else reading.busy_cores
        clock = 1.0 if reading.clock_ratio is None else min(1.0, reading.clock_ratio)
        heating = busy * min(clock, 1 / findings.inflation if "throttling" in findings.named else 1)
        expected = self.model.forecast(heating, elapsed_s) if self.sensed else None
        fused = self._fusion.judge(now_s, reading.sensors, expected, heating)
        self.model.observe(now_s, heating, fused.die_c, noise_c=fused.noise_c)
        self._power.observe(now_s, reading, heating)
        self.sensed = self.sensed or fused.die_c is not None
        if not self.sensed or fused.lost:
            self._ceiling.look(
                now_s,
                elapsed_s,
                slowed="throttling" in findings.named,
                crowded=bool({"contention", "pressure"} & set(findings.named)),
                busy=busy,
                most=self._limits.cores,
            )
        return Sight(now_s, elapsed_s, reading, work, findings, fused, self.sensed and fused.lost)

    def remember(self, sight: Sight, now: Sequence[Option] | None) -> None:
        """See how much memory there is beside what runs."""
        self.memory.look(
            sight.now_s,
            pressed=sight.findings.memory_short,
            available_mb=sight.reading.memory_available_mb,
            in_use_mb=None if now is None else sum(option.memory_mb for option in now),
        )

    def budget(self, sight: Sight, choices: Choices) -> Budget:
        """What all constraints allow us at this tick."""
        load, limits, model = self.load, self._limits, self.model
        least = load.ratio * choices.floor_cores
        caps = self._caps(sight, least)
        if not self.sensed:
            allowed = tightest(caps)
            return Budget(allowed, allowed)
        now = choices.now
        at_floor = now is None or self.cores(now) <= least + SAME_CORES
        self._margin.look(sight.elapsed_s, model.die_c, limits.trip_c, at_floor=at_floor)
        limit_c = limits.trip_c - limits.margin_c - self._margin.extra_k
        stay = tightest([budget.heat_now(model, load, limit_c, limits.trip_c, least), *caps])
        if not isfinite(stay.cores):
            raise FloatingPointError("the model of the device's heat is no longer a number")
        overdue = now is None or self.cores(now) > stay.cores
        if overdue or sight.now_s - self._later_s >= LATER_EVERY_S:

            def worth(cores: float) -> float:
                return choices.worth(cores / load.ratio)

            self._later_s = sight.now_s
            self._later = budget.heat_later(model, load, limit_c, worth, least)
        soon = budget.heat_soon(model, load, limits.trip_c, least)
        return Budget(stay, tightest([stay, soon, self._later]))

    def _caps(self, sight: Sight, least: float) -> list[Cap]:
        """What constraints other than the known heat allow us.

        `least`: cores with which all still answer; heat that is only guessed at takes no more.
        """
        load, limits = self.load, self._limits
        caps = [budget.cpu(limits, load)]
        if isfinite(cores := self._power.limit_cores):
            caps.append(Cap("power", cores - load.foreign))
        if isfinite(cores := self._power.battery_cores):
            caps.append(Cap("battery", cores - load.bursts.mean))
        if sight.findings.undervoltage_held or sight.findings.overcurrent_held:
            caps.append(budget.undervoltage(limits))
        if isfinite(self._ceiling.cores):
            caps.append(Cap("sensors", max(least, self._ceiling.cores - load.foreign)))
        if not self.sensed and limits.cores_without_sensor is not None:
            caps.append(Cap("sensors", limits.cores_without_sensor))
        return caps

    def cores(self, chosen: Sequence[Option]) -> float:
        """Cores that a choice uses: by its costs, corrected by what was measured."""
        return self.load.ratio * sum(option.cores for option in chosen)

    def will_trip(self, cores: float) -> bool:
        """Whether the die is expected at the trip itself within seconds if we use so many cores."""
        forecast = self.model.forecast(self.load.foreign + cores, budget.NOW_S)
        return self.sensed and forecast.die_c >= self._limits.trip_c

    def facts(self, sight: Sight) -> dict[str, float]:
        """The state of all that was learned, for whoever wants to look."""
        load = self.load
        return {
            **(self.model.facts() if self.sensed else {}),
            **self._power.facts(),
            "inflation": sight.findings.inflation,
            "stretch": sight.findings.stretch,
            "foreign_cores": load.foreign,
            "foreign_mean_cores": load.bursts.mean,
            "burst_cores": load.bursts.height,
            "burst_length_s": load.bursts.length_s,
            "burst_share": load.bursts.share,
            "cost_ratio": load.ratio,
            "extra_margin_k": self._margin.extra_k,
        }
