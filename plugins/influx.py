"""An output: features in InfluxDB's line protocol, ready for a database that listens to MQTT.

    stages:
      ...
      features: {transform: features, band_hz: [10, 1500]}
      history:  {output: influx, measurement: pump, every_s: 10, class: bulk}

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import math

from edgeapp.api import Context, Features, Field, Message, Options, Packet, output

_ESCAPES = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": r"\ "})


class InfluxOptions(Options):
    """Options of the `influx` output."""

    measurement: str = Field(
        "edgeapp", min_length=1, description="What the database is to call the measurement."
    )


@output("influx")
class Influx:
    """Send features as a line of text that InfluxDB and its relatives take."""

    def __init__(self, options: InfluxOptions, context: Context) -> None:
        self._topic = f"{context.pipeline}/{context.id}"
        tags = {"pipeline": context.pipeline, "stage": context.id}
        self._head = ",".join(
            [_escaped(options.measurement), *(f"{k}={_escaped(v)}" for k, v in tags.items())]
        )

    def encode(self, packet: Packet[Features]) -> Message | None:
        """The message for a packet; None when there is nothing to say. Sends nothing itself."""
        features = packet.value
        fields = ",".join(
            f"{_escaped(name)}={value!r}"
            for name, value in zip(features.names, features.values.tolist(), strict=True)
            if math.isfinite(value)  # the protocol has no word for «not a number»
        )
        if not fields:
            return None
        # Without a time of its own: the database takes that of arrival. `binary` keeps the
        # envelope away, which is JSON.
        body = f"{self._head} {fields}".encode()
        return Message(self._topic, body, packet.taken_ns, binary=True)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
