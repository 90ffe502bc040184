"""What following things costs a picture, beside the least that a tracker of this family does.

The yardstick is written as one does with scipy: a Kalman filter of 8 states for each box and
`linear_sum_assignment`, with one association only, no lost tracks and no labels.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

FEW, MANY = 20, 300
THINGS = (5, 50)
BOUNDS = {5: 4.0, 50: 1.0}
"""Few boxes cost what calling numpy costs, of which two-stage association needs more."""

Floats = NDArray[np.float64]


def pictures(things: int, count: int) -> list[Floats]:
    """Boxes that drift over the picture, each on its own."""
    chance = np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(things)))
    cells = np.array([(n % across, n // across) for n in range(things)]) / across
    size = np.array([0.3, 0.7]) / across
    steps = chance.normal(0, 0.0005, (count, things, 2)).cumsum(axis=0) / across
    corners = cells + 0.1 / across + steps
    return list(np.concatenate([corners, corners + size], axis=2))


def ours(things: int, count: int) -> None:
    """Through the stage."""
    from edgeapp.api import Detections, Packet
    from edgeapp.testing import context
    from edgeapp.transforms.track import Track, TrackOptions

    stage = Track(TrackOptions(), context())
    told = 0
    for n, boxes in enumerate(pictures(things, count)):
        found = Detections(
            boxes.astype(np.float32),
            np.full(things, 0.9, np.float32),
            np.zeros(things, np.int32),
            ("person",),
        )
        told += len(stage.process(Packet(found, "camera", 0, n, 0, n * 40_000_000, 0, 0, 0, ())))
    assert told == things * (count - 1)


def scipys(things: int, count: int) -> None:
    """As one would write it with scipy."""
    from scipy.optimize import linear_sum_assignment

    step, look = np.eye(8), np.eye(4, 8)
    step[:4, 4:] = np.eye(4) / 25
    at = np.zeros((things, 8))
    spread = np.tile(np.eye(8), (things, 1, 1))
    noise, blur = np.eye(8) * 1e-4, np.eye(4) * 1e-4
    for n, boxes in enumerate(pictures(things, count)):
        if n == 0:
            at[:, :4] = boxes
            continue
        at = at @ step.T
        spread = step @ spread @ step.T + noise
        a, b = at[:, None, :4], boxes[None]
        sides = np.clip(
            np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, 1
        )
        shared = sides.prod(axis=2)
        areas = [(x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (a, b)]
        rows, columns = linear_sum_assignment(1 - shared / (areas[0] + areas[1] - shared))
        for row, column in zip(rows, columns, strict=True):
            covered = look @ spread[row] @ look.T + blur
            gain = np.linalg.solve(covered, look @ spread[row]).T
            at[row] += gain @ (boxes[column] - at[row, :4])
            spread[row] -= gain @ covered @ gain.T


def cpu_s(things: int, *, own: bool) -> float:
    """Seconds of CPU time for some hundred pictures, made before."""
    run = ours if own else scipys
    run(things, FEW)  # imports, caches
    begin = time.process_time()
    run(things, MANY)
    return time.process_time() - begin


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    measured = []
    for things in THINGS:
        pairs = alternate([this, "--ours", things], [this, "--scipy", things])
        each_ms = [reading["cpu_s"] / MANY * 1000 for reading in pairs[-1]]
        measured.append(
            at_most(
                f"tracking {things} things, CPU vs a plain tracker with scipy",
                median_ratio(pairs, "cpu_s"),
                BOUNDS[things],
                f"{each_ms[0]:.2f} vs {each_ms[1]:.2f} ms/picture, {spread(pairs, 'cpu_s')}",
            )
        )
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=Path(__file__).stem)
    parser.add_argument("--ours", type=int)
    parser.add_argument("--scipy", type=int)
    given = parser.parse_args()
    if given.ours or given.scipy:
        seconds = cpu_s(given.ours or given.scipy, own=bool(given.ours))
        sys.stdout.write(json.dumps({"cpu_s": seconds}) + "\n")
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
