"""Paced at 30 frames a second: our session settings against onnxruntime's defaults."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.apps import Meter
from benchmarks.by_hand import MODEL
from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

FRAMES = 180


def run(*, defaults: bool) -> None:
    """Run the model 30 times a second for 6 s and count the whole process's CPU time."""
    if defaults:
        import os

        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        raw = onnxruntime.InferenceSession(str(MODEL))
        name = raw.get_inputs()[0].name
        tensor = np.zeros((1, 3, 96, 96), np.float32)

        def answer() -> None:
            raw.run(None, {name: tensor})

        paced(answer, Meter())
    else:
        from edgeapp.core.clock import MonotonicClock
        from edgeapp.models.session import Pool

        with Pool(MonotonicClock()).lease(MODEL) as session:
            paced(session.run, Meter())


def paced(answer: Callable[[], object], meter: Meter) -> None:
    """Call `answer` on time."""
    answer()
    with meter:
        begin = time.monotonic()
        for number in range(FRAMES):
            time.sleep(max(0.0, begin + number / 30 - time.monotonic()))
            answer()
    meter.say(ms=meter.cpu_s / FRAMES * 1e3)


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    pairs = alternate([this, "--ours"], [this, "--defaults"])
    return [
        at_most(
            "paced at 30 fps, CPU vs onnxruntime's default threads",
            median_ratio(pairs, "cpu_s"),
            0.10,
            f"{pairs[-1][0]['ms']:.2f} vs {pairs[-1][1]['ms']:.2f} ms/frame, "
            + spread(pairs, "cpu_s"),
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--defaults", action="store_true")
    given = parser.parse_args()
    if given.ours or given.defaults:
        run(defaults=given.defaults)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
