"""The `snapshot` output: pictures to the broker."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import (
    BadPacket,
    Context,
    Detections,
    Event,
    Field,
    Image,
    Message,
    Options,
    Packet,
    output,
)
from edgeapp.core.message import Priority
from edgeapp.core.opencv import cv2
from edgeapp.outputs._topic import Topic

_MARGIN = 0.1
"""Around the best detection, as a fraction of its box on each side."""


class SnapshotOptions(Options):
    """Options of the `snapshot` output."""

    topic: Topic | None = Field(
        default=None,
        description="Topic below edgeapp/<device>/; <pipeline>/<stage> unless given.",
    )
    retain: bool = Field(
        default=False,
        description="Whether the broker keeps the last picture for who subscribes later.",
    )
    shows: Literal["full", "best"] = Field(
        default="full",
        description="Of detections and tracks: the full picture, or the best one of them alone.",
    )
    quality: int = Field(default=80, ge=1, le=100, description="JPEG quality.")
    max_width_px: int = Field(
        default=640, ge=16, le=8192, description="Wider pictures are made smaller."
    )


@output("snapshot")
class Snapshot:
    """Send pictures to the MQTT broker as JPEG, with nothing drawn in.

    Of an event it is the best picture so far, as it is: the event's box is that of its latest
    moment, and need not fit. `when: phase == "end"` sends the best of all, once.
    """

    priority: ClassVar[Priority] = "bulk"

    def __init__(self, options: SnapshotOptions, context: Context) -> None:
        self._options = options
        self._topic = options.topic or f"{context.pipeline}/{context.id}"

    def encode(self, packet: Packet[Detections | Image | Event]) -> Message | None:
        """The message for a packet; None where only the best is wanted and nothing was found.

        Raises:
            BadPacket: the detections, or the event, come without their picture.
        """
        value = packet.value
        image = value if isinstance(value, Image) else value.image
        if image is None:
            what = "this event carries" if isinstance(value, Event) else "these detections carry"
            raise BadPacket(f"{what} no picture", reason="no_picture")
        pixels: NDArray[np.uint8] | None = image.pixels
        if isinstance(value, Detections) and self._options.shows == "best":
            pixels = _best(value, image)
        if pixels is None:
            return None
        return Message(
            self._topic,
            self._jpeg(pixels),
            packet.taken_ns,
            priority=self.priority,
            binary=True,
            retain=self._options.retain,
            content_type="image/jpeg",
        )

    def _jpeg(self, pixels: Any) -> bytes:
        height, width = pixels.shape[:2]
        most = self._options.max_width_px
        if width > most:
            size = most, max(1, round(height * most / width))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._options.quality]
        written, data = cv2.imencode(".jpg", pixels, quality)
        if not written:
            raise BadPacket(f"a picture of {width}x{height} cannot be a JPEG", reason="size")
        return data.tobytes()


def _best(found: Detections, image: Image) -> NDArray[np.uint8] | None:
    """What is within the best box and a margin around it; None where no pixel is."""
    if not len(found):
        return None
    height, width = image.pixels.shape[:2]
    view = image.view
    left, top, right, bottom = (float(corner) for corner in found.xyxy[0])
    if not np.isfinite([left, top, right, bottom]).all():
        raise BadPacket("a detection is not a finite number", reason="not_finite")
    across, down = _MARGIN * (right - left), _MARGIN * (bottom - top)
    columns = _within(left - across, right + across, view.left, view.width, width)
    rows = _within(top - down, bottom + down, view.top, view.height, height)
    part = image.pixels[rows, columns]
    return np.ascontiguousarray(part) if part.size else None


def _within(low: float, high: float, begin: float, length: float, count: int) -> slice:
    """A stretch of the source picture, as pixels of a picture that shows a part of it."""
    ends = ((low - begin) / length * count, (high - begin) / length * count)
    first, last = (min(max(end, 0.0), float(count)) for end in ends)
    return slice(int(first), int(np.ceil(last)))
