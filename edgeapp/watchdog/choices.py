"""What can be chosen at a tick, worked out anew only when it has become different."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import TypeAlias

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import CLOSED, StageKey, Tenant
from edgeapp.watchdog.options import Option, options_of
from edgeapp.watchdog.tick import Work

SAME = 0.03
"""Share by which rates and slowness may tremble before choices are worked out anew."""

_Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the governor wants."""

    settings: Mapping[StageKey, Setting]
    paused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choices:
    """The options of each pipeline, with what follows from them."""

    tenants: tuple[Tenant, ...]
    groups: tuple[tuple[Option, ...], ...]

    @cached_property
    def now(self) -> tuple[Option, ...] | None:
        """What is wanted already; None: it cannot stay, whatever the heat."""
        found = tuple(option for group in self.groups for option in group if option.now)
        return found if len(found) == len(self.groups) else None

    @cached_property
    def least_cores(self) -> float:
        """With all that may be closed or paused at rest."""
        return sum(min(option.cores for option in group) for group in self.groups)

    @cached_property
    def floor_cores(self) -> float:
        """The least with which every pipeline still answers."""
        return sum(
            min((o.cores for o in group if _answers(o)), default=0.0) for group in self.groups
        )

    @cached_property
    def best(self) -> tuple[Option, ...]:
        """What would be chosen if nothing were scarce."""
        return tuple(
            max(group, key=lambda o: (o.utility, -o.cores, o.now)) for group in self.groups
        )

    @cached_property
    def of_same_models(self) -> tuple[tuple[Option, ...], ...]:
        """Those of each pipeline for which no model is changed."""
        return tuple(tuple(o for o in group if o.swaps == 0) for group in self.groups)

    @cached_property
    def most_of_same_models(self) -> float:
        """What the same models are worth if nothing is scarce."""
        return sum(max(o.utility for o in group) for group in self.of_same_models)

    @cached_property
    def _frontier(self) -> tuple[tuple[float, float], ...]:
        """(cores, utility) of the best ways to use more and more cores, sharing time between them."""
        cores = utility = 0.0
        steps: list[tuple[float, float]] = []
        for group in self.groups:
            hull = _hull([(option.cores, option.utility) for option in group])
            cores, utility = cores + hull[0][0], utility + hull[0][1]
            steps += [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(hull)]
        steps.sort(key=lambda step: -step[1] / step[0])
        points = [(cores, utility)]
        for more_cores, more in steps:
            cores, utility = cores + more_cores, utility + more
            points.append((cores, utility))
        return tuple(points)

    def worth(self, cores: float) -> float:
        """What so many cores are worth, 0..1, as far as options can be mixed at will."""
        points = self._frontier
        place = bisect_right(points, (cores, inf))
        if 0 < place < len(points):
            (x0, y0), (x1, y1) = points[place - 1], points[place]
            worth = y0 + (y1 - y0) * (cores - x0) / (x1 - x0)
        else:
            worth = points[max(0, place - 1)][1]
        return worth / self.weight if self.weight > 0 else 0.0

    @cached_property
    def weight(self) -> float:
        """What the best of all rungs would be worth, of the pipelines that run."""
        return sum(
            tenant.weight
            for tenant, group in zip(self.tenants, self.groups, strict=True)
            if any(not option.paused for option in group)
        )

    def wanted(self, chosen: Sequence[Option], stopped: frozenset[str]) -> Wanted:
        """What to want so that this is what runs; `stopped`: paused by somebody else."""
        settings = {key: setting for option in chosen for key, setting in option.settings.items()}
        paused = frozenset(
            tenant.name
            for tenant, option in zip(self.tenants, chosen, strict=True)
            if option.paused and tenant.name not in stopped
        )
        return Wanted(settings, paused)


class Chooser:
    """Works out choices, and remembers them while nothing has become different."""

    def __init__(self) -> None:
        self._known: dict[bool, tuple[_Key, tuple[float, ...], Choices]] = {}

    def look(
        self,
        tenants: tuple[Tenant, ...],
        work: Work,
        wanted: Wanted | None,
        *,
        rates: Mapping[StageKey, float],
        inflation: float,
        stretch: float,
        standbys: bool,
        obey_pins: bool,
    ) -> Choices:
        """The choices of this tick."""
        stages = tuple((stage.struck, stage.pinned) for stage in work.stages.values())
        held = None if wanted is None else tuple(wanted.settings.values())
        paused = frozenset[str]() if wanted is None else wanted.paused
        key: _Key = (tenants, stages, held, paused, work.paused, standbys)
        if wanted is None:
            key = (*key, *(stage.actual for stage in work.stages.values()))
        numbers = (inflation, stretch, *rates.values())
        known = self._known.get(obey_pins)
        if known is not None and known[0] == key and all(map(_alike, known[1], numbers)):
            return known[2]
        choices = Choices(
            tenants,
            tuple(
                options_of(
                    tenant,
                    work,
                    rates=rates,
                    inflation=inflation,
                    stretch=stretch,
                    held=None if wanted is None else wanted.settings,
                    paused_by_us=tenant.name in paused,
                    obey_pins=obey_pins,
                    standbys=standbys,
                )
                for tenant in tenants
            ),
        )
        self._known[obey_pins] = (key, numbers, choices)
        return choices


def _hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The rising part of the upper concave hull (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if hull and y <= hull[-1][1]:
            continue
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-1][0]) <= (
            y - hull[-1][1]
        ) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((x, y))
    return hull


def _answers(option: Option) -> bool:
    return not option.paused and all(s.divisor != CLOSED for s in option.settings.values())


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * one
