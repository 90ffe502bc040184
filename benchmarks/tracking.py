"""What following things costs a picture, in instructions, and beside what the paper's code does.

Callgrind counts the instructions of N and of 2N pictures; the difference, over N, is the cost of
one. The yardstick is the same step as one writes it with scipy: a Kalman filter of 8 states for
each box and `linear_sum_assignment`, one association only, which is the least that any tracker of
this family does.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import REPO, Row

FEW, MANY = 30, 90
THINGS = (5, 50)
BOUND = 1.0
"""Instructions of ours for each of the yardstick's."""

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


def instructions(mode: str, things: int, count: int) -> int:
    """Instructions of a whole worker."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command += [sys.executable, "-m", "benchmarks.tracking", mode, str(things), str(count)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=REPO,
            env={**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(done.stderr[-2000:])
    return int(found[1])


def for_each(mode: str, things: int) -> float:
    """Instructions for one more picture."""
    return (instructions(mode, things, MANY) - instructions(mode, things, FEW)) / (MANY - FEW)


def rows() -> list[Row]:
    """Measure."""
    measured = []
    for things in THINGS:
        own, their = for_each("--ours", things), for_each("--scipy", things)
        measured.append(
            Row(
                f"tracking {things} things, instructions vs a plain scipy tracker",
                f"<= {BOUND:.2f}x",
                f"{own / their:.3f}x",
                own / their <= BOUND,
                f"{own:,.0f} vs {their:,.0f} a picture",
            )
        )
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=Path(__file__).stem)
    parser.add_argument("--ours", type=int, nargs=2)
    parser.add_argument("--scipy", type=int, nargs=2)
    given = parser.parse_args()
    if given.ours:
        ours(*given.ours)
    elif given.scipy:
        scipys(*given.scipy)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
