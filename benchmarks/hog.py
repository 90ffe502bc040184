"""A light pipeline beside one that burns pure Python in the same process: how late is it?"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np

from benchmarks.compare import Row, worker

LIGHT = """
name: light
stages:
  sensor: {source: bench_blocks, rate_hz: 51200, block_s: 0.005, count: 1200}
  window: {transform: window, length_samples: 256}
  features: {transform: features}
  late: {output: bench_latency, file: late.json}
"""
HOG = """
name: hog
stages:
  ticks: {source: bench_ticks}
  burn: {transform: bench_hog}
  count: {output: bench_count}
"""


def run(*, hog: bool) -> None:
    """Run the light pipeline, 200 windows a second for 6 s, with or without the hog."""
    from benchmarks.apps import Device, Meter, temporary

    with temporary() as folder:
        device = Device(Path(folder))
        with Meter() as meter:
            device.run([LIGHT, HOG] if hog else [LIGHT], for_s=8.0)
        late_ms = json.loads(next(Path(folder).rglob("late.json")).read_text())
    p50, p99 = np.percentile(late_ms, [50, 99])
    meter.say(p50_ms=float(p50), p99_ms=float(p99), windows=len(late_ms))


def rows() -> list[Row]:
    """Measure."""
    this = Path(__file__).stem
    readings = [(worker(this, "--hog"), worker(this, "--alone")) for _ in range(5)]
    with_hog = statistics.median(hog["p99_ms"] for hog, _ in readings)
    alone = statistics.median(alone["p99_ms"] for _, alone in readings)
    windows = min(hog["windows"] for hog, _ in readings)
    each = ", ".join(f"{hog['p99_ms']:.1f}" for hog, _ in readings)
    return [
        Row(
            "light pipeline beside a pure-Python hog, p99",
            "<= 5 ms",
            f"{with_hog:.2f} ms",
            with_hog <= 5 and windows == 1200,
            f"alone {alone:.2f} ms; rounds {each}; {windows} of 1200 windows",
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hog", action="store_true")
    parser.add_argument("--alone", action="store_true")
    given = parser.parse_args()
    if given.hog or given.alone:
        run(hog=given.hog)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
