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

from edgeapp.watchdog.options import Option

MOST_STATES = 2_000
"""Kept of one layer; beyond them those of the best bounds. That bounds the time of any input."""

_VALUE = 1e7
_CORES = 1e6
_MEMORY = 1e3
_UNLIMITED = 1 << 62
_SWAPS_BITS = 16
_CORES_BITS = 40


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
        cores: All together may use.
        memory_mb: All together may use; None: whatever they need.
        price: Utility that a swap must gain to be worth it.
    """
    items = [[_Item.of(option, price) for option in group] for group in groups]
    room = _whole(cores, _CORES)
    memory = _UNLIMITED if memory_mb is None else _whole(memory_mb, _MEMORY)
    solver = _Solver(items, room, memory)
    picks = solver.best()
    feasible = picks is not None
    if picks is None:
        least = [min(group, key=lambda i: (i.cores, i.memory, -i.key)) for group in items]
        if sum(item.cores for item in least) > room:
            picks = [group.index(item) for group, item in zip(items, least, strict=True)]
        else:
            frugal = [[item.frugal() for item in group] for group in items]
            solver = _Solver(frugal, room, _UNLIMITED)
            picks = solver.best() or []
    second = _runner_up(items, picks, room, memory) if feasible else None
    chosen = tuple(group[pick] for group, pick in zip(groups, picks, strict=True))
    return Allocation(
        chosen,
        None
        if second is None
        else tuple(group[pick] for group, pick in zip(groups, second, strict=True)),
        sum(option.utility for option in chosen),
        sum(option.cores for option in chosen),
        sum(option.memory_mb for option in chosen),
        sum(option.swaps for option in chosen),
        feasible,
        solver.exact,
    )


def _whole(limit: float, unit: float) -> int:
    """Whole units below a limit; what is not a number is no room at all."""
    if math.isnan(limit):
        return -1
    return _UNLIMITED if limit * unit >= _UNLIMITED else round(limit * unit)


@dataclass(frozen=True, slots=True)
class _Item:
    """An option in whole units. The key orders by value, then fewer swaps, then fewer cores."""

    key: int
    cores: int
    memory: int

    @classmethod
    def of(cls, option: Option, price: float) -> "_Item":
        value = round((option.utility - price * option.swaps) * _VALUE)
        cores, memory = round(option.cores * _CORES), round(option.memory_mb * _MEMORY)
        return cls((((value << _SWAPS_BITS) - option.swaps) << _CORES_BITS) - cores, cores, memory)

    def frugal(self) -> "_Item":
        """The same where memory counts before everything."""
        return _Item((-self.memory << 96) + self.key, self.cores, self.memory)


# A state: cores, memory, key, and how it came about: (state before, pick) or None.
_State = tuple[int, int, int, "tuple[_State, int] | None"]


class _Solver:
    """The search for the best combination. `exact` is False where it was cut short."""

    def __init__(self, groups: Sequence[Sequence[_Item]], room: int, memory: int) -> None:
        self.exact = True
        self._room = room
        if memory >= sum(max(item.memory for item in group) for group in groups):
            memory = _UNLIMITED
            groups = [[_Item(item.key, item.cores, 0) for item in group] for group in groups]
        self._memory = memory
        self._groups = [_undominated(group) for group in groups]
        self._ahead = [
            _Bound([[(i.cores, i.key) for _, i in group] for group in self._groups[at:]])
            for at in range(len(groups) + 1)
        ]
        self._memory_ahead = [
            _Bound([[(i.memory, i.key) for _, i in group] for group in self._groups[at:]])
            for at in range(len(groups) + 1)
        ]

    def best(self) -> list[int] | None:
        """The index that is picked in each group; None: nothing fits."""
        known = self._climbed()
        lowest = known[2] if known is not None else None
        dropped: int | None = None
        states: list[_State] = [(0, 0, 0, None)]
        for at in range(len(self._groups)):
            ranked = self._next(at, states, lowest)
            states = _front([state for _, state in ranked])
            if len(states) > MOST_STATES:
                bounds = {id(state): bound for bound, state in ranked}
                states.sort(key=lambda state: bounds[id(state)], reverse=True)
                lost = bounds[id(states[MOST_STATES])]
                dropped = lost if dropped is None else max(dropped, lost)
                del states[MOST_STATES:]
        found = max(states, key=itemgetter(2), default=known)
        if dropped is not None:
            self.exact = found is not None and found[2] >= dropped
        return None if found is None else _picks(found)

    def _next(
        self, at: int, states: Sequence[_State], lowest: int | None
    ) -> list[tuple[int, _State]]:
        """Each state with each option of a group, where it fits and may beat `lowest`."""
        ranked: list[tuple[int, _State]] = []
        ahead, memory_ahead = self._ahead[at + 1], self._memory_ahead[at + 1]
        bounded = self._memory < _UNLIMITED
        for state in states:
            for pick, item in self._groups[at]:
                used, memory, key = (
                    state[0] + item.cores,
                    state[1] + item.memory,
                    state[2] + item.key,
                )
                most = ahead.most(self._room - used)
                if most is not None and bounded:
                    other = memory_ahead.most(self._memory - memory)
                    most = None if other is None else min(most, other)
                if most is not None and (lowest is None or key + most > lowest):
                    ranked.append((key + most, (used, memory, key, (state, pick))))
        return ranked

    def _climbed(self) -> _State | None:
        """A good combination at once: from the least cores on, what gains most for its cores."""
        at = [0] * len(self._groups)  # groups are sorted, the fewest cores first
        used = sum(group[0][1].cores for group in self._groups)
        memory = sum(group[0][1].memory for group in self._groups)
        if used > self._room:
            return None
        steps = True
        while steps:
            steps = False
            best: tuple[float, int, int] | None = None
            for index, group in enumerate(self._groups):
                now = group[at[index]][1]
                for to, (_, item) in enumerate(group):
                    more, gain = item.cores - now.cores, item.key - now.key
                    fits = used + more <= self._room
                    fits = fits and memory + item.memory - now.memory <= max(self._memory, memory)
                    if fits and gain > 0:
                        rank = (gain / max(more, 1), index, to)
                        best = rank if best is None or rank > best else best
            if best is not None:
                _, index, to = best
                before, after = self._groups[index][at[index]][1], self._groups[index][to][1]
                used, memory = (
                    used + after.cores - before.cores,
                    memory + after.memory - before.memory,
                )
                at[index], steps = to, True
        if memory > self._memory:
            return None
        state: _State = (0, 0, 0, None)
        for group, to in zip(self._groups, at, strict=True):
            pick, item = group[to]
            state = (
                state[0] + item.cores,
                state[1] + item.memory,
                state[2] + item.key,
                (state, pick),
            )
        return state


class _Bound:
    """The greatest key that groups can reach with so much of one resource, if options could be mixed."""

    def __init__(self, groups: Sequence[Sequence[tuple[int, int]]]) -> None:
        steps: list[tuple[int, int]] = []
        self._least = self._key = 0
        for group in groups:
            hull = _hull(group)
            self._least += hull[0][0]
            self._key += hull[0][1]
            steps += [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(hull)]
        steps.sort(key=lambda step: step[1] / step[0], reverse=True)
        self._steps = steps
        self._amounts = list(accumulate((amount for amount, _ in steps), initial=0))
        self._keys = list(accumulate((gain for _, gain in steps), initial=self._key))

    def most(self, room: int) -> int | None:
        """The bound; None: not even the least fits."""
        left = room - self._least
        if left < 0:
            return None
        at = bisect_right(self._amounts, left) - 1
        if at == len(self._steps):
            return self._keys[at]
        amount, gain = self._steps[at]
        return self._keys[at] - (-gain * (left - self._amounts[at])) // amount


def _hull(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The corners of the upper hull from the least amount to the greatest key."""
    hull: list[tuple[int, int]] = []
    for amount, key in sorted(points, key=lambda point: (point[0], -point[1])):
        if hull and key <= hull[-1][1]:
            continue
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2], hull[-1]
            if (y1 - y0) * (amount - x0) > (key - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((amount, key))
    return hull


def _undominated(group: Sequence[_Item]) -> list[tuple[int, _Item]]:
    """Index and item of those that may be chosen, the fewest cores first."""
    kept: list[tuple[int, _Item]] = []
    for index, item in sorted(enumerate(group), key=lambda p: (p[1].cores, -p[1].key, p[1].memory)):
        if not any(other.memory <= item.memory and other.key >= item.key for _, other in kept):
            kept.append((index, item))
    return kept


def _front(states: list[_State]) -> list[_State]:
    """Those that no other is as good as with no more cores and no more memory."""
    states.sort(key=lambda state: (state[0], -state[2], state[1]))
    kept = []
    # What was kept so far, as a staircase: more memory only for a greater key.
    memories: list[int] = []
    keys: list[int] = []
    for state in states:
        _, memory, key, _ = state
        at = bisect_right(memories, memory)
        if at and keys[at - 1] >= key:
            continue
        kept.append(state)
        start = at - 1 if at and memories[at - 1] == memory else at
        end = start
        while end < len(keys) and keys[end] <= key:
            end += 1
        memories[start:end] = [memory]
        keys[start:end] = [key]
    return kept


def _picks(state: _State) -> list[int]:
    picks = []
    way = state[3]
    while way is not None:
        before, pick = way
        picks.append(pick)
        way = before[3]
    return picks[::-1]


def _runner_up(
    groups: Sequence[Sequence[_Item]], picks: Sequence[int], room: int, memory: int
) -> list[int] | None:
    """The best combination that fits and differs in one group."""
    items = [group[pick] for group, pick in zip(groups, picks, strict=True)]
    cores_left = room - sum(item.cores for item in items)
    memory_left = memory - sum(item.memory for item in items)
    best: tuple[int, int, int] | None = None
    for at, (group, now) in enumerate(zip(groups, items, strict=True)):
        for pick, item in enumerate(group):
            if (
                pick != picks[at]
                and item.cores - now.cores <= cores_left
                and item.memory - now.memory <= memory_left
                and (best is None or item.key - now.key > best[0])
            ):
                best = (item.key - now.key, at, pick)
    if best is None:
        return None
    return [best[2] if at == best[1] else pick for at, pick in enumerate(picks)]
