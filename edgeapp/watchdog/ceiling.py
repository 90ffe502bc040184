"""A ceiling for devices whose heat cannot be read: below the load at which they slowed down."""

from math import exp, inf

CUT = 0.85
"""Of the load that was too much, what is allowed next."""
CUT_EVERY_S = 10.0
HOLD_S = 600.0
"""Without slowing down, before the ceiling rises."""
RISE_S = 3600.0
"""In which it then rises by a factor of e."""


class Ceiling:
    """Cores that may be busy; each slowing down lowers it, long peace raises it slowly."""

    def __init__(self) -> None:
        self.cores = inf
        self._cut_s = -inf

    def look(
        self, now_s: float, elapsed_s: float, *, slowed: bool, busy: float, most: float
    ) -> None:
        """Take in a tick: whether the hardware slowed down with so many cores busy, of `most`."""
        if slowed:
            if now_s - self._cut_s >= CUT_EVERY_S:
                self.cores = CUT * min(self.cores, busy)
                self._cut_s = now_s
        elif self.cores < inf and now_s - self._cut_s >= HOLD_S:
            self.cores *= exp(elapsed_s / RISE_S)
            if self.cores > most:
                self.cores = inf
