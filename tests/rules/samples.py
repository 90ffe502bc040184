"""One packet of each payload, with all that rules can ask."""

from typing import Any

import numpy as np

from edgeapp.api import (
    Detections,
    Event,
    Features,
    Hop,
    Image,
    Labels,
    Mask,
    Packet,
    Payload,
    Pose,
    Score,
    Tracks,
)
from edgeapp.core.clock import NS

LABELS = ("person", "dog")
FOUND = Detections(
    np.array([[0.1, 0.2, 0.5, 0.8], [0.5, 0.5, 0.6, 0.6], [0, 0, 1, 1]], np.float32),
    np.array([0.75, 0.5, 0.25], np.float32),
    np.array([0, 1, 0], np.int32),
    LABELS,
)
NOTHING = FOUND.select(np.zeros(3, np.bool_))
TRACKS = Tracks(FOUND.xyxy, FOUND.scores, FOUND.classes, LABELS, ids=np.array([7, 8, 9]))
SCORE = Score(1.5, parts={"t2": 4.0, "nan": float("nan")})
LEARNING = Score(0.0, ready=False, progress=0.25)
FEATURES = Features(np.array([0.5, float("nan")]), ("x.rms", "x.peak"), ("m/s²", "m/s²"))
ANSWER = Labels(np.array([0.25, 0.75], np.float32), LABELS)
MASK = Mask(np.array([[0, 1], [1, 1]], np.uint8), ("soil", "weeds"))
POSE = Pose(np.array([3.0, 4.0, 0.0]), np.array([0.0, 0.0, np.pi / 2]), "marker 7", 0.5)
EVENT = Event(
    "update",
    "zones-00",
    "zone",
    "person",
    2 * NS,
    facts={"zone": "door", "dwell_s": 4.5, "armed": True, "steps": 3},
)
PICTURE = Image(np.zeros((2, 2), np.uint8))

VALUES: tuple[Payload, ...] = (
    FOUND, NOTHING, TRACKS, SCORE, LEARNING, FEATURES, ANSWER, MASK, POSE, EVENT, PICTURE,
)  # fmt: skip


def packet(value: Payload) -> Packet[Any]:
    """A packet at 10 s that a model answered."""
    return Packet(value, "cam", 1, 41, 0, 10 * NS, 0, 0, 2, (Hop("detect", "detector", "nano", 1),))
