"""A device of three heat nodes: what is learned of two must do for it. Not the governor's model."""

import random
from copy import copy
from dataclasses import dataclass
from math import floor


@dataclass
class ToyPlant:
    """Die, board and case in a chain to the surroundings, integrated in steps of 0.2 s.

    Power grows with the load, with the clock (throttled in steps above 80 degrees) and, by leakage,
    with the die's own temperature.
    """

    ambient_c: float = 25.0
    die_k_per_w: float = 2.5
    die_j_per_k: float = 2.4
    board_k_per_w: float = 6.0
    board_j_per_k: float = 22.0
    case_k_per_w: float = 5.0
    case_j_per_k: float = 60.0
    idle_w: float = 2.1
    core_w: float = 1.07
    leak_w_per_k: float = 0.006
    lsb_c: float = 0.487
    noise_c: float = 0.35
    seed: int = 1
    die_c: float = 0.0
    board_c: float = 0.0
    case_c: float = 0.0
    ratio: float = 1.0
    throttles: bool = True

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        if not self.die_c:
            self.settle(0.2)

    def settle(self, cores: float) -> None:
        """As it would be after hours of this load."""
        power = self.idle_w + self.core_w * cores
        for _ in range(20):
            self.case_c = self.ambient_c + self.case_k_per_w * power
            self.board_c = self.case_c + self.board_k_per_w * power
            self.die_c = self.board_c + self.die_k_per_w * power
            power = self._power(cores)

    def tick(self, cores: float, dt: float = 1.0) -> float:
        """Let time pass under a load; gives the cores that really heat, full clock."""
        self._throttle()
        real = cores * self.ratio
        steps = max(1, round(dt * 5))
        h = dt / steps
        for _ in range(steps):
            to_board = (self.die_c - self.board_c) / self.die_k_per_w
            to_case = (self.board_c - self.case_c) / self.board_k_per_w
            to_air = (self.case_c - self.ambient_c) / self.case_k_per_w
            self.die_c += h * (self._power(real) - to_board) / self.die_j_per_k
            self.board_c += h * (to_board - to_case) / self.board_j_per_k
            self.case_c += h * (to_case - to_air) / self.case_j_per_k
        return real

    def read(self) -> float:
        """What the sensor says: noisy, in steps."""
        noisy = self.die_c + self._random.gauss(0.0, self.noise_c)
        return floor(noisy / self.lsb_c + 0.5) * self.lsb_c

    def unthrottled(self) -> "ToyPlant":
        """The same device as it is now, with hardware that never slows down."""
        twin = copy(self)
        twin.throttles, twin.ratio = False, 1.0
        return twin

    def _power(self, cores: float) -> float:
        return self.idle_w + self.core_w * cores + self.leak_w_per_k * (self.die_c - 50.0)

    def _throttle(self) -> None:
        if not self.throttles:
            return
        steps = (1.0, 0.667, 0.5, 0.4)
        at = steps.index(self.ratio)
        if self.die_c > 80.0 and at < len(steps) - 1:
            self.ratio = steps[at + 1]
        elif self.die_c < 78.0 and at > 0:
            self.ratio = steps[at - 1]
