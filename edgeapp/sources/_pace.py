"""Time for pictures: which ones a rate lets through, and when a file's are due."""

from edgeapp.api import Context

NS = 1_000_000_000


class RateLimit:
    """Lets through at most `rate_hz` pictures per second of stream time, evenly spaced.

    A sixth of a period early still counts as due, so that a camera's jitter does not halve its
    rate; what is due next keeps to the grid, so the rate holds on average.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._period_ns = 0 if rate_hz is None else round(NS / rate_hz)
        self._due_ns: int | None = None

    def admits(self, t_ns: int) -> bool:
        """Whether the picture taken at `t_ns` goes on. Times never go back."""
        if self._due_ns is None:
            self._due_ns = t_ns + self._period_ns
            return True
        if t_ns < self._due_ns - self._period_ns // 6:
            return False
        self._due_ns = max(self._due_ns, t_ns - self._period_ns // 2) + self._period_ns
        return True


class RealTime:
    """Waits until a file's picture is due, counted from the first one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ahead_ns: int | None = None  # clock minus stream time

    def wait_for(self, t_ns: int) -> None:
        """Sleep until the stream time `t_ns` has come; not at all if it has passed.

        Raises:
            Stopping: the pipeline stops meanwhile.
        """
        now_ns = self._context.clock.now_ns()
        if self._ahead_ns is None:
            self._ahead_ns = now_ns - t_ns
        early_ns = t_ns + self._ahead_ns - now_ns
        if early_ns > 0:
            self._context.sleep(early_ns / NS)
