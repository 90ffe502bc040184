"""What leaves a pipeline: bytes with a topic, not yet sealed with an id and the time."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

Priority = Literal["critical", "normal", "bulk"]

_LONGEST_TTL_S = 2.0**32  # what MQTT 5 can say
_LEAST_BODY = len('{"a":1}')
_TOPIC = re.compile(r"[^\x00-\x1f\x7f-\x9f+#\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]{1,1024}")
"""Without what MQTT lets a broker hang up on (its section 1.5.4)."""


@dataclass(frozen=True, slots=True)
class Message:
    """Made by an Output on the lane; the uplink seals it and sends it."""

    topic: str
    """Below `edgeapp/<device>/`: usually `<pipeline>/<stage>`."""
    body: bytes
    """A JSON object without the envelope's fields; or, where `binary`, the payload itself."""
    taken_ns: int
    """Monotonic time at which the packet entered the pipeline."""
    priority: Priority = "normal"
    binary: bool = False
    retain: bool = False
    ttl_s: float | None = None
    """Of no use to anybody so long after `taken_ns`: then it is dropped, as expired."""
    content_type: str = ""
    """Of a binary body, such as image/jpeg. A broker that speaks MQTT 5 passes it on."""

    def check(self) -> None:
        """Refuse what would not come through: a broker hangs up on a topic that is none.

        Raises:
            TypeError: topic or body is of another type.
            ValueError: the topic has wildcards or control characters, is empty or too long; the
                body is not the text of a JSON object with something in it; `ttl_s` is no time.
        """
        if not is_topic(self.topic):
            raise ValueError(
                f"{self.topic[:100]!r} cannot be a topic: 1 to 1024 characters, without '+' and '#'"
            )
        if type(self.body) is not bytes:
            raise TypeError(f"the body of a message is bytes, not {type(self.body).__name__}")
        if not self.binary and (self.body[:1] != b"{" or len(self.body) < _LEAST_BODY):
            raise ValueError("the body is no JSON object with something in it; is it binary?")
        if self.ttl_s is not None and not 0 < self.ttl_s < _LONGEST_TTL_S:
            raise ValueError(f"ttl_s is a time in seconds, not {self.ttl_s}")


@lru_cache(maxsize=256)
def is_topic(text: str) -> bool:
    """Whether it can be published to: not empty, not too long, no wildcards."""
    return _TOPIC.fullmatch(text) is not None


class Arrived(NamedTuple):
    """What came from the broker on a topic."""

    payload: bytes
    at_ns: int
    """Monotonic time of its arrival."""


class Watched(Protocol):
    """A topic that a stage follows. Safe from any thread."""

    def latest(self) -> Arrived | None:
        """The newest message; None: there was none yet."""


class NeverArrives:
    """A topic that nobody listens to: in tests and replays, and where there is no broker."""

    def __init__(self, topic: str) -> None:
        del topic

    def latest(self) -> None:
        """Nothing came."""


class Uplink(Protocol):
    """The one way out of the device, as pipelines see it. Safe from any thread."""

    def offer(self, message: Message) -> bool:
        """Take a message for the broker without blocking; False when it had to be dropped.

        The uplink counts what it drops.
        """

    def seal(self, message: Message) -> bytes:
        """Put the envelope (schema, id, time, clock, age) around a message's body.

        For outputs that are their own destination. A binary body is returned as it is.
        """

    def watch(self, topic: str) -> Watched:
        """Follow a topic, named in full, for as long as the process runs.

        Raises:
            ValueError: it cannot be a topic, or has wildcards.
        """
