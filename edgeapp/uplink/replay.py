"""How fast what waited is sent beside what happens now: half of what the broker can take.

A burst of messages takes a time T until all of them are acknowledged; then the same time is left to
the others. Whatever limits the way (the broker, the network, this device), at most half of it is
used, without knowing how much it is. A burst is as large as it can be without standing in the way:
a live message behind it must not wait for much longer than a message takes anyway.
"""

import math

STRETCH = 0.5
"""A burst may take so much longer than its first message did, as a fraction of that."""
SLACK_S = 0.002
"""A rest that lasted too long, as timers do, is made up for up to here."""
RATE_OVER_S = 5.0

_MOST_TRIAL = 128


class ReplayPace:
    """Says when the next burst may be sent, and how large. For one connection; seconds passed in."""

    def __init__(self, window: int) -> None:
        """Begin. `window`: messages that may be unacknowledged on this connection."""
        self._most = max(1, window // 2)
        self._due_s = 0.0
        self._began_s = 0.0
        self._first_s = 0.0  # from then to the first answer, less what sending took
        self._spent_s = 0.0
        self._size = 0
        self._unanswered = 0
        self._smooth = 0  # bursts in a row that did not stand in the way
        self._trial_after = 1  # so many of them, and a larger one is tried
        self._grew = False
        self.burst = 1
        """Messages of the next burst."""

    def wait_s(self, now_s: float) -> float:
        """How long until the next burst may be sent; infinite while one is under way."""
        return math.inf if self._unanswered else max(0.0, self._due_s - now_s)

    def sent(self, count: int, began_s: float, now_s: float) -> None:
        """`count` messages were made ready from `began_s` on and written until `now_s`."""
        if not self._unanswered:
            self._began_s, self._size, self._first_s = began_s, 0, 0.0
            self._spent_s = 0.0
        self._spent_s += now_s - began_s
        self._size += count
        self._unanswered += count

    def answered(self, now_s: float) -> None:
        """One of them was."""
        took_s = now_s - self._began_s
        if not self._first_s:
            self._first_s = took_s
        self._unanswered -= 1
        if self._unanswered:
            return
        alone_s = self._first_s - self._spent_s
        free = took_s - alone_s <= STRETCH * alone_s
        rest_s = took_s
        if free and self._size >= self._most > 1:
            # The way is long, not narrow: half of the window under way is half of what can be sent.
            # What the burst took longer than one message, the other half would take, too.
            rest_s = (took_s - alone_s) * self._size / (self._size - 1)
        self._due_s = max(self._due_s + took_s + rest_s, now_s + rest_s - SLACK_S)
        self._adapt(free=free)

    def _adapt(self, *, free: bool) -> None:
        """Larger bursts while they do no harm; the more seldom tried, the more often they did."""
        if not free:
            self.burst = max(1, self._size * 3 // 4)
            self._smooth, self._trial_after = 0, min(_MOST_TRIAL, 2 * self._trial_after)
            self._grew = False
            return
        self._smooth += 1
        if self._smooth >= self._trial_after and self._size >= self.burst:
            self.burst = min(self._most, self.burst + 1)
            self._smooth = 0
            if self._grew:  # and did no harm
                self._trial_after = max(1, self._trial_after // 2)
            self._grew = True


class Rate:
    """Events per second, over the last few seconds. Seconds passed in."""

    def __init__(self) -> None:
        self._since_s = 0.0
        self._count = 0
        self._per_s = 0.0

    def add(self, now_s: float) -> None:
        """One more."""
        if now_s - self._since_s >= RATE_OVER_S:
            self._per_s = self.per_s(now_s)
            self._since_s, self._count = now_s, 0
        self._count += 1

    def per_s(self, now_s: float) -> float:
        """The rate now."""
        elapsed_s = now_s - self._since_s
        if elapsed_s < RATE_OVER_S:
            return self._per_s or self._count / max(elapsed_s, 1.0)
        return self._count / elapsed_s
