"""How well tracks fit the truth, as an independent library computes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from tests.transforms.tracking_scenes import Box, Frame

ENOUGH = 0.5
"""Overlap from which a box stands for someone, as usual in the MOT challenges."""


@dataclass(frozen=True, slots=True)
class Scores:
    """IDF1 (Ristani et al. 2016) and MOTA (Bernardin and Stiefelhagen 2008), in percent."""

    idf1: float
    mota: float
    switches: int


def scores(frames: Sequence[Frame], told: Sequence[Sequence[tuple[int, Box]]]) -> Scores:
    """Of what a tracker told for each frame: ids and boxes."""
    import motmetrics  # type: ignore[import-untyped]  # heavy: brings pandas

    metrics: Any = motmetrics
    kept = metrics.MOTAccumulator()
    for number, (frame, answer) in enumerate(zip(frames, told, strict=True)):
        far = np.array([[_far(box, own) for _, own in answer] for box in frame.truth.values()])
        shape = len(frame.truth), len(answer)
        kept.update(list(frame.truth), [one for one, _ in answer], far.reshape(shape), number)
    found = metrics.metrics.create().compute(
        kept, metrics=["idf1", "mota", "num_switches"], return_dataframe=False
    )
    return Scores(
        100 * float(found["idf1"]), 100 * float(found["mota"]), int(found["num_switches"])
    )


def rate_hz(frames: Sequence[Frame]) -> int:
    """The usual rate of a scene, for trackers that want to know one."""
    steps = [b.t_s - a.t_s for a, b in pairwise(frames)]
    return round(1 / median(steps))


def _far(one: Box, other: Box) -> float:
    """1 - intersection over union; NaN where the two cannot be the same."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return float("nan")
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    iou = wide * high / (sum(areas) - wide * high)
    return 1 - iou if iou >= ENOUGH else float("nan")
