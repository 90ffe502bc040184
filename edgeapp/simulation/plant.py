"""A device as physics: a chain of heat capacities, leaking cores, and a throttle of its own.

The chain is linear for a constant load, so a step is exact whatever its length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeapp.simulation.spec import LEAK_REFERENCE_C, Inputs, PlantSpec

Matrix = NDArray[np.float64]
_HALVINGS = 10
_TERMS = 8


@dataclass(frozen=True, slots=True)
class PlantState:
    """What a step came to."""

    t_s: float
    """At the end of the step."""
    nodes_c: dict[str, float]
    clock_ratio: float
    """During the step."""
    throttle_step: int
    """During the step; 0 is the full clock."""
    power_w: float
    """During the step, with the leakage at its beginning."""


class Plant:
    """A device that warms up; not for several threads."""

    def __init__(self, spec: PlantSpec, ambient_c: float | None = None) -> None:
        """The nodes begin between `start_c` and the surroundings, as if it had been so for long."""
        self.spec = spec
        self.t_s = 0.0
        self.nodes_c = start_of(spec, ambient_c)
        self.throttle_step = 0
        self._throttle()
        self._steps: dict[tuple[float, float], list[list[float]]] = {}

    def clock_ratio(self, inputs: Inputs) -> float:
        """Clock of the step to come."""
        own = self.spec.throttle.steps[self.throttle_step]
        return min(own, inputs.at("clock_cap", self.t_s))

    def step(self, dt_s: float, busy_cores_demand: float, inputs: Inputs) -> PlantState:
        """Go on by `dt_s` seconds with so many busy cores, as many as there are at most."""
        power = self.spec.power
        ratio, step = self.clock_ratio(inputs), self.throttle_step
        busy = min(busy_cores_demand, power.cores)
        fixed_w = power.idle_w + busy * power.core_w * ratio**power.freq_exp
        power_w = fixed_w + power.leak_w_per_k * (self.nodes_c[0] - LEAK_REFERENCE_C)
        factor = inputs.at("r_factor", self.t_s)
        rows = self._steps.get((dt_s, factor))
        if rows is None:
            rows = discrete(self.spec, dt_s, factor).tolist()
            self._steps[dt_s, factor] = rows
        drive = (
            *self.nodes_c,
            fixed_w,
            inputs.at("ambient_c", self.t_s),
            inputs.at("sun_w", self.t_s),
            1.0,
        )
        self.nodes_c = [sum(a * b for a, b in zip(row, drive, strict=True)) for row in rows]
        self.t_s += dt_s
        self._throttle()
        nodes_c = {node.id: at for node, at in zip(self.spec.nodes, self.nodes_c, strict=True)}
        return PlantState(self.t_s, nodes_c, ratio, step, power_w)

    def _throttle(self) -> None:
        throttle = self.spec.throttle
        die_c, last = self.nodes_c[0], len(throttle.steps) - 1
        if die_c >= throttle.hard_c:
            self.throttle_step = last
        elif die_c >= throttle.on_c:
            self.throttle_step = min(self.throttle_step + 1, last)
        elif die_c < throttle.on_c - throttle.hyst_c:
            self.throttle_step = max(self.throttle_step - 1, 0)


def start_of(spec: PlantSpec, ambient_c: float | None) -> list[float]:
    """Temperatures of the nodes at the start; all the same where there are no surroundings."""
    outside_c = spec.start_c if ambient_c is None else ambient_c
    whole = sum(node.r_k_per_w for node in spec.nodes)
    left, nodes_c = whole, []
    for node in spec.nodes:
        nodes_c.append(outside_c + (spec.start_c - outside_c) * left / whole)
        left -= node.r_k_per_w
    return nodes_c


def discrete(spec: PlantSpec, dt_s: float, r_factor: float) -> Matrix:
    """Matrix of one step: new nodes from (nodes, power without leakage, ambient, sun, 1).

    The exponential of the chain's matrix, by scaling and squaring (any textbook on linear systems).
    """
    nodes = spec.nodes
    count = len(nodes)
    places = {node.id: place for place, node in enumerate(nodes)}
    rate = np.zeros((count + 4, count + 4))
    for place, node in enumerate(nodes):
        heat_j_per_k = node.tau_s / node.r_k_per_w
        w_per_k = 1.0 / (node.r_k_per_w * (r_factor if place == count - 1 else 1.0))
        rate[place, place] -= w_per_k / heat_j_per_k
        if node.to == "ambient":
            rate[place, count + 1] += w_per_k / heat_j_per_k
        else:
            to = places[node.to]
            other_j_per_k = nodes[to].tau_s / nodes[to].r_k_per_w
            rate[place, to] += w_per_k / heat_j_per_k
            rate[to, place] += w_per_k / other_j_per_k
            rate[to, to] -= w_per_k / other_j_per_k
        if place == 0:
            leak = spec.power.leak_w_per_k
            rate[0, 0] += leak / heat_j_per_k
            rate[0, count] += 1.0 / heat_j_per_k
            rate[0, count + 3] -= leak * LEAK_REFERENCE_C / heat_j_per_k
        if place == count - 1:
            rate[place, count + 2] += 1.0 / heat_j_per_k
    small = rate * (dt_s / 2**_HALVINGS)
    result = term = np.eye(count + 4)
    for order in range(1, _TERMS + 1):
        term = term @ small / order
        result = result + term
    for _ in range(_HALVINGS):
        result = result @ result
    return np.asarray(result[:count], np.float64)
