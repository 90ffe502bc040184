"""The governor: hears what the device says, and decides what runs on it. Begin to read here.

Each second `Governor.step`

1. leaves out what cannot be true (`plausible`), and judges sensors and load (`trust`, `detectors`),
2. corrects its model of the device (`known`, `thermal_model`),
3. turns all that must hold into one currency, cores that we may use together (`budget`),
4. keeps what runs if that holds; else goes down, at once, to the best combination that holds for
   good (`choices`, `allocation`); raises rates as soon as there is room, which costs nothing, and
   changes models, seldom, when the forecast allows or asks for it (`calm`),
5. says why (`account`, `reasons`, `levels`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from edgeapp.core.clock import NS, Clock
from edgeapp.core.dial import Setting
from edgeapp.watchdog import budget, reasons
from edgeapp.watchdog.account import Chosen, decision_of, floor_after
from edgeapp.watchdog.allocation import Allocation, allocate
from edgeapp.watchdog.budget import Budget, Cap
from edgeapp.watchdog.calm import CLIMB_SHARE, LEAST_GAIN, THERE_AND_BACK, Calm
from edgeapp.watchdog.checks import floor_of, impossible
from edgeapp.watchdog.choices import Choices, Chooser, Wanted
from edgeapp.watchdog.known import SAME_CORES, Known, Sight
from edgeapp.watchdog.ladder import CLOSED, Ladder, LadderError, Tenant
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.options import Option
from edgeapp.watchdog.tick import Binding, Decision, Reading, Work

FORECASTS = 5
"""Ticks in a row whose forecasts must all allow a climb."""
RETURN_FORECASTS = 3
"""The same for raising rates, which can be taken back at any tick."""
AHEAD = 1.15
"""Of what will hold for good, what may run until the next burst without models being changed."""
SHORT_S = 20.0
"""Of a burst, what is thought to be left of it at least."""
INFEASIBLE_TICKS = 5
"""In a row, before it is said that even the floor is too much, and that it no longer is."""

_PREEMPTS: frozenset[Binding] = frozenset({"heat_30s", "sensors", "undervoltage"})
"""What goes before what a person pinned: it cannot wait."""


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
        """Know nothing of the device, and want nothing yet."""
        self._known = Known(self._tenants, self._limits, self._prior)
        self._calm = Calm(self._limits.swaps_per_h)
        self._chooser = Chooser()
        self._wanted: Wanted | None = None
        self._urgent = False
        self._next_best = ""
        self._for_burst = False
        self._stays: deque[Cap] = deque(maxlen=FORECASTS)
        self._allowed: deque[Cap] = deque(maxlen=FORECASTS)
        self._unlike = 0
        self._infeasible = False

    def replace(self, tenants: Sequence[Tenant]) -> None:
        """Govern these from the next step on; what was learned of the device stays.

        Raises:
            LadderError: they make no sense; the old ones stay.
        """
        self._tenants = self._checked(tenants)
        self._known.replace(self._tenants)
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
        known = self._known
        sight = known.look(self._now_s, elapsed_s, reading, work)
        choices = self._choices(sight, obey_pins=not self._urgent)
        now = choices.now
        known.remember(sight, now)
        allowed = known.budget(sight, choices)
        self._stays.append(allowed.stay)
        if known.load.bursts.age_s is None:
            self._allowed.append(allowed.choose)
        else:
            self._allowed.clear()  # models are not chosen by what a burst leaves
        first = self._wanted is None
        least = known.load.ratio * choices.least_cores
        if now is None or first or self._has_to_go(sight, now, allowed, least):
            chosen, why = self._give_way(sight, now, allowed, first=first)
        elif better := self._return(sight, choices, now) or self._climb(sight, choices, now):
            chosen, why = better.chosen, self._why_better(better)
        else:
            chosen, why = now, ""
        wanted = self._want(sight, chosen)
        self._note_feasible(least > allowed.stay.cores)
        told = Chosen(
            wanted, chosen, why, self._next_best, self._urgent, self._infeasible, self._faults
        )
        return decision_of(
            told, sight, choices, allowed, known=known, calm=self._calm, limits=self._limits
        )

    def _fault(self, error: Exception) -> Decision:
        """The floor; what was learned is not trusted any more."""
        self._faults += 1
        self._start()
        return floor_after(error, self._tenants, self._faults, self._calm, self._now_s)

    def _choices(self, sight: Sight, *, obey_pins: bool) -> Choices:
        return self._chooser.look(
            self._tenants,
            sight.work,
            self._wanted,
            rates=self._known.rates,
            inflation=sight.findings.inflation,
            stretch=sight.findings.stretch,
            standbys=self._known.memory.keep_standbys,
            obey_pins=obey_pins,
        )

    def _has_to_go(
        self, sight: Sight, now: Sequence[Option], allowed: Budget, least: float
    ) -> bool:
        """Whether what is wanted already cannot stay.

        `least`: cores with all that may be closed at rest; less cannot be had.
        """
        if sum(option.memory_mb for option in now) > self._known.memory.cap_mb:
            return True
        cores = self._known.cores(now)
        if cores > allowed.stay.cores:
            # Whoever gave way a second ago, before a neighbour came, waits for nothing.
            at_stake = cores > least + SAME_CORES and self._known.will_trip(cores)
            return at_stake or self._calm.may_shed(sight.now_s)
        return self._has_to_prepare(sight, now)

    def _has_to_prepare(self, sight: Sight, now: Sequence[Option]) -> bool:
        """Whether the next burst will take more than lower rates of these models can give."""
        if len(self._allowed) < FORECASTS or self._known.load.bursts.share < budget.SELDOM:
            return False
        most = max(0.0, *(cap.cores for cap in self._allowed))
        return self._known.cores(now) > AHEAD * most and self._calm.may_climb(sight.now_s)

    def _give_way(
        self, sight: Sight, now: Sequence[Option] | None, allowed: Budget, *, first: bool
    ) -> tuple[tuple[Option, ...], str]:
        """In one step to the best combination that holds for good, and why."""
        self._calm.tried_to_shed(sight.now_s)
        self._for_burst = self._known.load.bursts.age_s is not None
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
        if allowed.stay.binding == "heat_30s" and self._known.cores(now) > allowed.stay.cores:
            then = self._known.load.foreign + self._known.cores(now)
            die_c = self._known.model.expect(then, budget.SOON_S)
            return found.chosen, reasons.too_hot(die_c, self._limits.trip_c)
        if self._known.cores(now) > allowed.stay.cores:
            return found.chosen, reasons.limited(allowed.stay.binding, allowed.stay.cores)
        if sum(option.memory_mb for option in now) > self._known.memory.cap_mb:
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
        enough = sum(option.utility for option in now) + LEAST_GAIN * choices.weight
        if choices.most_of_same_models <= enough:
            return None
        cores = CLIMB_SHARE * min(cap.cores for cap in list(caps)[-RETURN_FORECASTS:])
        found = self._solve(choices.of_same_models, cores, 0.0)
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
        # What a burst had taken is worth having until the next one.
        quiet_s = min(budget.LATER_S, self._known.load.bursts.gap_s) if self._for_burst else 0.0
        price = self._calm.price_of_waiting(sight.now_s, quiet_s) * choices.weight
        found = self._solve(choices.groups, cores, price)
        self._remember_next(choices, found)
        gain = found.utility - price * found.swaps - have
        return found if found.feasible and gain > least_gain else None

    def _price_of_giving_way(self, sight: Sight, choices: Choices) -> float:
        """Of a swap: less where it is for long, more for a burst that rates can get us through."""
        bursts = self._known.load.bursts
        lasts_s = budget.LATER_S
        if bursts.age_s is not None:
            lasts_s = max(SHORT_S, bursts.left_s) / THERE_AND_BACK
        return self._calm.price_for(sight.now_s, lasts_s) * choices.weight

    def _solve(self, groups: Sequence[Sequence[Option]], cores: float, price: float) -> Allocation:
        cap_mb = self._known.memory.cap_mb
        return allocate(
            groups,
            cores=cores / self._known.load.ratio,
            memory_mb=cap_mb if isfinite(cap_mb) else None,
            price=price,
        )

    def _remember_next(self, choices: Choices, found: Allocation) -> None:
        second = found.runner_up
        self._next_best = "" if second is None else reasons.combination(choices.tenants, second)

    def _want(self, sight: Sight, chosen: Sequence[Option]) -> Wanted:
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
        return self._wanted

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
        cores = self._known.load.bursts.mean + self._known.cores(better.chosen)
        if not self._known.sensed:
            return reasons.FITS
        return reasons.holds(self._known.model.expect(cores, budget.LATER_S))

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
