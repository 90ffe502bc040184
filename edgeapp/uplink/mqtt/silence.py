"""Warns of a broker that is there, but acknowledges nothing: else only the outbox would grow."""

from collections.abc import Callable

from edgeapp.core.context import Log
from edgeapp.uplink.connection import Endpoint


class SilenceWatch:
    """Counts what one connection has not been told of. For the event loop only."""

    def __init__(self, endpoint: Endpoint, log: Log | None, now_s: Callable[[], float]) -> None:
        """Begin with nothing sent. `now_s`: the event loop's time."""
        self._endpoint = endpoint
        self._log = log
        self._now_s = now_s
        self._unacknowledged = 0
        self._heard_s = 0.0  # the last answer, or the first message after all were answered
        self._told = False

    def sent(self, count: int) -> None:
        """So many messages were sent."""
        if not self._unacknowledged:
            self._heard_s = self._now_s()
        self._unacknowledged += count

    def heard(self) -> None:
        """One message was acknowledged or refused."""
        self._unacknowledged -= 1
        self._heard_s = self._now_s()
        self._told = False

    def look(self) -> None:
        """Warn once for each silence that lasts as long as a ping is waited for."""
        silent_s = self._now_s() - self._heard_s
        patience_s = self._endpoint.keepalive_s
        if self._told or not self._unacknowledged or silent_s < patience_s or self._log is None:
            return
        self._told = True
        self._log.warning(
            "the broker acknowledges no message: see if it is overloaded, or its disk is full",
            broker=str(self._endpoint),
            unacknowledged=self._unacknowledged,
            for_s=round(silent_s),
        )
