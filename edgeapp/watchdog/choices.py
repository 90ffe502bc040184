"""What can be chosen at a tick, worked out anew only when it has become different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
        key = (tenants, stages, held, paused, work.paused, standbys)
        if wanted is None:
            key += tuple(stage.actual for stage in work.stages.values())
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


def _answers(option: Option) -> bool:
    return not option.paused and all(s.divisor != CLOSED for s in option.settings.values())


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * one
