import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgeapp.core.packet import Packet
from edgeapp.core.payload import Detections, Features, Score
from edgeapp.errors import BadPacket
from edgeapp.outputs.bodies import DetectionsBody
from edgeapp.outputs.encoder import BodyEncoder

Wrap = Callable[[Any], Packet[Any]]


def encode(packet: Packet[Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(BodyEncoder("porch", "people").encode(packet))
    return body


def bare(value: Any) -> Packet[Any]:
    return Packet(value, "camera", 0, 0, 0, 0, 0, 0, 0, ())


def test_detections_say_boxes_labels_and_scores(packet: Wrap, detections: Detections) -> None:
    """Boxes are x, y, width, height, cut off at the picture's edge."""
    assert encode(packet(detections)) == {
        "schema": "edgeapp/detections/1",
        "pipeline": "porch",
        "stage": "people",
        "origin": "camera",
        "epoch": 1,
        "seq": 42,
        "part": 0,
        "model": "detector",
        "variant": "yolox_nano",
        "rung": 0,
        "lost": 3,
        "count": 2,
        "boxes": [[0.31, 0.22, 0.2, 0.6], [0.0, 0.5, 0.25, 0.5]],
        "labels": ["person", "dog"],
        "scores": [0.87, 0.5],
    }


def test_a_packet_without_a_model_says_null_for_it() -> None:
    body = encode(bare(Score(0.5)))
    assert (body["model"], body["variant"], body["rung"]) == (None, None, None)


def test_a_score_says_its_parts_and_null_for_what_is_no_number() -> None:
    body = encode(bare(Score(float("inf"), parts={"t2": 1.5, "q": float("nan")})))
    assert body["value"] is None
    assert body["parts"] == {"t2": 1.5, "q": None}
    assert body["ready"] is True


def test_a_score_that_still_learns_says_how_far_it_is() -> None:
    body = encode(bare(Score(0.0, ready=False, progress=0.37)))
    assert (body["value"], body["ready"], body["progress"]) == (0.0, False, 0.37)


def test_features_say_values_and_units_by_name() -> None:
    encoder = BodyEncoder("pump", "trend")
    for value in (1.5, 2.5):
        features = Features(np.array([value, np.nan]), ("x.rms", "x.crest"), ("m/s²", "1"))
        body = json.loads(encoder.encode(bare(features)))
        assert body["values"] == {"x.rms": value, "x.crest": None}
        assert body["units"] == {"x.rms": "m/s²", "x.crest": "1"}


def test_units_follow_when_the_features_change() -> None:
    """The encoder remembers units by identity of the tuples; other tuples are not confused."""
    encoder = BodyEncoder("pump", "trend")
    encoder.encode(bare(Features(np.array([1.0]), ("a",), ("V",))))
    body = json.loads(encoder.encode(bare(Features(np.array([1.0]), ("b",), ("g",)))))
    assert body["units"] == {"b": "g"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_box_that_is_no_number_is_a_bad_packet(bad: float) -> None:
    found = Detections(
        np.array([[0.1, 0.1, bad, 0.2]], np.float32),
        np.array([0.5], np.float32),
        np.array([0], np.int32),
        ("person",),
    )
    with pytest.raises(BadPacket, match="finite") as raised:
        encode(bare(found))
    assert raised.value.reason == "not_finite"


numbers = st.floats(-1e6, 1e6, width=32)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=numbers),
    st.data(),
)
def test_any_finite_boxes_fit_the_contract(xyxy: Any, data: st.DataObject) -> None:
    """Whatever a decoder gives: within the picture, right to half a step of five digits."""
    n = len(xyxy)
    scores = data.draw(arrays.arrays(np.float32, n, elements=numbers))
    found = Detections(xyxy, scores, np.zeros(n, np.int32), ("person",))
    raw = BodyEncoder("porch", "people").encode(bare(found))
    body = msgspec.json.decode(raw, type=DetectionsBody)
    assert body.count == len(body.boxes) == len(body.labels) == len(body.scores) == n
    for (x, y, w, h), corners in zip(body.boxes, np.clip(xyxy, 0, 1), strict=True):
        left, top, right, bottom = (float(c) for c in corners)
        assert max(abs(x - left), abs(y - top)) <= 0.51e-5
        assert abs(w - max(0.0, right - left)) <= 1.01e-5
        assert abs(h - max(0.0, bottom - top)) <= 1.01e-5
        assert max(x + w, y + h) <= 1.00001
