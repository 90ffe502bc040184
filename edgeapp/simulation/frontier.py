"""The most that answers can be worth for so many busy cores, when models are changed freely."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgeapp.core.dial import Setting
from edgeapp.simulation.app_model import in_time, packets
from edgeapp.watchdog.ladder import Tenant

Point = tuple[float, float]
"""Busy cores, utility."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """A concave, rising chain of straight pieces from (0, 0): no policy lies above it."""

    points: tuple[Point, ...]

    def at(self, cores: float) -> float:
        """Utility for so many cores, by sharing time between two neighbouring points."""
        x0, y0 = self.points[0]
        for x1, y1 in self.points[1:]:
            if cores <= x1:
                return y0 + (y1 - y0) * (cores - x0) / (x1 - x0)
            x0, y0 = x1, y1
        return y0


def frontier(tenants: Sequence[Tenant], clock_ratio: float, level: float) -> Frontier:
    """Of all tenants, each a thread that gets at most `level` of a core at that clock."""
    weights = sum(tenant.weight for tenant in tenants)
    chains = []
    for tenant in tenants:
        parts = []
        for ladder in tenant.ladders:
            found = [(0.0, 0.0)]
            for rung in range(len(ladder.rungs)):
                for divisor in ladder.divisors:
                    setting = Setting(rung, divisor)
                    cost = packets(ladder, setting) * ladder.rungs[rung].cpu_s / clock_ratio
                    served = min(1.0, level / cost) if cost > 0 else 1.0
                    good = in_time(ladder, setting, served, clock_ratio, 1.0)
                    worth = good * ladder.utility(setting) * tenant.weight
                    found.append((cost * served, worth / weights / len(tenant.ladders)))
            parts.append(_hull(found))
        base = tenant.base_cores / clock_ratio
        whole = [(x + base, y) for x, y in _sum(parts)]
        chains.append(_hull([(0.0, 0.0), *whole]))
    return Frontier(tuple(_sum(chains)))


def _hull(points: Iterable[Point]) -> list[Point]:
    """Upper concave chain from (0, 0), rising to the highest point (Andrew's monotone chain)."""
    chain: list[Point] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if chain and y <= chain[-1][1]:
            continue
        while len(chain) > 1 and _slope(chain[-2], chain[-1]) <= _slope(chain[-1], (x, y)):
            chain.pop()
        chain.append((x, y))
    return chain


def _slope(a: Point, b: Point) -> float:
    return (b[1] - a[1]) / (b[0] - a[0]) if b[0] > a[0] else float("inf")


def _sum(chains: Iterable[Sequence[Point]]) -> list[Point]:
    """Best sum of concave chains for each sum of cores: all pieces, the steepest first."""
    pieces = [(b[0] - a[0], b[1] - a[1]) for chain in chains for a, b in pairwise(chain)]
    pieces.sort(key=lambda piece: piece[1] / piece[0] if piece[0] > 0 else float("inf"))
    x = y = 0.0
    result = [(0.0, 0.0)]
    for dx, dy in reversed(pieces):
        x, y = x + dx, y + dy
        result.append((x, y))
    return result
