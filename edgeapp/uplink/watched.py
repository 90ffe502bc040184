"""Topics that stages follow: the newest message of each."""

from collections.abc import Callable
from threading import Lock

from edgeapp.core.clock import Clock
from edgeapp.core.message import Arrived, is_topic
from edgeapp.uplink.connection import OnMessage, Received


class WatchedTopic:
    """The newest message of one topic. Kept as it comes, on the event loop; read by any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: Arrived | None = None

    def latest(self) -> Arrived | None:
        """The newest message; None: there was none yet."""
        return self._latest

    def arrived(self, message: Received) -> None:
        """Keep this one instead."""
        self._latest = Arrived(message.payload, self._clock.now_ns())


class WatchedTopics:
    """All topics that are followed, each subscribed to once. Safe from any thread.

    A stage that is built anew follows its topic again; then it gets what it had.
    """

    def __init__(self, subscribe: Callable[[str, OnMessage], None], clock: Clock) -> None:
        self._subscribe = subscribe
        self._clock = clock
        self._lock = Lock()
        self._topics: dict[str, WatchedTopic] = {}

    def watch(self, topic: str) -> WatchedTopic:
        """Follow a topic, named in full.

        Raises:
            ValueError: it cannot be a topic, or has wildcards.
        """
        if not is_topic(topic):
            raise ValueError(f"{topic[:100]!r} is no topic in full, without '+' and '#'")
        with self._lock:
            watched = self._topics.get(topic)
            if watched is None:
                watched = self._topics[topic] = WatchedTopic(self._clock)
                self._subscribe(topic, watched.arrived)
        return watched
