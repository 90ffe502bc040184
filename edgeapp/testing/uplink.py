"""An uplink that keeps what it is given."""

import threading
from collections.abc import Mapping

from edgeapp.core.message import Arrived, Message, NeverArrives, Watched


class RecordingUplink:
    """Keeps every message in order. `accept` False refuses them, as a full uplink does.

    `arrived`: what came from the broker before the start, by topic.
    """

    def __init__(self, *, accept: bool = True, arrived: Mapping[str, bytes] | None = None) -> None:
        self.accept = accept
        self._arrived = arrived or {}
        self.messages: list[Message] = []
        self.refused = 0
        self._lock = threading.Lock()

    def offer(self, message: Message) -> bool:
        """Keep the message, or count it as refused."""
        with self._lock:
            if not self.accept:
                self.refused += 1
                return False
            self.messages.append(message)
            return True

    def seal(self, message: Message) -> bytes:
        """The body as it is: no envelope, so that tests compare equal."""
        return message.body

    def watch(self, topic: str) -> Watched:
        """What came before the start stays the newest message."""
        payload = self._arrived.get(topic)
        return NeverArrives(topic) if payload is None else _Still(Arrived(payload, 0))


class _Still:
    def __init__(self, latest: Arrived) -> None:
        self._latest = latest

    def latest(self) -> Arrived:
        return self._latest
