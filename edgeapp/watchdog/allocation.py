"""Choosing for all pipelines together: the most useful combination that fits.

A multiple-choice knapsack with two resources: one option of each group, cores and memory bounded.
Dynamic programming over the groups keeps the states that no other one dominates and whose upper
bound, the linear relaxation of the groups still to come, may beat the best combination known
(after Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995). All amounts
are whole numbers of small units, so that equal is equal and no order of sums can matter.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import NamedTuple

from edgeapp.watchdog.options import Option

MOST_STATES = 256
"""Kept of one layer; beyond them those of the best bounds. That bounds the time of any input."""

_VALUE = 1e7
_CORES = 1e6
_MEMORY = 1e3
_UNLIMITED = 1 << 62
_SWAPS_BITS = 16
_CORES_BITS = 40
_MEMORY_BITS = 128


@dataclass(frozen=True, slots=True)
class Allocation:
    """What was chosen: an option of each group, in their order."""

    chosen: tuple[Option, ...]
    runner_up: tuple[Option, ...] | None
    """The best of those that fit and differ in one group; None: there is none."""
    utility: float
    cores: float
    memory_mb: float
    swaps: int
    feasible: bool
    """False: nothing fits. Chosen is then what needs the fewest cores or, where the cores suffice,
    what needs the least memory of all that they suffice for."""
    exact: bool = True
    """False: there was too much to look at; it is the best that was found."""


def allocate(
    groups: Sequence[Sequence[Option]],
    *,
    cores: float,
    memory_mb: float | None = None,
    price: float = 0.0,
) -> Allocation:
    """Choose one option of each group so that utility less `price` for each swap is greatest.

    Of equal ones that of fewer swaps is taken, then that of fewer cores. Utility counts to a
    ten-millionth, cores to a millionth, memory to a kB.

    Args:
        groups: The options of each pipeline; none is empty.
        cores: All together may use; where that is not even 0, nothing fits.
        memory_mb: All together may use; None: whatever they need.
        price: Utility that a swap must gain to be worth it.
    """
    items = [
        [_Item.of(pick, option, price) for pick, option in enumerate(group)] for group in groups
    ]
    room = _whole(cores, _CORES)
    memory = _UNLIMITED if memory_mb is None else _whole(memory_mb, _MEMORY)
    picks, exact = _best(items, room, memory)
    feasible = picks is not None
    if picks is None:
        least = [min(group, key=lambda item: (item.cores, item.memory)) for group in items]
        picks, exact = [item.pick for item in least], True
        if sum(item.cores for item in least) <= room:
            frugal = [[item.frugal() for item in group] for group in items]
            found, exact = _best(frugal, room, _UNLIMITED)
            picks = found or picks
    change = _runner_up(items, picks, room, memory) if feasible else None
    chosen = tuple(group[pick] for group, pick in zip(groups, picks, strict=True))
    return Allocation(
        chosen,
        None if change is None else _changed(chosen, change[0], groups[change[0]][change[1]]),
        sum(option.utility for option in chosen),
        sum(option.cores for option in chosen),
        sum(option.memory_mb for option in chosen),
        sum(option.swaps for option in chosen),
        feasible,
        exact,
    )


def _whole(limit: float, unit: float) -> int:
    """Whole units of a limit; below 0, or no number: no room at all."""
    if math.isnan(limit) or limit < 0:
        return -1
    return _UNLIMITED if limit * unit >= _UNLIMITED else round(limit * unit)


def _changed(chosen: tuple[Option, ...], at: int, option: Option) -> tuple[Option, ...]:
    return (*chosen[:at], option, *chosen[at + 1 :])


class _Item(NamedTuple):
    """An option in whole units. The key orders by value, then fewer swaps, then fewer cores."""

    cores: int
    memory: int
    key: int
    pick: int
    """Its index in the group."""

    @classmethod
    def of(cls, pick: int, option: Option, price: float) -> "_Item":
        value = round((option.utility - price * option.swaps) * _VALUE)
        cores, memory = round(option.cores * _CORES), round(option.memory_mb * _MEMORY)
        key = (((value << _SWAPS_BITS) - option.swaps) << _CORES_BITS) - cores
        return cls(cores, memory, key, pick)

    def frugal(self) -> "_Item":
        """The same where memory counts before everything."""
        return self._replace(key=(-self.memory << _MEMORY_BITS) + self.key)


# Cores, memory and key so far, and how they came about: the state before, and what was picked.
_State = tuple[int, int, int, "tuple[_State, int] | None"]
_START: _State = (0, 0, 0, None)


def _best(
    groups: Sequence[Sequence[_Item]], room: int, memory: int
) -> tuple[list[int] | None, bool]:
    """What to pick in each group, None where nothing fits, and whether nothing was cut off."""
    search = _Search(groups, room, memory)
    known = search.climbed()
    lowest = None if known is None else known[2]
    lost: int | None = None
    states = [_START] if room >= 0 else []
    for at in range(len(groups)):
        ranked = search.step(at, states, lowest)
        states = _front([state for _, state in ranked])
        if len(states) > MOST_STATES:
            most = {id(state): bound for bound, state in ranked}
            states.sort(key=lambda state: most[id(state)], reverse=True)
            cut = most[id(states[MOST_STATES])]
            lost = cut if lost is None else max(lost, cut)
            del states[MOST_STATES:]
    found = max(states, key=itemgetter(2), default=known)
    exact = lost is None or (found is not None and found[2] >= lost)
    return None if found is None else search.picks(found), exact


class _Search:
    """Groups in the order in which they are searched, and what bounds the rest of the way."""

    def __init__(self, groups: Sequence[Sequence[_Item]], room: int, memory: int) -> None:
        self._room = room
        self._memory: int | None = memory
        if memory >= sum(max(item.memory for item in group) for group in groups):
            self._memory = None
            groups = [[item._replace(memory=0) for item in group] for group in groups]
        # What has most to choose from goes first: the bounds of the few that remain are tight.
        self._order = sorted(range(len(groups)), key=lambda at: -len(groups[at]))
        self._groups = [_undominated(groups[at]) for at in self._order]
        self._hulls = [_hull(group, 0) for group in self._groups]
        self._bounds = _bounds(self._hulls, 0)
        self._memory_hulls: list[list[_Item]] = []
        self._memory_bounds: list[_Bound] | None = None
        if self._memory is not None:
            self._memory_hulls = [_hull(group, 1) for group in self._groups]
            self._memory_bounds = _bounds(self._memory_hulls, 1)

    def step(
        self, at: int, states: Sequence[_State], lowest: int | None
    ) -> list[tuple[int, _State]]:
        """Each state with each option of a group, where it fits and may beat `lowest`."""
        ranked: list[tuple[int, _State]] = []
        group, bound = self._groups[at], self._bounds[at + 1]
        amounts, keys, slopes = bound.amounts, bound.keys, bound.slopes
        for state in states:
            left = self._room - state[0] - bound.least
            for item in group:
                spare = left - item.cores
                if spare < 0:
                    break  # the others need still more
                key = state[2] + item.key
                # `_Bound.most`, spelled out in the innermost loop of all.
                step = bisect_right(amounts, spare) - 1
                gain, amount = slopes[step]
                most = key + keys[step] - (amounts[step] - spare) * gain // amount
                if lowest is not None and most <= lowest:
                    continue
                memory = state[1] + item.memory
                if self._memory_bounds is not None and self._memory is not None:
                    other = self._memory_bounds[at + 1].most(self._memory - memory)
                    if other is None or (lowest is not None and key + other <= lowest):
                        continue
                    most = min(most, key + other)
                ranked.append((most, (state[0] + item.cores, memory, key, (state, item.pick))))
        return ranked

    def climbed(self) -> _State | None:
        """A good combination at once; None: none was found. It decides how much can be left out."""
        starts = [self._up_the_hulls(self._hulls, 0)]
        if self._memory is not None:
            starts += [self._up_the_hulls(self._memory_hulls, 1), self._frugal()]
        found = [self._polished(items) for items in starts if self._fit(items)]
        best = max(found, key=lambda items: sum(item.key for item in items), default=None)
        if best is None:
            return None
        state = _START
        for item in best:
            cores, memory, key, _ = state
            state = (cores + item.cores, memory + item.memory, key + item.key, (state, item.pick))
        return state

    def _fit(self, items: Sequence[_Item]) -> bool:
        spare, memory_spare = self._spare(items)
        return spare >= 0 and memory_spare >= 0

    def _spare(self, items: Sequence[_Item]) -> tuple[int, int]:
        memory = _UNLIMITED if self._memory is None else self._memory
        return (
            self._room - sum(item.cores for item in items),
            memory - sum(item.memory for item in items),
        )

    def _up_the_hulls(self, hulls: Sequence[Sequence[_Item]], axis: int) -> list[_Item]:
        """From the least of a resource on, what gains most for it."""
        items = [hull[0] for hull in hulls]
        spare, memory_spare = self._spare(items)
        steps = [
            ((after.key - before.key) / (after[axis] - before[axis]), at, before, after)
            for at, hull in enumerate(hulls)
            for before, after in pairwise(hull)
        ]
        for _, at, before, after in sorted(steps, key=itemgetter(0), reverse=True):
            more, more_memory = after.cores - before.cores, after.memory - before.memory
            fits = more <= max(spare, 0) and more_memory <= max(memory_spare, 0)
            if fits and items[at] is before:
                items[at] = after
                spare -= more
                memory_spare -= more_memory
        return items

    def _polished(self, items: list[_Item]) -> list[_Item]:
        """With the best that fits into what is left, group by group, while that gains anything."""
        spare, memory_spare = self._spare(items)
        better = True
        while better:
            better = False
            for at, now in enumerate(items):
                for item in self._groups[at]:
                    if item.cores - now.cores > spare:
                        break
                    if item.key > items[at].key and item.memory - now.memory <= memory_spare:
                        items[at], better = item, True
                spare -= items[at].cores - now.cores
                memory_spare -= items[at].memory - now.memory
        return items

    def _frugal(self) -> list[_Item]:
        """Of each group what takes the least shares of both resources."""
        per_core, per_kb = 1 / max(self._room, 1), 1 / max(self._memory or 1, 1)
        return [
            min(group, key=lambda item: item.cores * per_core + item.memory * per_kb)
            for group in self._groups
        ]

    def picks(self, state: _State) -> list[int]:
        """What was picked on the way to a state, in the order of the groups as they were given."""
        picks = [0] * len(self._order)
        way = state[3]
        for at in reversed(self._order):
            if way is not None:
                state, picks[at] = way
                way = state[3]
        return picks


@dataclass(frozen=True, slots=True)
class _Bound:
    """The greatest key that groups reach with so much of a resource, if options could be mixed."""

    least: int
    """Without it nothing can be chosen."""
    amounts: list[int]
    """Beyond `least`, where the gain of more of it becomes less; rising from 0 on."""
    keys: list[int]
    """Reached there."""
    slopes: list[tuple[int, int]]
    """From there on: the key that is gained, for how much."""

    def most(self, room: int) -> int | None:
        """The bound; None: not even the least fits."""
        spare = room - self.least
        if spare < 0:
            return None
        step = bisect_right(self.amounts, spare) - 1
        gain, amount = self.slopes[step]
        return self.keys[step] - (self.amounts[step] - spare) * gain // amount


def _bounds(hulls: Sequence[Sequence[_Item]], axis: int) -> list[_Bound]:
    """For the groups from each one on, and for none."""
    steps = [
        (after.key - before.key, after[axis] - before[axis], at)
        for at, hull in enumerate(hulls)
        for before, after in pairwise(hull)
    ]
    steps.sort(key=lambda step: step[0] / step[1], reverse=True)
    bounds = []
    for first in range(len(hulls) + 1):
        slopes = [(gain, amount) for gain, amount, at in steps if at >= first]
        key = sum(hull[0].key for hull in hulls[first:])
        bounds.append(
            _Bound(
                sum(hull[0][axis] for hull in hulls[first:]),
                list(accumulate((amount for _, amount in slopes), initial=0)),
                list(accumulate((gain for gain, _ in slopes), initial=key)),
                [*slopes, (0, 1)],
            )
        )
    return bounds


def _hull(group: Sequence[_Item], axis: int) -> list[_Item]:
    """The corners of the upper hull: from the least of a resource to the greatest key."""
    hull: list[_Item] = []
    for item in sorted(group, key=lambda item: (item[axis], -item.key)):
        if hull and item.key <= hull[-1].key:
            continue
        while len(hull) > 1:
            first, last = hull[-2], hull[-1]
            gain, amount = last.key - first.key, last[axis] - first[axis]
            if gain * (item[axis] - first[axis]) > (item.key - first.key) * amount:
                break
            hull.pop()
        hull.append(item)
    return hull


def _undominated(group: Sequence[_Item]) -> list[_Item]:
    """Those that no other is as good as in everything; the fewest cores first."""
    kept: list[_Item] = []
    for item in sorted(group, key=lambda item: (item.cores, -item.key, item.memory)):
        if not any(other.memory <= item.memory and other.key >= item.key for other in kept):
            kept.append(item)
    return kept


def _front(states: list[_State]) -> list[_State]:
    """Those that no other is as good as with no more cores and no more memory."""
    states.sort(key=lambda state: (state[0], -state[2], state[1]))
    kept = []
    # What is kept so far, as a staircase: more memory only for a greater key.
    memories: list[int] = []
    keys: list[int] = []
    for state in states:
        memory, key = state[1], state[2]
        at = bisect_right(memories, memory)
        if at and keys[at - 1] >= key:
            continue
        kept.append(state)
        start = at - 1 if at and memories[at - 1] == memory else at
        end = bisect_right(keys, key, start)
        memories[start:end] = [memory]
        keys[start:end] = [key]
    return kept


def _runner_up(
    groups: Sequence[Sequence[_Item]], picks: Sequence[int], room: int, memory: int
) -> tuple[int, int] | None:
    """Which group must change, and to what, for the best one that fits and differs in one group."""
    items = [group[pick] for group, pick in zip(groups, picks, strict=True)]
    spare = room - sum(item.cores for item in items)
    memory_spare = memory - sum(item.memory for item in items)
    best: tuple[int, int] | None = None
    least: int | None = None
    for at, now in enumerate(items):
        for item in groups[at]:
            loss = now.key - item.key
            if (
                (least is None or loss < least)
                and item.pick != now.pick
                and item.cores - now.cores <= spare
                and item.memory - now.memory <= memory_spare
            ):
                best, least = (at, item.pick), loss
    return best
