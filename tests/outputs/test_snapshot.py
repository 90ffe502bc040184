"""Pictures on a binary topic: what they show, how large they are, what has none."""

from typing import Any

import numpy as np
import pytest

from edgeapp.api import BadPacket, Detections, Event, Image, Message, View
from edgeapp.core.opencv import cv2
from edgeapp.outputs.snapshot import Snapshot, SnapshotOptions
from edgeapp.testing import packets, run_stage
from edgeapp.testing.stage import context

WIDE = Image(np.full((48, 64, 3), 40, np.uint8))


def bright_corner() -> Image:
    """Black, but for its lower right quarter."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[40:, 80:] = 255
    return Image(pixels)


def found(image: Image | None, *boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        np.zeros(len(boxes), np.int32),
        ("cat",),
        image,
    )


def sent(value: Any, **options: Any) -> Message | None:
    output = Snapshot(SnapshotOptions.model_validate(options), context("shot"))
    [packet] = packets([value])
    return output.encode(packet)


def seen(message: Message | None) -> Any:
    assert message is not None
    return cv2.imdecode(np.frombuffer(message.body, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_picture_is_a_jpeg_on_a_binary_topic() -> None:
    message = sent(WIDE)
    assert message is not None
    message.check()
    assert (message.topic, message.binary, message.retain) == ("test/shot", True, False)
    assert (message.content_type, message.priority) == ("image/jpeg", "bulk")
    assert message.body[:2] == b"\xff\xd8"
    assert seen(message).shape == (48, 64, 3)
    assert abs(int(seen(message).mean()) - 40) <= 1


def test_topic_and_retain_are_options() -> None:
    message = sent(WIDE, topic="door/picture", retain=True)
    assert message is not None
    assert (message.topic, message.retain) == ("door/picture", True)
    with pytest.raises(ValueError, match="reserved"):
        SnapshotOptions(topic="porch/camera/snapshot")


def test_a_wide_picture_is_made_smaller_and_keeps_its_shape() -> None:
    assert seen(sent(WIDE, max_width_px=32)).shape == (24, 32, 3)
    assert seen(sent(WIDE, max_width_px=64)).shape == (48, 64, 3)


def test_a_grey_picture_stays_grey() -> None:
    assert seen(sent(Image(np.zeros((20, 30), np.uint8)))).shape == (20, 30)


def test_less_quality_is_less_to_send() -> None:
    noise = Image(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))
    small, large = sent(noise, quality=10), sent(noise, quality=95)
    assert small is not None
    assert large is not None
    assert len(small.body) < len(large.body) / 3


def test_detections_send_all_of_their_picture_and_nothing_is_drawn() -> None:
    assert seen(sent(found(WIDE, (0.2, 0.2, 0.8, 0.8)))).std() < 1


def test_or_the_best_of_them_alone_with_a_margin() -> None:
    """Within a picture that shows a part of the source picture, too."""
    whole = bright_corner()
    boxes = (0.6, 0.6, 0.9, 0.9), (0.0, 0.0, 0.1, 0.1)
    best = seen(sent(found(whole, *boxes), shows="best"))
    assert best.mean() > 250
    assert best.shape == (30, 58, 3)  # 0.3 and a tenth of that on each side, within the edges

    right = Image(np.ascontiguousarray(whole.pixels[:, 80:]), View(0.5, 0.0, 0.5, 1.0))
    assert seen(sent(found(right, *boxes), shows="best")).mean() > 250


def test_of_nothing_found_there_is_no_best() -> None:
    assert sent(found(WIDE), shows="best") is None
    assert sent(found(WIDE, (2.0, 2.0, 3.0, 3.0)), shows="best") is None


def test_an_event_sends_its_best_picture_as_it_is() -> None:
    event = Event("end", "e", "track", "cat", 0, box=(0, 0, 0.1, 0.1), image=WIDE)
    assert seen(sent(event, shows="best")).shape == (48, 64, 3)


def test_what_has_no_picture_is_a_bad_packet() -> None:
    for value in (found(None), Event("end", "e", "track", "cat", 0)):
        with pytest.raises(BadPacket, match="no picture") as raised:
            sent(value)
        assert raised.value.reason == "no_picture"
    nan = float("nan")
    with pytest.raises(BadPacket, match="finite"):
        sent(found(WIDE, (nan, 0, 1, 1)), shows="best")


def test_the_framework_paces_it_as_any_other_output() -> None:
    ran = run_stage(Snapshot, {}, packets([WIDE] * 5), every_s=2)
    assert [message.taken_ns // 10**9 for message in ran.messages] == [0, 2, 4]
