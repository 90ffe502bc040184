"""The governor: hears what the device says, and decides what runs on it. Begin to read here.

Each second `Governor.step`

1. leaves out what cannot be true (`plausible`), and judges sensors and load (`trust`, `detectors`),
2. corrects its model of the device (`thermal_model`),
3. turns all that must hold into one currency, cores that we may use together (`budget`),
4. keeps what runs if that holds; else goes down, at once, to the best combination that holds for
   good (`choices`, `allocation`); raises rates as soon as there is room, which costs nothing, and
   changes models, seldom, when the forecast allows or asks for it (`calm`),
5. says why (`reasons`, `levels`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

from edgeapp.core.clock import NS, Clock
from edgeapp.core.dial import Setting
from edgeapp.watchdog import budget, reasons
from edgeapp.watchdog.allocation import Allocation, allocate
from edgeapp.watchdog.budget import NOTHING_BINDS, Budget, Cap, tightest
from edgeapp.watchdog.calm import THERE_AND_BACK, Calm
from edgeapp.watchdog.ceiling import Ceiling
from edgeapp.watchdog.checks import floor_of, impossible
from edgeapp.watchdog.choices import Choices, Chooser, Wanted
from edgeapp.watchdog.detectors import Detectors, Findings
from edgeapp.watchdog.ladder import CLOSED, Ladder, LadderError, Tenant
from edgeapp.watchdog.levels import HIGH_LOAD, headroom_of, level_of
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.load import Load
from edgeapp.watchdog.margin import Margin
from edgeapp.watchdog.memory import Memory
from edgeapp.watchdog.options import Option
from edgeapp.watchdog.plausible import plausible_reading, plausible_work
from edgeapp.watchdog.power import Power
from edgeapp.watchdog.rates import Rates
from edgeapp.watchdog.thermal_model import ThermalModel
from edgeapp.watchdog.tick import Binding, Decision, Reading, Work
from edgeapp.watchdog.trust import Fused, Fusion

FORECASTS = 5
"""Ticks in a row whose forecasts must all allow a climb."""
RETURN_FORECASTS = 3
"""The same for raising rates, which can be taken back at any tick."""
LATER_EVERY_S = 5.0
"""How often it is worked out what holds for good; it changes slowly."""
CLIMB_SHARE = 0.985
"""Of what is allowed, what a climb may use: noise shall not take it back."""
LEAST_GAIN = 0.002
"""Of all utility, below which nothing is changed for the better."""
AHEAD = 1.15
"""Of what will hold for good, what may run until the next burst without models being changed."""
SHORT_S = 20.0
"""Of a burst, what is thought to be left of it at least."""
INFEASIBLE_TICKS = 5
"""In a row, before it is said that even the floor is too much, and that it no longer is."""

_SAME_CORES = 1e-6
_PREEMPTS: frozenset[Binding] = frozenset({"heat_30s", "sensors", "undervoltage"})
"""What goes before what a person pinned: it cannot wait."""


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


class Governor:
    """Chooses, each second, the best answers that heat, power and load allow. One thread.

    It does no input or output, and nothing is ever raised by `step`: what goes wrong in there means
    the floor, and is said.

    Raises:
        LadderError: tenants, limits or prior make no sense; a sentence for each mistake.
    """

    def __init__(
        self, tenants: Sequence[Tenant], limits: Limits, prior: Prior, clock: Clock
    ) -> None:
        self._limits = limits
        self._prior = prior
        self._clock = clock
        self._read_ns: int | None = None
        self._now_s = 0.0
        self._last: Decision | None = None
        self._faults = 0
        self._tenants = self._checked(tenants)
        self._start()

    def _start(self) -> None:
        """Know nothing of the device; what is wanted, and how calm it was, stays."""
        limits, prior = self._limits, self._prior
        self._model = ThermalModel(prior)
        self._fusion = Fusion(prior)
        self._detectors = Detectors(self._tenants, limits)
        self._rates = Rates(self._tenants)
        self._load = Load()
        self._power = Power(limits, prior)
        self._ceiling = Ceiling()
        self._margin = Margin()
        self._memory = Memory(limits.memory_reserve_mb)
        self._calm = Calm(limits.swaps_per_h)
        self._chooser = Chooser()
        self._wanted: Wanted | None = None
        self._urgent = False
        self._next_best = ""
        self._sensed = False
        self._for_burst = False
        self._stays: deque[Cap] = deque(maxlen=FORECASTS)
        self._allowed: deque[Cap] = deque(maxlen=FORECASTS)
        self._later = NOTHING_BINDS
        self._later_s = -inf
        self._unlike = 0
        self._infeasible = False

    def replace(self, tenants: Sequence[Tenant]) -> None:
        """Govern these from the next step on; what was learned of the device stays.

        Raises:
            LadderError: they make no sense; the old ones stay.
        """
        self._tenants = self._checked(tenants)
        self._detectors.replace(self._tenants)
        self._rates.replace(self._tenants)
        if self._wanted is not None:
            self._wanted = _carried(self._wanted, self._tenants)

    def step(self, reading: Reading, work: Work) -> Decision:
        """Hear what the device says and what the application did, and decide. Once a second.

        Ticks may be late or left out. At the same time, or after a clock that went back, the last
        decision is given again.
        """
        now_ns = self._clock.now_ns()
        elapsed_s = 1.0 if self._read_ns is None else (now_ns - self._read_ns) / NS
        self._read_ns = now_ns
        if elapsed_s <= 0 and self._last is not None:
            return replace(self._last, changed=False)
        self._now_s += max(elapsed_s, 0.0)
        try:
            decision = self._decide(elapsed_s, reading, work)
        except Exception as error:  # noqa: BLE001 - whatever it is, the device must stay governed
            decision = self._fault(error)
        before, self._last = self._last, decision
        changed = (
            before is None
            or before.settings != decision.settings
            or before.paused != decision.paused
        )
        return decision if changed == decision.changed else replace(decision, changed=changed)

    def _decide(self, elapsed_s: float, reading: Reading, work: Work) -> Decision:
        sight = self._look(elapsed_s, plausible_reading(reading), work)
        choices = self._choices(sight, obey_pins=not self._urgent)
        now = choices.now
        self._memory.look(
            sight.now_s,
            pressed=sight.findings.memory_short,
            available_mb=sight.reading.memory_available_mb,
            in_use_mb=None if now is None else sum(option.memory_mb for option in now),
        )
        allowed = self._budget(sight, choices)
        self._stays.append(allowed.stay)
        if self._load.bursts.age_s is None:
            self._allowed.append(allowed.choose)
        else:
            self._allowed.clear()  # models are not chosen by what a burst leaves
        first = self._wanted is None
        if now is None or first or self._has_to_go(sight, now, allowed):
            chosen, why = self._give_way(sight, now, allowed, first=first)
        elif better := self._return(sight, choices, now) or self._climb(sight, choices, now):
            chosen, why = better.chosen, self._why_better(better)
        else:
            chosen, why = now, ""
        self._want(sight, chosen)
        return self._say(sight, choices, chosen, allowed, why)

    def _look(self, elapsed_s: float, reading: Reading, work: Work) -> Sight:
        """Learn from what is told."""
        now_s = self._now_s
        work = plausible_work(work, self._tenants)
        findings = self._detectors.look(now_s, reading, work)
        self._rates.observe(now_s, work)
        self._load.observe(
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
        expected = self._model.forecast(heating, elapsed_s) if self._sensed else None
        fused = self._fusion.judge(now_s, reading.sensors, expected, heating)
        self._model.observe(now_s, heating, fused.die_c, noise_c=fused.noise_c)
        self._power.observe(now_s, reading, heating)
        self._sensed = self._sensed or fused.die_c is not None
        if not self._sensed or fused.lost:
            self._ceiling.look(
                now_s,
                elapsed_s,
                slowed="throttling" in findings.named,
                busy=busy,
                most=self._limits.cores,
            )
        return Sight(now_s, elapsed_s, reading, work, findings, fused, self._sensed and fused.lost)

    def _choices(self, sight: Sight, *, obey_pins: bool) -> Choices:
        return self._chooser.look(
            self._tenants,
            sight.work,
            self._wanted,
            rates=self._rates.values,
            inflation=sight.findings.inflation,
            stretch=sight.findings.stretch,
            standbys=self._memory.keep_standbys,
            obey_pins=obey_pins,
        )

    def _budget(self, sight: Sight, choices: Choices) -> Budget:
        """What all constraints allow us at this tick."""
        load, limits, model = self._load, self._limits, self._model
        caps = self._caps(sight)
        if not self._sensed:
            allowed = tightest(caps)
            return Budget(allowed, allowed)
        least, now = load.ratio * choices.floor_cores, choices.now
        at_floor = now is None or self._cores(now) <= least + _SAME_CORES
        self._margin.look(sight.elapsed_s, model.die_c, limits.trip_c, at_floor=at_floor)
        limit_c = limits.trip_c - limits.margin_c - self._margin.extra_k
        stay = tightest([budget.heat_now(model, load, limit_c, limits.trip_c, least), *caps])
        if not isfinite(stay.cores):
            raise FloatingPointError("the model of the device's heat is no longer a number")
        overdue = now is None or self._cores(now) > stay.cores
        if overdue or sight.now_s - self._later_s >= LATER_EVERY_S:

            def worth(cores: float) -> float:
                return choices.worth(cores / load.ratio)

            self._later_s = sight.now_s
            self._later = budget.heat_later(model, load, limit_c, worth, least)
        soon = budget.heat_soon(model, load, limits.trip_c, least)
        return Budget(stay, tightest([stay, soon, self._later]))

    def _caps(self, sight: Sight) -> list[Cap]:
        """What constraints other than the known heat allow us."""
        load, limits = self._load, self._limits
        caps = [budget.cpu(limits, load)]
        if isfinite(cores := self._power.limit_cores):
            caps.append(Cap("power", cores - load.foreign))
        if isfinite(cores := self._power.battery_cores):
            caps.append(Cap("battery", cores - load.bursts.mean))
        if sight.findings.undervoltage_held or sight.findings.overcurrent_held:
            caps.append(budget.undervoltage(limits))
        if isfinite(self._ceiling.cores):
            caps.append(Cap("sensors", self._ceiling.cores - load.foreign))
        if not self._sensed and limits.cores_without_sensor is not None:
            caps.append(Cap("sensors", limits.cores_without_sensor))
        return caps

    def _cores(self, chosen: Sequence[Option]) -> float:
        """Cores that a choice uses: by its costs, corrected by what was measured."""
        return self._load.ratio * sum(option.cores for option in chosen)

    def _has_to_go(self, sight: Sight, now: Sequence[Option], allowed: Budget) -> bool:
        """Whether what is wanted already cannot stay."""
        if sum(option.memory_mb for option in now) > self._memory.cap_mb:
            return True
        if self._cores(now) > allowed.stay.cores:
            return self._calm.may_shed(sight.now_s)
        return self._has_to_prepare(sight, now)

    def _has_to_prepare(self, sight: Sight, now: Sequence[Option]) -> bool:
        """Whether the next burst will take more than lower rates of these models can give."""
        if len(self._allowed) < FORECASTS or self._load.bursts.share < budget.SELDOM:
            return False
        most = max(0.0, *(cap.cores for cap in self._allowed))
        return self._cores(now) > AHEAD * most and self._calm.may_climb(sight.now_s)

    def _give_way(
        self, sight: Sight, now: Sequence[Option] | None, allowed: Budget, *, first: bool
    ) -> tuple[tuple[Option, ...], str]:
        """In one step to the best combination that holds for good, and why."""
        self._calm.tried_to_shed(sight.now_s)
        self._for_burst = self._load.bursts.age_s is not None
        choices = self._choices(sight, obey_pins=True)
        # At first nothing is known of the minutes to come, and nothing has to be changed yet.
        cap = allowed.stay if first else allowed.choose
        price = 0.0 if first else self._price_of_giving_way(sight, choices)
        found = self._solve(choices.groups, cap.cores, price)
        self._urgent = False
        if not found.feasible and any(stage.pinned for stage in sight.work.stages.values()):
            found = self._solve(choices.groups, allowed.stay.cores, price)
            if not found.feasible and allowed.stay.binding in _PREEMPTS:
                choices = self._choices(sight, obey_pins=False)
                found = self._solve(choices.groups, cap.cores, price)
                self._urgent = True
        self._remember_next(choices, found)
        if first or now is None:
            return found.chosen, "" if first else self._why_unfit(sight)
        if allowed.stay.binding == "heat_30s" and self._cores(now) > allowed.stay.cores:
            then = self._load.foreign + self._cores(now)
            die_c = self._model.forecast(then, budget.SOON_S).die_c
            return found.chosen, reasons.too_hot(die_c, self._limits.trip_c)
        if self._cores(now) > allowed.stay.cores:
            return found.chosen, reasons.limited(allowed.stay.binding, allowed.stay.cores)
        if sum(option.memory_mb for option in now) > self._memory.cap_mb:
            return found.chosen, reasons.limited("memory", 0.0)
        return found.chosen, reasons.PREPARED

    def _return(self, sight: Sight, choices: Choices, now: Sequence[Option]) -> Allocation | None:
        """The same models more often, as soon as there is room.

        What a burst had taken comes back by what is allowed now: it was chosen to hold for good.
        """
        caps = self._stays if self._for_burst else self._allowed
        if len(caps) < FORECASTS or not self._calm.may_return(sight.now_s):
            return None
        if sight.lost or self._urgent or sight.findings.undervoltage_held:
            return None
        groups = [[option for option in group if option.swaps == 0] for group in choices.groups]
        enough = sum(option.utility for option in now) + LEAST_GAIN * choices.weight
        if sum(max(option.utility for option in group) for group in groups) <= enough:
            return None
        cores = CLIMB_SHARE * min(cap.cores for cap in list(caps)[-RETURN_FORECASTS:])
        found = self._solve(groups, cores, 0.0)
        return found if found.feasible and found.utility > enough else None

    def _climb(self, sight: Sight, choices: Choices, now: Sequence[Option]) -> Allocation | None:
        """Something better that holds for good and is worth its swaps; seldom looked for."""
        have = sum(option.utility for option in now)
        best = sum(option.utility for option in choices.best)
        least_gain = LEAST_GAIN * choices.weight
        if have >= best - least_gain and not self._urgent:
            return None
        if sight.lost or not self._calm.may_climb(sight.now_s):
            return None
        if len(self._allowed) < FORECASTS or sight.findings.undervoltage_held:
            return None
        self._calm.tried_to_climb(sight.now_s)
        cores = CLIMB_SHARE * min(cap.cores for cap in self._allowed)
        if self._urgent:
            pinned = self._solve(self._choices(sight, obey_pins=True).groups, cores, 0.0)
            if pinned.feasible:
                self._urgent = False
                return pinned
        price = self._calm.price_of_waiting(sight.now_s) * choices.weight
        found = self._solve(choices.groups, cores, price)
        self._remember_next(choices, found)
        gain = found.utility - price * found.swaps - have
        return found if found.feasible and gain > least_gain else None

    def _price_of_giving_way(self, sight: Sight, choices: Choices) -> float:
        """Of a swap: less where it is for long, more for a burst that rates can get us through."""
        bursts = self._load.bursts
        lasts_s = budget.LATER_S
        if bursts.age_s is not None:
            lasts_s = max(SHORT_S, bursts.left_s) / THERE_AND_BACK
        return self._calm.price_for(sight.now_s, lasts_s) * choices.weight

    def _solve(self, groups: Sequence[Sequence[Option]], cores: float, price: float) -> Allocation:
        cap_mb = self._memory.cap_mb
        return allocate(
            groups,
            cores=cores / self._load.ratio,
            memory_mb=cap_mb if isfinite(cap_mb) else None,
            price=price,
        )

    def _remember_next(self, choices: Choices, found: Allocation) -> None:
        second = found.runner_up
        self._next_best = "" if second is None else reasons.combination(choices.tenants, second)

    def _want(self, sight: Sight, chosen: Sequence[Option]) -> None:
        """Remember what is wanted, and when it became something else."""
        before = self._wanted
        stopped = sight.work.paused - (before.paused if before is not None else frozenset())
        paused = frozenset(
            tenant.name
            for tenant, option in zip(self._tenants, chosen, strict=True)
            if option.paused and tenant.name not in stopped and not tenant.critical
        )
        settings = {
            ladder.key: _possible(
                tenant, ladder, option.settings[ladder.key], sight.work.stages[ladder.key].struck
            )
            for tenant, option in zip(self._tenants, chosen, strict=True)
            for ladder in tenant.ladders
        }
        self._wanted = Wanted(settings, paused)
        if before is not None and self._wanted != before:
            held = before.settings
            swaps = sum(key in held and held[key].rung != s.rung for key, s in settings.items())
            self._calm.note(sight.now_s, swaps=swaps)

    def _say(
        self,
        sight: Sight,
        choices: Choices,
        chosen: Sequence[Option],
        allowed: Budget,
        why: str,
    ) -> Decision:
        """What is decided, with everything that a person may ask about it."""
        assert self._wanted is not None
        limits, load, now_s = self._limits, self._load, sight.now_s
        cores = self._cores(chosen)
        binding = self._binding(sight, choices, chosen, allowed)
        least = load.ratio * choices.least_cores
        self._note_feasible(least > allowed.stay.cores)
        soon = later = headroom = trip_in_s = None
        if self._sensed:
            soon = self._model.forecast(load.foreign + cores, budget.SOON_S).die_c
            later = self._model.forecast(load.bursts.mean + cores, budget.LATER_S).die_c
            headroom = headroom_of(soon, limits.trip_c)
            trip_in_s = self._model.time_to(limits.trip_c, load.foreign + cores)
        weight = choices.weight
        utility = sum(option.utility for option in chosen) / weight if weight > 0 else 1.0
        detectors = sight.findings.named
        if sight.fused.alarm:
            detectors = (*detectors, "sensors")
        level = level_of(
            headroom=headroom,
            too_much=self._infeasible,
            lost=sight.lost,
            high_load=load.foreign + cores > HIGH_LOAD * limits.cores,
            at_floor=cores <= load.ratio * choices.floor_cores + _SAME_CORES,
            slowed=bool(sight.reading.throttled) or "throttling" in sight.findings.named,
            less_than_best=binding != "none",
        )
        return Decision(
            settings=self._wanted.settings,
            paused=self._wanted.paused,
            urgent=self._urgent,
            changed=False,
            keep_standbys=self._memory.keep_standbys,
            level=level,
            reason=why or reasons.limited(binding, allowed.choose.cores),
            binding=binding,
            detectors=detectors,
            infeasible=self._infeasible,
            die_c=sight.fused.die_c,
            headroom=headroom,
            trip_in_s=trip_in_s,
            forecast_30s_c=soon,
            forecast_300s_c=later,
            cores_allowed=max(0.0, allowed.choose.cores),
            cores_chosen=cores,
            utility=min(1.0, utility),
            next_best=self._next_best,
            swap_price=self._calm.price(now_s),
            swaps_last_h=self._calm.swaps(now_s),
            trust=sight.fused.trusts,
            facts=self._facts(sight),
        )

    def _binding(
        self, sight: Sight, choices: Choices, chosen: Sequence[Option], allowed: Budget
    ) -> Binding:
        """What keeps it from choosing better."""
        have, almost = sum(option.utility for option in chosen), 1 - LEAST_GAIN
        best = choices.best
        binding: Binding = "none"
        if any(option.late for option in chosen):
            binding = "latency"
        elif have >= choices.weight * almost:
            pass
        elif sight.lost:
            binding = "sensors"
        elif self._cores(best) > CLIMB_SHARE * allowed.choose.cores:
            binding = allowed.choose.binding
        elif sum(option.memory_mb for option in best) > self._memory.cap_mb:
            binding = "memory"
        elif have >= sum(option.utility for option in best) * almost:
            kept = any(stage.pinned or stage.struck for stage in sight.work.stages.values())
            binding = "none" if kept else "latency"
        return binding

    def _note_feasible(self, too_much: bool) -> None:
        """Say that even the floor is too much when it has been for some ticks in a row."""
        if too_much == self._infeasible:
            self._unlike = 0
            return
        self._unlike += 1
        if self._unlike >= INFEASIBLE_TICKS:
            self._unlike, self._infeasible = 0, too_much

    def _why_unfit(self, sight: Sight) -> str:
        """Why what was wanted cannot stay, whatever the heat."""
        held = {} if self._wanted is None else self._wanted.settings
        for key, stage in sight.work.stages.items():
            wanted = held.get(key, stage.actual)
            if wanted.rung in stage.struck:
                return reasons.struck(key)
            if stage.pinned is not None and stage.pinned != wanted:
                return reasons.pinned(key)
        return reasons.limited("latency", 0.0)

    def _why_better(self, better: Allocation) -> str:
        cores = self._load.bursts.mean + self._cores(better.chosen)
        if not self._sensed:
            return reasons.FITS
        return reasons.holds(self._model.forecast(cores, budget.LATER_S).die_c)

    def _facts(self, sight: Sight) -> dict[str, float]:
        """The state of all that was learned, for whoever wants to look."""
        load = self._load
        return {
            **(self._model.facts() if self._sensed else {}),
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
            "faults": float(self._faults),
        }

    def _fault(self, error: Exception) -> Decision:
        """The floor, after something went wrong in here; what was learned is not trusted any more."""
        self._faults += 1
        self._start()
        settings = {
            ladder.key: Setting(floor_of(ladder), ladder.divisors[-1])
            for tenant in self._tenants
            for ladder in tenant.ladders
        }
        return Decision(
            settings=settings,
            paused=frozenset(),
            urgent=False,
            changed=True,
            keep_standbys=True,
            level="serious",
            reason=reasons.failed(error),
            binding="fault",
            detectors=("fault",),
            infeasible=False,
            die_c=None,
            headroom=None,
            trip_in_s=None,
            forecast_30s_c=None,
            forecast_300s_c=None,
            cores_allowed=0.0,
            cores_chosen=0.0,
            utility=0.0,
            next_best="",
            swap_price=self._calm.price(self._now_s),
            swaps_last_h=self._calm.swaps(self._now_s),
            facts={"faults": float(self._faults)},
        )

    def _checked(self, tenants: Sequence[Tenant]) -> tuple[Tenant, ...]:
        if problems := impossible(tenants, self._limits, self._prior):
            raise LadderError(problems)
        return tuple(tenants)


def _possible(tenant: Tenant, ladder: Ladder, setting: Setting, struck: frozenset[int]) -> Setting:
    """The setting, unless a stage that rests now could not begin again with it."""
    if setting.rung in struck and len(struck) < len(ladder.rungs):
        setting = Setting(floor_of(ladder, struck), setting.divisor)
    if setting.divisor == CLOSED and tenant.critical:
        setting = Setting(setting.rung, ladder.divisors[-1])
    return setting


def _carried(wanted: Wanted, tenants: Sequence[Tenant]) -> Wanted:
    """What was wanted, as far as it is still possible."""
    ladders = [ladder for tenant in tenants for ladder in tenant.ladders]
    kept = {
        ladder.key: wanted.settings[ladder.key]
        for ladder in ladders
        if ladder.key in wanted.settings
        and wanted.settings[ladder.key].rung < len(ladder.rungs)
        and wanted.settings[ladder.key].divisor in {CLOSED, *ladder.divisors}
    }
    return Wanted(kept, wanted.paused & {tenant.name for tenant in tenants})
