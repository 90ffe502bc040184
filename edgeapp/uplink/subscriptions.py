"""Who listens to which topics."""

import threading

from edgeapp.core.context import Log
from edgeapp.uplink.connection import OnMessage, Received


class Subscriptions:
    """Handlers by topic filter. Safe from any thread, but that `dispatch` is the event loop's."""

    def __init__(self, log: Log) -> None:
        """Begin with none. `log`: hears of handlers that raise."""
        self._log = log
        self._lock = threading.Lock()
        self._handlers: dict[str, tuple[OnMessage, ...]] = {}

    def add(self, topic_filter: str, handler: OnMessage) -> None:
        """Call `handler` with each message that matches."""
        with self._lock:
            known = self._handlers.get(topic_filter, ())
            self._handlers = {**self._handlers, topic_filter: (*known, handler)}

    def filters(self) -> tuple[str, ...]:
        """All topic filters."""
        return tuple(self._handlers)

    def dispatch(self, message: Received) -> None:
        """Hand a message to everyone who listens. Never raises; who raises is logged."""
        for topic_filter, handlers in self._handlers.items():
            if matches(topic_filter, message.topic):
                for handler in handlers:
                    try:
                        handler(message)
                    except Exception:  # noqa: BLE001  whatever it raises, the connection holds
                        self._log.error(
                            "message of the broker could not be handled",
                            topic=message.topic,
                            exc_info=True,
                        )


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic is one of those that a filter names.

    MQTT 5, section 4.7: `+` is any one level, a last `#` is any number of levels, also none; neither
    stands for a first level that begins with `$`.
    """
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if levels[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        want in {"+", level} for want, level in zip(wanted, levels, strict=True)
    )
