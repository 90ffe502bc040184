"""An uplink that keeps what it is given."""

import threading

from edgeapp.core.message import Message


class RecordingUplink:
    """Keeps every message in order. `accept` False refuses them, as a full uplink does."""

    def __init__(self, *, accept: bool = True) -> None:
        self.accept = accept
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
