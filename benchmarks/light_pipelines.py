"""32 light pipelines against one loop that does the work of all 32.

Each answers ten 480p pictures a second with a small model and writes a JSON line. The loop keeps
the same timetable on one thread: every picture at its own time, evenly spread.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

PIPELINES = 32
RATE_HZ = 10.0
COUNT = 60
"""Pictures for each pipeline."""


def bare() -> None:
    """One loop, one session, one file."""
    from benchmarks.apps import Meter, temporary
    from benchmarks.by_hand import ByHand, opened_for_append
    from benchmarks.parts.bench_parts import picture

    pixels = picture(640, 480).pixels
    with temporary() as folder, Meter() as meter:
        detector = ByHand()
        to = opened_for_append(Path(folder) / "out.jsonl")
        period_s = 1 / RATE_HZ
        begin_s = time.monotonic() + period_s
        for number in range(COUNT):
            for pipeline in range(PIPELINES):
                due_s = begin_s + (number + pipeline / PIPELINES) * period_s
                wait_s = due_s - time.monotonic()
                if wait_s > 0:
                    time.sleep(wait_s)
                os.write(to, detector.line(pixels, f"p{pipeline}") + b"\n")
    meter.say(frames=detector.frames)


def ours() -> None:
    """32 pipelines in one process."""
    from benchmarks.apps import Device, Meter, temporary
    from benchmarks.by_hand import LABELS, MODEL

    texts = [
        f"""
name: p{number}
stages:
  frames: {{source: bench_frames, rate_hz: {RATE_HZ}, count: {COUNT}, phase: {number / PIPELINES}}}
  detect: {{model: detector, layout: yolox, variants: [{{file: {MODEL}}}],
           labels: [{", ".join(LABELS)}]}}
  out: {{output: jsonl, file: out.jsonl}}
"""
        for number in range(PIPELINES)
    ]
    with temporary() as folder:
        device = Device(Path(folder))
        app = device.app(texts)
        with Meter() as meter:
            statuses = device.run_app(app)
    answered = sum(status.stages[-1].done for status in statuses)
    meter.say(frames=answered)


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    pairs = alternate([this, "--ours"], [this, "--bare"])
    assert all(a["frames"] == b["frames"] == COUNT * PIPELINES for a, b in pairs)
    return [
        at_most(
            f"{PIPELINES} light pipelines, CPU vs one loop",
            median_ratio(pairs, "cpu_s"),
            1.10,
            spread(pairs, "cpu_s"),
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--bare", action="store_true")
    given = parser.parse_args()
    if given.ours:
        ours()
    elif given.bare:
        bare()
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
