"""How long an action may still take once its pipeline stops: less than the pipeline waits for it."""

import threading
import time

from edgeapp.api import Stopping

_STOP_S = 2.0
"""For all that is still in the queue together; the runtime waits 5 s for an action to end."""


class LastWords:
    """Limits that shrink when the pipeline stops. For one thread, but for `left_s`."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._end_s: float | None = None

    def left_s(self, deadline_s: float) -> float:
        """Seconds until a deadline, which is one of `time.monotonic`, or the last word's."""
        now_s = time.monotonic()
        if self._stopping.is_set():
            if self._end_s is None:
                self._end_s = now_s + _STOP_S
            deadline_s = min(deadline_s, self._end_s)
        return deadline_s - now_s

    def begin(self) -> None:
        """To be called before something that takes long.

        Raises:
            Stopping: the pipeline stops, and there is no time left for it.
        """
        if self.left_s(float("inf")) <= 0:
            raise Stopping
