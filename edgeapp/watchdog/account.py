"""A decision with everything that a person may ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.core.dial import Setting
from edgeapp.watchdog import budget, reasons
from edgeapp.watchdog.budget import Budget
from edgeapp.watchdog.calm import CLIMB_SHARE, LEAST_GAIN, Calm
from edgeapp.watchdog.checks import floor_of
from edgeapp.watchdog.choices import Choices, Wanted
from edgeapp.watchdog.detectors import CONTENTION
from edgeapp.watchdog.known import SAME_CORES, Known, Sight
from edgeapp.watchdog.ladder import Tenant
from edgeapp.watchdog.levels import HIGH_LOAD, headroom_of, level_of
from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.options import Option
from edgeapp.watchdog.tick import Binding, Decision

_WAITS = 1.1
"""Wall time of calls over what is usual from which on neighbours are the reason for late answers."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen at a tick, and how."""

    wanted: Wanted
    options: Sequence[Option]
    """One of each tenant."""
    why: str
    """Why something else than before; empty: it stays."""
    next_best: str
    urgent: bool
    infeasible: bool
    faults: int
    """Of the governor itself, so far."""


def decision_of(
    chosen: Chosen,
    sight: Sight,
    choices: Choices,
    allowed: Budget,
    *,
    known: Known,
    calm: Calm,
    limits: Limits,
) -> Decision:
    """What was chosen, and why."""
    load, options = known.load, chosen.options
    cores = known.cores(options)
    binding = _binding(options, sight, choices, allowed, known)
    soon = later = headroom = trip_in_s = None
    if known.sensed:
        soon = known.model.expect(load.foreign + cores, budget.SOON_S)
        later = known.model.expect(load.bursts.mean + cores, budget.LATER_S)
        headroom = headroom_of(soon, limits.trip_c)
        trip_in_s = known.model.time_to(limits.trip_c, load.foreign + cores)
    weight = choices.weight
    utility = sum(option.utility for option in options) / weight if weight > 0 else 1.0
    detectors = sight.findings.named
    if binding == "latency" and CONTENTION not in detectors and sight.findings.stretch >= _WAITS:
        detectors = (*detectors, CONTENTION)  # it decides already, before it is sure to last
    if sight.fused.alarm:
        detectors = (*detectors, "sensors")
    level = level_of(
        headroom=headroom,
        too_much=chosen.infeasible,
        lost=sight.lost,
        high_load=load.foreign + cores > HIGH_LOAD * limits.cores,
        at_floor=cores <= load.ratio * choices.floor_cores + SAME_CORES,
        slowed=bool(sight.reading.throttled) or "throttling" in sight.findings.named,
        less_than_best=binding != "none",
    )
    return Decision(
        settings=chosen.wanted.settings,
        paused=chosen.wanted.paused,
        urgent=chosen.urgent,
        changed=False,
        keep_standbys=known.memory.keep_standbys,
        level=level,
        reason=chosen.why or reasons.limited(binding, allowed.choose.cores),
        binding=binding,
        detectors=detectors,
        infeasible=chosen.infeasible,
        die_c=sight.fused.die_c,
        headroom=headroom,
        trip_in_s=trip_in_s,
        forecast_30s_c=soon,
        forecast_300s_c=later,
        cores_allowed=max(0.0, allowed.choose.cores),
        cores_chosen=cores,
        utility=min(1.0, utility),
        next_best=chosen.next_best,
        swap_price=calm.price(sight.now_s),
        swaps_last_h=calm.swaps(sight.now_s),
        trust=sight.fused.trusts,
        facts={**known.facts(sight), "faults": float(chosen.faults)},
    )


def floor_after(
    error: Exception, tenants: Sequence[Tenant], faults: int, calm: Calm, now_s: float
) -> Decision:
    """The floor, after something went wrong in the governor itself."""
    settings = {
        ladder.key: Setting(floor_of(ladder), ladder.divisors[-1])
        for tenant in tenants
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
        swap_price=calm.price(now_s),
        swaps_last_h=calm.swaps(now_s),
        facts={"faults": float(faults)},
    )


def _binding(
    options: Sequence[Option], sight: Sight, choices: Choices, allowed: Budget, known: Known
) -> Binding:
    """What keeps from choosing better."""
    have, almost = sum(option.utility for option in options), 1 - LEAST_GAIN
    best = choices.best
    binding: Binding = "none"
    if any(option.late for option in options):
        binding = "latency"
    elif have >= choices.weight * almost:
        pass
    elif sight.lost:
        binding = "sensors"
    elif known.cores(best) > CLIMB_SHARE * allowed.choose.cores:
        binding = allowed.choose.binding
    elif sum(option.memory_mb for option in best) > known.memory.cap_mb:
        binding = "memory"
    elif have >= sum(option.utility for option in best) * almost:
        kept = any(stage.pinned or stage.struck for stage in sight.work.stages.values())
        binding = "none" if kept else "latency"
    return binding
