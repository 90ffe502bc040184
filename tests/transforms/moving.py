"""Boxes and tracks as packets, for the stages that look at pictures over time."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edgeapp.api import Detections, Image, Packet, Tracks, View
from tests.transforms.tracking_scenes import Frame

NS = 1_000_000_000
LABELS = ("person", "car", "truck")
Row = tuple[float, float, float, float]


def box(x: float, bottom: float = 0.8, height: float = 0.4) -> Row:
    """Of something as wide as a person, given the middle of its bottom."""
    half = height * 0.4 * 9 / 16 / 2
    return x - half, bottom - height, x + half, bottom


def picture(view: View | None = None, width: int = 160, height: int = 90) -> Image:
    """A grey picture."""
    return Image(np.full((height, width, 3), 90, np.uint8), view or View())


def packet(value: Detections, t_s: float, *, seq: int = 0, epoch: int = 0) -> Packet[Detections]:
    """A packet of a camera."""
    return Packet(value, "camera", epoch, seq, 0, round(t_s * NS), 0, 0, 0, ())


def detections(
    rows: Sequence[Row],
    scores: Sequence[float] | None = None,
    *,
    kinds: Sequence[int] | None = None,
    labels: tuple[str, ...] = LABELS,
    image: Image | None = None,
) -> Detections:
    """What a detector found."""
    return Detections(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array([0.9] * len(rows) if scores is None else scores, np.float32),
        np.array([0] * len(rows) if kinds is None else kinds, np.int32),
        labels,
        image,
    )


def tracks(
    rows: Mapping[int, Row],
    *,
    score: float | Mapping[int, float] = 0.9,
    kinds: Mapping[int, int] | None = None,
    image: Image | None = None,
) -> Tracks:
    """Tracks by id."""
    scores = [score if isinstance(score, float) else score[one] for one in rows]
    return Tracks(
        np.array(list(rows.values()), np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array([(kinds or {}).get(one, 0) for one in rows], np.int32),
        LABELS,
        image,
        ids=np.array(list(rows), np.int64),
    )


def stream(
    values: Iterable[Detections], *, rate_hz: float = 10.0, epoch: int = 0, begin_s: float = 0.0
) -> list[Packet[Detections]]:
    """Values as packets of a camera."""
    return [
        packet(value, begin_s + n / rate_hz, seq=n, epoch=epoch) for n, value in enumerate(values)
    ]


def filmed(frames: Sequence[Frame]) -> list[Packet[Detections]]:
    """A made-up scene as packets."""
    return [
        packet(
            detections([f.box for f in frame.found], [f.score for f in frame.found]),
            frame.t_s,
            seq=n,
        )
        for n, frame in enumerate(frames)
    ]
