"""The `mqtt` output: results to the broker."""

import re

from pydantic import field_validator

from edgeapp.api import Context, Field, Message, Options, Packet, output
from edgeapp.outputs.encoder import BodyEncoder, Result

_MAX_TOPIC = 200
_RESERVED = re.compile(r"status|(.*/)?set")
_ODD = re.compile(r"[+#]|[\x00-\x1f\x7f-\x9f]|[\ud800-\udfff]|[\ufdd0-\ufdef]")


class MqttOptions(Options):
    """Options of the `mqtt` output."""

    topic: str | None = Field(
        default=None,
        description="Topic below edgeapp/<device>/; <pipeline>/<stage> unless given.",
    )
    retain: bool = Field(
        default=False,
        description="Whether the broker keeps the last message for who subscribes later.",
    )

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, topic: str | None) -> str | None:
        if topic is None:
            return None
        if not topic or topic.startswith("/") or topic.endswith("/") or "//" in topic:
            raise ValueError("a topic has no empty level: write it as in 'door/people'")
        if len(topic) > _MAX_TOPIC:
            raise ValueError(f"a topic is at most {_MAX_TOPIC} characters long")
        if _ODD.search(topic):
            raise ValueError("a topic to publish to has no '+', '#' or control characters")
        if topic.startswith("$") or _RESERVED.fullmatch(topic):
            raise ValueError(f"'{topic}' is reserved: choose another topic")
        return topic


@output("mqtt")
class Mqtt:
    """Send results to the MQTT broker, at least once each."""

    def __init__(self, options: MqttOptions, context: Context) -> None:
        self._topic = options.topic or f"{context.pipeline}/{context.id}"
        self._retain = options.retain
        self._bodies = BodyEncoder(context.pipeline, context.id)

    def encode(self, packet: Packet[Result]) -> Message:
        """The message for a packet."""
        return Message(
            self._topic, self._bodies.encode(packet), packet.taken_ns, retain=self._retain
        )
