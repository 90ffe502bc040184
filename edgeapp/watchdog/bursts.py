"""The load of others as it comes: a quiet level, and bursts of some height, length and frequency."""

from math import exp, expm1

RISE = 0.3
"""Cores above the quiet level from which on it is a burst."""
QUIET_S = 120.0
"""Over which the quiet level is learned."""
SHARE_S = 3600.0
"""Over which it is learned how often there are bursts."""
FIRST_LENGTH_S = 60.0
"""How long a burst is taken to last before one was seen to its end."""
LONGEST_S = 300.0
"""What lasts longer is no burst but the new quiet level."""
NEWS = 0.3
"""Share of the latest burst in what is expected of the next."""


class Bursts:
    """Learns how others use the cores."""

    def __init__(self) -> None:
        self.quiet = 0.0
        """Cores that others use between bursts."""
        self.height = 0.0
        """Cores that they use more in a burst."""
        self.length_s = FIRST_LENGTH_S
        """How long a burst lasts."""
        self.share = 0.0
        """Of the time, in which there is a burst."""
        self.age_s: float | None = None
        """Of the burst of now; None: there is none."""
        self._seen_s = 0.0
        self._burst_s = 0.0
        self._sum = 0.0
        self._known = False

    @property
    def mean(self) -> float:
        """Cores that others use in the long run."""
        return self.quiet + self.share * self.height

    @property
    def gap_s(self) -> float:
        """How long it is quiet between two bursts."""
        return self.length_s * (1 - self.share) / self.share if self.share > 0 else 0.0

    @property
    def left_s(self) -> float:
        """How long the burst of now will last yet."""
        return max(0.0, self.length_s - (self.age_s or 0.0))

    def look(self, elapsed_s: float, others: float) -> None:
        """Take in what others used since `elapsed_s` ago."""
        kept = exp(-elapsed_s / SHARE_S)
        self._seen_s = self._seen_s * kept + elapsed_s
        self._burst_s *= kept
        if not self._known:
            self._known, self.quiet = True, others
        if others < self.quiet + (RISE if self.age_s is None else RISE / 2):
            self._end()
            self.quiet += (others - self.quiet) * -expm1(-elapsed_s / QUIET_S)
        else:
            self._go_on(elapsed_s, others)
        self.share = self._burst_s / max(self._seen_s, 600.0)

    def _go_on(self, elapsed_s: float, others: float) -> None:
        if self.age_s is None:
            self.age_s, self._sum = 0.0, 0.0
        self.age_s += elapsed_s
        self._sum += (others - self.quiet) * elapsed_s
        self._burst_s += elapsed_s
        # The highest of what was and what is: a burst is met with the reserve that it needs.
        self.height = max(self.height, self._sum / self.age_s)
        if self.age_s > LONGEST_S:
            self.quiet = others
            self._burst_s = max(0.0, self._burst_s - self.age_s)
            self.age_s = None

    def _end(self) -> None:
        if self.age_s is None:
            return
        self.height += NEWS * (self._sum / self.age_s - self.height)
        self.length_s += NEWS * (self.age_s - self.length_s)
        self.age_s = None
