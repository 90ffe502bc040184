from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from edgeapp.core.context import Context
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Score
from edgeapp.outputs.mqtt import Mqtt, MqttOptions

Wrap = Callable[[Any], Packet[Any]]


def test_the_topic_is_pipeline_and_stage_unless_given(context: Context, packet: Wrap) -> None:
    message = Mqtt(MqttOptions(), context).encode(packet(Score(1.0)))
    assert (message.topic, message.retain, message.taken_ns) == ("porch/people", False, 9_000)
    named = Mqtt(MqttOptions(topic="door/who", retain=True), context)
    message = named.encode(packet(Score(1.0)))
    assert (message.topic, message.retain) == ("door/who", True)


@pytest.mark.parametrize(
    "topic",
    ["", "/door", "door/", "a//b", "a/+/b", "#", "a\nb", "a\x00", "\ud800", "x" * 201,
     "status", "door/set", "set", "$SYS/x", "config", "gap", "outbox", "reply", "porch/state",
     "porch/detect/variant", "porch/detect/settings", "porch/camera/snapshot"],
)  # fmt: skip
def test_a_topic_that_cannot_be_published_to_is_refused(topic: str) -> None:
    with pytest.raises(ValidationError, match=r"topic|reserved"):
        MqttOptions(topic=topic)
