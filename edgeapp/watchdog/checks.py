"""What is wrong with ladders, limits and priors: sentences that say where, what, and what to do."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.options import LANE_SHARE

COLDEST_TRIP_C, HOTTEST_TRIP_C = 40.0, 125.0
"""Where a trip can be: silicon is rated to 125 °C, and below 40 °C a board in the sun is always."""
MOST_MARGIN_C = 30.0
COLDEST_AMBIENT_C = -90.0
MEMORY_NOISE_MB = 2.0
"""By how much what a small model takes differs from one measurement to the next."""
_COSTS = (("cpu_s", " s"), ("call_cpu_s", " s"), ("wall_s", " s"), ("memory_mb", " MB"))
_BENCH = "measure again with 'edgeapp bench'"


def impossible(tenants: Sequence[Tenant], limits: Limits, prior: Prior) -> list[str]:
    """What nobody could plan with: a sentence for each mistake, all of them; empty: there is none."""
    return [*_limits_impossible(limits), *_prior_impossible(prior), *_tenants_impossible(tenants)]


def complaints(tenants: Sequence[Tenant], limits: Limits, prior: Prior) -> list[str]:
    """What is possible and yet cannot be meant, or cannot be kept: a sentence for each.

    To be told; the governor makes the best of it. A rung that another one of its ladder is as good
    as in everything is never chosen. For tenants, limits and priors that are not `impossible`.
    """
    found = list(_limits_doubtful(limits, prior))
    for tenant in tenants:
        if tenant.weight == 0:
            found.append(
                f"pipeline '{tenant.name}': its weight is 0, so it is always the first to be "
                f"stopped; give it a weight above 0"
            )
        for ladder in tenant.ladders:
            found += _ladder_doubtful(ladder)
    floor = sum(tenant.base_cores + sum(map(_floor_cores, tenant.ladders)) for tenant in tenants)
    room = limits.cpu_share * limits.cores
    if floor > room:
        found.append(
            f"all pipelines: on their cheapest variants and lowest rates they need {floor:.2f} cores, "
            f"and {room:.2f} may be used; run fewer, add cheaper variants or lower the rates of "
            f"their sources"
        )
    return found


def floor_of(ladder: Ladder, struck: frozenset[int] = frozenset()) -> int:
    """The cheapest rung that can be used, and the best of equally cheap ones.

    Usually the last one; not where a ladder is in no good order. The last one where all are struck.
    """
    usable = [index for index in range(len(ladder.rungs)) if index not in struck]
    if not usable:
        return len(ladder.rungs) - 1
    return min(usable, key=lambda i: (ladder.rungs[i].cpu_s, -ladder.rungs[i].accuracy))


def _number(where: str, name: str, value: float, unit: str = "", *, above: bool = False) -> str:
    """The complaint about a number that is not finite or below 0 (`above`: not above 0), or ""."""
    if math.isfinite(value) and (value > 0 or (value == 0 and not above)):
        return ""
    least = "above 0" if above else "0 or more"
    return f"{where}: {name} is {value:g}{unit}; it must be a number {least}"


def _trip(where: str, trip_c: float) -> str:
    if COLDEST_TRIP_C <= trip_c <= HOTTEST_TRIP_C:
        return ""
    return (
        f"{where}: trip_c is {trip_c:g} °C, where no processor begins to slow down; give a "
        f"temperature from {COLDEST_TRIP_C:g} to {HOTTEST_TRIP_C:g} °C"
    )


def _said(texts: Iterable[str]) -> Iterator[str]:
    return (text for text in texts if text)


def _limits_impossible(limits: Limits) -> Iterator[str]:
    where = "limits"
    if limits.cores < 1:
        yield f"limits: cores is {limits.cores}; a device has at least one"
    if not 0 < limits.cpu_share <= 1:
        yield f"limits: cpu_share is {limits.cpu_share:g}; it must be above 0 and at most 1"
    yield from _said((_trip(where, limits.trip_c), _number(where, "margin_c", limits.margin_c)))
    if limits.margin_c > MOST_MARGIN_C:
        yield (
            f"limits: margin_c is {limits.margin_c:g} K, more than {MOST_MARGIN_C:g}: hardly "
            f"anything could run; a few kelvin are enough"
        )
    yield from _said(
        (
            _number(where, "memory_reserve_mb", limits.memory_reserve_mb),
            _number(where, "swaps_per_h", limits.swaps_per_h, above=True),
        )
    )
    if limits.power_w is not None:
        yield from _said((_number(where, "power_w", limits.power_w, " W", above=True),))
    if limits.cores_without_sensor is not None:
        yield from _said((_number(where, "cores_without_sensor", limits.cores_without_sensor),))
    if (battery := limits.battery) is not None:
        yield from _said((_number("limits: battery", "for_s", battery.for_s, " s", above=True),))
        if not 0 <= battery.reserve < 1:
            yield (
                f"limits: battery: reserve is {battery.reserve:g}; it is a fraction of the full "
                f"charge, at least 0 and below 1"
            )
        if battery.capacity_wh is not None:
            yield from _said(
                (_number("limits: battery", "capacity_wh", battery.capacity_wh, " Wh", above=True),)
            )


def _prior_impossible(prior: Prior) -> Iterator[str]:
    where = f"prior of board '{prior.board}'"
    yield from _said((_trip(where, prior.trip_c),))
    for name in ("board_k_per_core", "board_tau_s", "die_tau_s", "core_w"):
        yield from _said((_number(where, name, getattr(prior, name), above=True),))
    for name in ("idle_k", "die_k_per_core", "idle_w"):
        yield from _said((_number(where, name, getattr(prior, name)),))
    if not COLDEST_AMBIENT_C <= prior.ambient_c <= HOTTEST_TRIP_C:
        yield (
            f"{where}: ambient_c is {prior.ambient_c:g} °C, which is nowhere on earth; give the "
            f"temperature about the device, such as 25"
        )


def _tenants_impossible(tenants: Sequence[Tenant]) -> Iterator[str]:
    names: set[str] = set()
    for tenant in tenants:
        where = f"pipeline '{tenant.name}'"
        if tenant.name in names:
            yield f"{where}: there are two of this name; rename one"
        names.add(tenant.name)
        yield from _said(
            (
                _number(where, "weight", tenant.weight),
                _number(where, "base_cores", tenant.base_cores),
            )
        )
        stages: set[str] = set()
        for ladder in tenant.ladders:
            if ladder.pipeline != tenant.name:
                yield (
                    f"{where}: the ladder of stage '{ladder.stage}' is one of pipeline "
                    f"'{ladder.pipeline}'; put it there"
                )
            if ladder.stage in stages:
                yield f"{where}: stage '{ladder.stage}' has two ladders; leave one out"
            stages.add(ladder.stage)
            yield from _ladder_impossible(ladder)


def _ladder_impossible(ladder: Ladder) -> Iterator[str]:
    where = _stage(ladder)
    if not ladder.rungs:
        yield f"{where}: its ladder has no rungs; give at least one variant"
    yield from _said((_number(where, "rate_hz", ladder.rate_hz, " Hz"),))
    if ladder.deadline_s is not None:
        yield from _said((_number(where, "deadline_s", ladder.deadline_s, " s", above=True),))
    rising = all(low < high for low, high in pairwise(ladder.divisors))
    if not ladder.divisors or ladder.divisors[0] != 1 or not rising:
        given = ", ".join(map(str, ladder.divisors)) or "none"
        yield f"{where}: its divisors are {given}; they must begin with 1 and rise, such as 1, 2, 4"
    for rung in ladder.rungs:
        for name, unit in _COSTS:
            value = getattr(rung, name)
            if value is not None and (wrong := _number(_variant(ladder, rung), name, value, unit)):
                yield f"{wrong}: {_BENCH}"
        if wrong := _number(_variant(ladder, rung), "accuracy", rung.accuracy):
            yield f"{wrong}, at most 1: give the variant its 'accuracy'"


def _limits_doubtful(limits: Limits, prior: Prior) -> Iterator[str]:
    if limits.trip_c > prior.trip_c:
        yield (
            f"limits: trip_c is {limits.trip_c:g} °C, but a '{prior.board}' slows down from "
            f"{prior.trip_c:g} °C on; lower it, or it will be slow before it is thought hot"
        )
    idle_c = prior.ambient_c + prior.idle_k
    if idle_c >= limits.trip_c - limits.margin_c:
        yield (
            f"limits: a '{prior.board}' that does nothing is expected at {idle_c:g} °C, and "
            f"{limits.trip_c - limits.margin_c:g} °C is allowed; nothing but the floor will run "
            f"until it is found to be cooler"
        )
    if limits.power_w is not None and limits.power_w <= prior.idle_w:
        yield (
            f"limits: power_w is {limits.power_w:g} W, and a '{prior.board}' that does nothing "
            f"takes {prior.idle_w:g} W; nothing but the floor will run: raise it"
        )
    alone = limits.cores_without_sensor
    if alone is not None and alone > limits.cpu_share * limits.cores:
        yield (
            f"limits: cores_without_sensor is {alone:g}, more than the "
            f"{limits.cpu_share * limits.cores:g} cores that may be used at all; lower it"
        )


def _ladder_doubtful(ladder: Ladder) -> Iterator[str]:
    where = _stage(ladder)
    if ladder.rate_hz == 0:
        yield f"{where}: no packet is expected, so it seems free until one comes; {_BENCH}"
    if all(rung.accuracy == 0 for rung in ladder.rungs):
        if len(ladder.rungs) > 1:
            yield (
                f"{where}: the accuracy of no variant is known, so the cheapest seems as good as the "
                f"best; give each its 'accuracy'"
            )
    else:
        for rung in ladder.rungs:
            if rung.accuracy == 0:
                yield (
                    f"{_variant(ladder, rung)}: its accuracy is missing or 0, so its answers count "
                    f"for nothing; give the variant its 'accuracy'"
                )
    for index, rung in enumerate(ladder.rungs):
        yield from _rung_doubtful(ladder, index, rung)
    if ladder.deadline_s is not None:
        fastest_s = min(rung.wall_s for rung in ladder.rungs)
        if fastest_s > ladder.deadline_s:
            yield (
                f"{where}: even its fastest variant takes {fastest_s:.3g} s, and answers older than "
                f"{ladder.deadline_s:.3g} s are dropped; raise deadline_ms or add a faster variant"
            )
    if (lane := _floor_cores(ladder)) > LANE_SHARE:
        yield (
            f"{where}: at its lowest rate the cheapest variant keeps its thread busy for {lane:.0%} "
            f"of the time, and {LANE_SHARE:.0%} is the most; add a cheaper one, or lower the rate "
            f"of the source"
        )


def _rung_doubtful(ladder: Ladder, index: int, rung: Rung) -> Iterator[str]:
    where = _variant(ladder, rung)
    if rung.cpu_s == 0:
        yield f"{where}: it costs no CPU time, which cannot be; {_BENCH}"
    if rung.accuracy > 1:
        yield (
            f"{where}: its accuracy is {rung.accuracy:g}, above 1; give a fraction, such as 0.5 for "
            f"50 %"
        )
    if index:
        above = ladder.rungs[index - 1]
        order = "order the variants best and dearest first, or take one of them out"
        if rung.cpu_s > above.cpu_s:
            yield (
                f"{where}: it needs {rung.cpu_s:.4g} s of CPU time, more than '{above.variant}' above "
                f"it ({above.cpu_s:.4g} s); {order}"
            )
        if rung.memory_mb > above.memory_mb + MEMORY_NOISE_MB:
            yield (
                f"{where}: it takes {rung.memory_mb:.4g} MB, more than '{above.variant}' above it "
                f"({above.memory_mb:.4g} MB); {order}"
            )
        if rung.accuracy > above.accuracy > 0:
            yield (
                f"{where}: it is more accurate ({rung.accuracy:.4g}) than '{above.variant}' above it "
                f"({above.accuracy:.4g}); {order}"
            )
    for other_index, other in enumerate(ladder.rungs):
        if other_index != index and _dominates(other, rung, first=other_index < index):
            yield (
                f"{where}: '{other.variant}' is as good in everything, so this one is never chosen; "
                f"take it out"
            )
            return


def _dominates(one: Rung, other: Rung, *, first: bool) -> bool:
    ours = (-one.accuracy, one.cpu_s, one.wall_s, one.memory_mb)
    theirs = (-other.accuracy, other.cpu_s, other.wall_s, other.memory_mb)
    equal = ours == theirs
    return first if equal else all(a <= b for a, b in zip(ours, theirs, strict=True))


def _floor_cores(ladder: Ladder) -> float:
    return ladder.rate_hz / ladder.divisors[-1] * ladder.rungs[floor_of(ladder)].cpu_s


def _stage(ladder: Ladder) -> str:
    return f"pipeline '{ladder.pipeline}', stage '{ladder.stage}'"


def _variant(ladder: Ladder, rung: Rung) -> str:
    return f"{_stage(ladder)}, variant '{rung.variant}'"
