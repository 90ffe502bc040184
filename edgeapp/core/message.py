"""What leaves a pipeline: bytes with a topic, not yet sealed with an id and the time."""

from dataclasses import dataclass
from typing import Literal, Protocol

Priority = Literal["critical", "normal", "bulk"]


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
