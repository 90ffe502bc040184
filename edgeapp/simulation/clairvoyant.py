"""Whom nobody can beat: an upper bound on the utility of any policy in a world known beforehand.

A device is linear in its load while its clock is full, so a price on heat bounds what any schedule
can be worth (weak duality). For prices `l[k] >= 0` of the die's temperature at each tick, and
`m[j]`, what a watt at tick j then costs at all later ticks, no schedule that keeps `die[k] <= on_c`
is worth more than

    sum over k of  l[k] * (on_c - idle_die[k])  +  max over cores x of (utility(x) - m[k] * watts(x))

whatever the prices: they decide how tight the bound is, not whether it holds. They come from a
linear program over blocks of seconds. No temperature is rounded, models are changed freely, and
time may be shared between settings, so it is never too low.

A second in which the hardware slows itself down earns nothing, and each kelvin above the limit costs
`OVER_COST` a second (`player.Moment.credit`). So the first sum holds for hot schedules too as long
as no price is above that cost. A throttled tick counts with the least heat that a throttled clock
allows; for earning again the die must have come below `on_c - hyst_c`.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeapp.simulation.app_model import fair_level, threads
from edgeapp.simulation.frontier import Frontier, frontier
from edgeapp.simulation.linear_program import solve
from edgeapp.simulation.plant import discrete, start_of
from edgeapp.simulation.player import OVER_COST, TICK_S
from edgeapp.simulation.spec import Scenario

Array = NDArray[np.float64]

_BLOCKS = 360
"""So many blocks of ticks with one price each: of 30 s in a run of 3 h."""
_EDGES_S = (0, 5, 15)
"""Blocks end so long after the load of others has jumped, too: the die follows within seconds."""


_MOST_PRICES = (1.0, 0.3, 0.1, 0.05, 0.02, 0.0)
"""Prices are cut there, and the tightest bound is kept: throttling is cheap where heat is dear."""


@dataclass(frozen=True, slots=True)
class Clairvoyant:
    """What is known of the best that could be done."""

    utility: float
    """Mean, 0..1: no policy comes above it."""
    schedule: float
    """Mean utility of a schedule that keeps the limit: no bound comes below it."""


class _Key:
    """A scenario as a key of the cache: found by name and seed, compared as a whole."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def __hash__(self) -> int:
        return hash((self.scenario.name, self.scenario.seed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.scenario == other.scenario


@lru_cache(maxsize=256)
def _remembered(key: _Key) -> Clairvoyant:
    return _World(key.scenario).solve()


def clairvoyant(scenario: Scenario) -> Clairvoyant:
    """The bound of a world, remembered; some seconds of computing."""
    return _remembered(_Key(scenario))


class _World:
    """A scenario as matrices: nodes, watts and limits of each tick."""

    def __init__(self, scenario: Scenario) -> None:
        spec, inputs = scenario.plant, scenario.inputs
        self.spec = spec
        self.ticks = int(np.ceil(scenario.duration_s / TICK_S))
        times = np.arange(self.ticks) * TICK_S
        self.nodes = len(spec.nodes)

        def table(name: str) -> Array:
            return np.array([inputs.at(name, float(t)) for t in times])

        self.ambient, self.sun = table("ambient_c"), table("sun_w")
        self.foreign, self.cap = table("foreign_cores"), table("clock_cap")
        self.factors = table("r_factor")
        self.rows = {
            factor: discrete(spec, TICK_S, factor) for factor in sorted(set(self.factors.tolist()))
        }
        self.watts = spec.power.core_w * self.cap**spec.power.freq_exp
        self.start = np.array(start_of(spec, float(self.ambient[0])))
        chains: dict[tuple[float, float], Frontier] = {}
        self.frontiers: list[Frontier] = []
        for cap, foreign in zip(self.cap.tolist(), self.foreign.tolist(), strict=True):
            level = fair_level([1.0, *threads(foreign)], spec.power.cores)
            if (cap, level) not in chains:
                chains[cap, level] = frontier(scenario.tenants, cap, level)
            self.frontiers.append(chains[cap, level])

    def run(self, cores: Array | None) -> Array:
        """Die at the end of each tick, for so many busy cores at the full clock."""
        heat = np.zeros(self.ticks) if cores is None else cores * self.watts
        state, die = self.start, np.empty(self.ticks)
        for k in range(self.ticks):
            state = self._next(state, k, heat[k])
            die[k] = state[0]
        return die

    def _next(self, state: Array, k: int, heat_w: float) -> Array:
        drive = (self.spec.power.idle_w + heat_w, self.ambient[k], self.sun[k], 1.0)
        rows = self.rows[self.factors[k]]
        return np.asarray(rows[:, : self.nodes] @ state + rows[:, self.nodes :] @ drive)

    def watt_prices(self, prices: Array) -> Array:
        """What a watt at each tick costs at all later ones: the system run backwards."""
        costs = np.empty(self.ticks)
        later = np.zeros(self.nodes)
        for k in range(self.ticks - 1, -1, -1):
            rows = self.rows[self.factors[k]]
            later[0] += prices[k]
            costs[k] = rows[:, self.nodes] @ later
            later = rows[:, : self.nodes].T @ later
        return costs

    def solve(self) -> Clairvoyant:
        """The bound and the schedule."""
        prices, plan = self._program()
        bound = min(self.bound(np.minimum(prices, most)) for most in _MOST_PRICES)
        return Clairvoyant(bound / self.ticks, self._follow(plan) / self.ticks)

    def bound(self, prices: Array) -> float:
        """Upper bound of the summed credit for these prices, whatever they are."""
        prices = np.clip(prices, 0.0, OVER_COST)
        throttle, power = self.spec.throttle, self.spec.power
        costs = self.watt_prices(prices)
        per_core = costs * self.watts
        earned = np.empty(self.ticks)
        chains = {id(one): one for one in self.frontiers}
        owner = np.array([id(one) for one in self.frontiers])
        for key, chain in chains.items():
            at = owner == key
            x = np.array([point[0] for point in chain.points])[:, None]
            y = np.array([point[1] for point in chain.points])[:, None]
            busy = np.minimum(x + self.foreign[at], power.cores)
            whole = np.maximum(power.cores - self.foreign[at], 0.0)
            # Between two points utility is straight and `busy` bends once: its bend counts too.
            bend = np.interp(whole, x[:, 0], y[:, 0]) - per_core[at] * np.minimum(
                whole + self.foreign[at], power.cores
            )
            earned[at] = np.maximum((y - per_core[at] * busy).max(axis=0), bend)
        least = np.minimum(self.foreign, power.cores) * np.minimum(
            min(throttle.steps), self.cap
        ) ** (power.freq_exp)
        resting = -costs * power.core_w * least
        back = np.append(0.0, prices[:-1]) * throttle.hyst_c
        total = float(prices @ (throttle.on_c - self.run(None)))
        return total + _best_path(earned, resting, back, hot=bool(self.start[0] >= throttle.on_c))

    def _blocks(self) -> NDArray[np.int64]:
        """Ticks at which blocks begin."""
        cuts = set(range(0, self.ticks, -(-self.ticks // _BLOCKS)))
        for series in (self.foreign, self.cap, self.factors):
            for jump in (np.flatnonzero(np.diff(series)) + 1).tolist():
                cuts |= {jump + edge for edge in _EDGES_S if jump + edge < self.ticks}
        return np.array(sorted(cuts), np.int64)

    def _program(self) -> tuple[Array, Array]:
        """Prices for each tick, and cores for our own use, from a linear program over blocks."""
        count, starts = self.nodes, self._blocks()
        blocks = len(starts)
        sizes = np.diff(np.append(starts, self.ticks))
        moved = np.zeros((count, blocks))
        heat = np.empty((blocks, blocks))
        for b in range(blocks):
            total = np.zeros(blocks)
            for k in range(starts[b], starts[b] + sizes[b]):
                rows = self.rows[self.factors[k]]
                moved = rows[:, :count] @ moved
                moved[:, b] += rows[:, count] * self.watts[k]
                total += moved[0]
            heat[b] = total / sizes[b]
        idle = self.run(self.foreign)
        room = self.spec.throttle.on_c - np.add.reduceat(idle, starts) / sizes
        chains = [self.frontiers[k] for k in starts]
        most = max(len(chain.points) for chain in chains) - 1
        worth, lengths = np.zeros((blocks, most)), np.zeros((blocks, most))
        for b, chain in enumerate(chains):
            for place, (one, two) in enumerate(pairwise(chain.points)):
                lengths[b, place] = two[0] - one[0]
                worth[b, place] = sizes[b] * (two[1] - one[1]) / lengths[b, place]
        spread = np.repeat(np.arange(blocks), sizes)
        solved = solve(heat, room, worth, lengths, sizes * OVER_COST)
        return (solved.prices / sizes)[spread], solved.amounts.sum(axis=1)[spread]

    def _follow(self, plan: Array) -> float:
        """Utility of a schedule: the plan's cores, and fewer where the limit would be passed."""
        on_c, power = self.spec.throttle.on_c, self.spec.power
        state, total = self.start, 0.0
        for k in range(self.ticks):
            foreign = min(float(self.foreign[k]), float(power.cores))
            at_rest = self._next(state, k, foreign * float(self.watts[k]))
            gain = float(self.rows[self.factors[k]][0, self.nodes] * self.watts[k])
            room = (on_c - 1e-6 - at_rest[0]) / gain
            cores = max(0.0, min(float(plan[k]), room, power.cores - foreign))
            if state[0] < on_c:
                total += self.frontiers[k].at(cores)
            state = self._next(state, k, (foreign + cores) * float(self.watts[k]))
            total -= OVER_COST * max(0.0, float(state[0]) - on_c)
        return total


def _best_path(earned: Array, resting: Array, back: Array, *, hot: bool) -> float:
    """Best sum over all ways of going between earning ticks and throttled ones."""
    low = float("-inf")
    best, slow = (low, float(resting[0])) if hot else (float(earned[0]), low)
    for gain, rest, cost in zip(
        earned[1:].tolist(), resting[1:].tolist(), back[1:].tolist(), strict=True
    ):
        best, slow = max(best, slow - cost) + gain, max(best, slow) + rest
    return max(best, slow)
