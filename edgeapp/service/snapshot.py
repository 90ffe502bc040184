"""A picture of what a stage sees now, as a JPEG that goes out like any other message."""

import asyncio
from collections.abc import Iterator

from edgeapp.core.clock import NS
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Message
from edgeapp.core.payload import Image
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.control.server import RefusedError

TTL_S = 60.0
"""A snapshot that the broker does not have so long after it was asked for is of no use."""
_QUALITY = 85
_MOST_BYTES = 900_000
"""Of a message: a picture with more is made smaller."""


async def take_snapshot(app: App, pipeline: Pipeline, stage: StagePlan) -> str:
    """Send the newest picture of a stage, or else of the stage that feeds it; tells what was sent.

    What the pipeline masks anywhere is black in it. Topic `<pipeline>/<stage>/snapshot`.

    Raises:
        RefusedError: there is no picture, or no room for it.
    """
    packet = _newest(pipeline, stage)
    if packet is None:
        raise RefusedError(_why_none(pipeline, stage))
    asked_ns = app.kit.clock.now_ns()
    body, size = await asyncio.to_thread(_jpeg, pipeline, packet)
    age_s = max(0.0, (asked_ns - packet.taken_ns) / NS)
    topic = f"{pipeline.plan.name}/{stage.id}/snapshot"
    message = Message(
        topic,
        body,
        packet.taken_ns,
        priority="bulk",
        binary=True,
        ttl_s=age_s + TTL_S,
        content_type="image/jpeg",
    )
    if not app.kit.uplink.offer(message):
        raise RefusedError("the picture was dropped: too many messages wait for the broker")
    return f"a picture of {size[0]} x {size[1]} pixels, {age_s:.1f} s old, goes to {topic}"


def _newest(pipeline: Pipeline, stage: StagePlan) -> AnyPacket | None:
    """The newest packet with a picture that came out of a stage, or of the nearest one before it."""
    packets = _newest_upwards(pipeline, stage)
    return next((packet for packet in packets if _image(packet.value) is not None), None)


def _why_none(pipeline: Pipeline, stage: StagePlan) -> str:
    if any(_newest_upwards(pipeline, stage)):
        return f"neither '{stage.id}' nor a stage before it has pictures"
    return f"there is no picture of '{stage.id}' yet"


def _newest_upwards(pipeline: Pipeline, stage: StagePlan) -> Iterator[AnyPacket]:
    """The newest packets of a stage and of those before it, the nearest first."""
    asked = [stage.id]
    for stage_id in asked:  # grows on the way up
        slot = pipeline.slots.get(stage_id)
        if slot is not None and slot.last is not None:
            yield slot.last
        asked += (read for read in pipeline.plan.stages[stage_id].reads if read not in asked)


def _image(value: object) -> Image | None:
    image = value if isinstance(value, Image) else getattr(value, "image", None)
    return image if isinstance(image, Image) else None


def _jpeg(pipeline: Pipeline, packet: AnyPacket) -> tuple[bytes, tuple[int, int]]:
    """The masked picture, encoded, and its width and height. Not on the event loop."""
    from edgeapp.core.opencv import cv2
    from edgeapp.service.privacy import hidden

    image = _image(hidden(pipeline.plan)(packet))
    assert image is not None, "masking takes no picture away"
    pixels = image.pixels
    while True:
        height, width = pixels.shape[:2]
        written, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not written:
            raise RefusedError(f"a picture of {width} x {height} pixels cannot be a JPEG")
        if len(data) <= _MOST_BYTES:
            return data.tobytes(), (width, height)
        half = max(1, width // 2), max(1, height // 2)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # uint8 stays
