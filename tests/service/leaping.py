"""A clock that leaps: hours pass at once where a test says so, and nowhere else."""

from edgeapp.core.clock import MonotonicClock, ns


class LeapingClock(MonotonicClock):
    """The device's own clock, further ahead at each leap.

    So the limits of a test can be far longer than it lasts: a busy machine never reaches them.
    """

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        """Monotonic time and all leaps so far."""
        return MonotonicClock.now_ns() + self._ahead_ns

    def leap(self, seconds: float) -> None:
        """Let so much time be over."""
        self._ahead_ns += ns(seconds)
