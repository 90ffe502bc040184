"""States that the broker keeps for us, and that we keep for the broker.

A broker that was wiped, or replaced, knows nothing of what was retained. So the newest state of each
topic stays here, and is sent again whenever a connection is made.
"""

import threading

from edgeapp.uplink.outbox import Entry, Key

MOST_TOPICS = 2_000
MOST_BYTES = 4 * 1024 * 1024

_OVERHEAD_BYTES = 256  # what the objects of one state take in memory
_GONE = b""  # the payload by which a broker forgets a retained message

State = Entry | bytes
"""A message to be sealed, or a payload as it is."""


class HeldStates:
    """The newest state of each topic, bounded in topics and bytes. Safe from any thread."""

    def __init__(self, *, most_topics: int = MOST_TOPICS, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none."""
        self._most_topics = most_topics
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}
        self._due: dict[str, None] = {}  # ordered
        self._bytes = 0

    def __len__(self) -> int:
        """How many topics there are."""
        return len(self._states)

    def put(self, topic: str, state: State) -> bool:
        """Keep a state, to be sent now; False where there is no room, and it is not kept."""
        with self._lock:
            kept = self._keep(topic, state)
            if kept:
                self._due[topic] = None
            return kept

    def remember(self, topic: str, entry: Entry) -> bool:
        """Keep what the broker has acknowledged, for later connections; False: no room.

        An older message than the one that is known is ignored, and so is one of a topic that is
        being let go.
        """
        with self._lock:
            if self._has_newer(topic, entry.key) or self._states.get(topic) == _GONE:
                return True
            return self._keep(topic, entry)

    def let_go(self, topic: str) -> bool:
        """Make the broker forget a topic, then forget it, too; False: no room to note that."""
        return self.put(topic, _GONE)

    def forget(self, topic: str) -> None:
        """Do not send it again. What the broker has stays there."""
        with self._lock:
            self._remove(topic)

    def all_due(self) -> None:
        """A connection is made: all are to be sent."""
        with self._lock:
            self._due = dict.fromkeys(self._states)

    def any_due(self) -> bool:
        """Whether there is something to send."""
        return bool(self._due)

    def take_due(self) -> tuple[str, State] | None:
        """The next one to send; None: nothing is due."""
        with self._lock:
            if not self._due:
                return None
            topic = next(iter(self._due))
            del self._due[topic]
            return topic, self._states[topic]

    def again(self, topic: str) -> None:
        """It was not taken: it is due once more."""
        with self._lock:
            if topic in self._states:
                self._due[topic] = None

    def done(self, topic: str, state: State) -> None:
        """The broker has taken this state of the topic."""
        with self._lock:
            if state == _GONE and self._states.get(topic) == _GONE:
                self._remove(topic)

    def has_newer(self, topic: str, key: Key) -> bool:
        """Whether a message of this topic is known that was made later."""
        with self._lock:
            return self._has_newer(topic, key)

    def _has_newer(self, topic: str, key: Key) -> bool:
        known = self._states.get(topic)
        return isinstance(known, Entry) and known.key > key

    def _keep(self, topic: str, state: State) -> bool:
        self._remove(topic)  # first: an old state must not come back where the new one has no room
        size = _size(topic, state)
        if len(self._states) >= self._most_topics or self._bytes + size > self._most_bytes:
            return False
        self._states[topic] = state
        self._bytes += size
        return True

    def _remove(self, topic: str) -> None:
        known = self._states.pop(topic, None)
        if known is not None:
            self._bytes -= _size(topic, known)
        self._due.pop(topic, None)


def _size(topic: str, state: State) -> int:
    body = state.message.body if isinstance(state, Entry) else state
    return len(topic) + len(body) + _OVERHEAD_BYTES
