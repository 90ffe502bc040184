"""The `mqtt` output: results to the broker."""

from edgeapp.api import Context, Field, Message, Options, Packet, output
from edgeapp.outputs._topic import Topic
from edgeapp.outputs.encoder import BodyEncoder, Result


class MqttOptions(Options):
    """Options of the `mqtt` output."""

    topic: Topic | None = Field(
        default=None,
        description="Topic below edgeapp/<device>/; <pipeline>/<stage> unless given.",
    )
    retain: bool = Field(
        default=False,
        description="Whether the broker keeps the last message for who subscribes later.",
    )


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
