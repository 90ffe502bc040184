"""A bound on all that is logged: however different the lines of a flood are, it ends here."""

import threading
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from edgeapp.core.clock import NS, Clock

LINES_A_MINUTE = 200
"""Lines of all kinds, sustained, and as many at once; the next one says how many were left out."""
_MINUTE_NS = 60 * NS
_KEPT_FOR: Mapping[str, float] = {"error": 0.0, "warning": 0.25}
"""The share of them that is left to what is worse than this."""
_KEPT_FOR_OTHERS = 0.5


class Flood:
    """Lets so many lines a minute pass, what is worse longer than the rest. Any thread.

    A bucket of `LINES_A_MINUTE` that fills up again in a minute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left = float(LINES_A_MINUTE)
        self._at_ns = clock.now_ns()
        self._left_out = 0

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Pass the event on.

        Raises:
            DropEvent: there were too many.
        """
        kept = _KEPT_FOR.get(str(event.get("level")), _KEPT_FOR_OTHERS) * LINES_A_MINUTE
        with self._lock:
            now_ns = self._clock.now_ns()
            gained = (now_ns - self._at_ns) / _MINUTE_NS * LINES_A_MINUTE
            self._left, self._at_ns = min(self._left + gained, LINES_A_MINUTE), now_ns
            if self._left < kept + 1:
                self._left_out += 1
                raise structlog.DropEvent
            self._left -= 1
            if self._left_out:
                event["lines_left_out"], self._left_out = self._left_out, 0
        return event
