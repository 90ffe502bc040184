"""What becomes of messages that a broker does not take now, and a log that is not flooded by it."""

import threading

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.uplink.outbox import Key

ATTEMPTS = 10
"""A message that was not taken so many times, and never taken, is refused for good."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
SELDOM_S = 60
"""The same event is logged at most once in this time."""

_MOST_KEYS = 10_000


class Retries:
    """Counts attempts and says how long to pause. For the event loop only."""

    def __init__(self) -> None:
        """Begin with none."""
        self.waiting: list[Key] = []
        """Not taken since the last pause began, in the order of their answers."""
        self.count = 0
        """Messages that are or were sent again because the broker did not take them."""
        self._attempts: dict[Key, int] = {}
        self._pauses = 0  # in a row, with nothing taken in between

    def again(self, key: Key) -> bool:
        """Note that a message was not taken; False when that was the last attempt."""
        attempts = self._attempts.pop(key, 0) + 1
        if attempts >= ATTEMPTS:
            return False
        self._attempts[key] = attempts
        if len(self._attempts) > _MOST_KEYS:
            del self._attempts[next(iter(self._attempts))]
        self.waiting.append(key)
        self.count += 1
        return True

    def taken(self, key: Key | None) -> None:
        """The broker took a message, or refused it for good."""
        self._pauses = 0
        if self._attempts and key is not None:
            self._attempts.pop(key, None)

    def pause_s(self) -> float:
        """How long to send nothing; ever longer while nothing is taken."""
        self._pauses += 1
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._pauses - 1, 10))


class SeldomLog:
    """Logs an event at once, and however often it comes, again at most every `SELDOM_S`, counted.

    Safe from any thread.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        """`log`: where it goes."""
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._next_ns: dict[str, int] = {}
        self._kept: dict[str, tuple[int, dict[str, object]]] = {}  # how many, and the last one

    def warning(self, event: str, **facts: object) -> None:
        """Something that an operator should look at. `event` is one of few constant sentences."""
        now_ns = self._clock.now_ns()
        with self._lock:
            count = self._kept.get(event, (0, {}))[0] + 1
            if now_ns < self._next_ns.get(event, now_ns):
                self._kept[event] = (count, facts)
                return
            self._kept.pop(event, None)
            self._next_ns[event] = now_ns + SELDOM_S * NS
        self._log.warning(event, **facts, count=count)

    def flush(self) -> None:
        """Say what was kept back."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for event, (count, facts) in kept.items():
            self._log.warning(event, **facts, count=count)
