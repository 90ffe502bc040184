"""32 light pipelines against one loop that does the work of all 32.

Each answers ten 480p pictures a second with a small model and writes a JSON line. The loop keeps
the same timetable on one thread: every picture at its own time, evenly spread.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.camera_cost import LABELS, MODEL, SIZE, decode, grid
from benchmarks.compare import Row, alternate, at_most, median_ratio, spread

PIPELINES = 32
RATE_HZ = 10.0
COUNT = 60
"""Pictures for each pipeline."""


def bare() -> None:
    """One loop, one session, one file."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import cv2
    import onnxruntime

    from benchmarks.apps import Meter, temporary
    from benchmarks.parts.bench_parts import picture

    cv2.setNumThreads(1)
    pixels = picture(640, 480).pixels
    late_ms = []
    with temporary() as folder, Meter() as meter:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(MODEL), options, ["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        tensor = np.empty((1, 3, SIZE, SIZE), np.float32)
        canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
        planes = np.empty((3, SIZE, SIZE), np.uint8)
        cells, strides = grid()
        encode = msgspec.json.encode
        to = os.open(Path(folder) / "out.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        period = 1 / RATE_HZ
        begin = time.monotonic() + period
        for number in range(COUNT):
            for pipeline in range(PIPELINES):
                due = begin + (number + pipeline / PIPELINES) * period
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                taken = time.time()
                cv2.resize(pixels, (96, 72), dst=canvas[:72, :96])
                cv2.split(canvas, list(planes))
                np.multiply(planes, np.float32(1), out=tensor[0])
                [answers] = session.run(None, {name: tensor})
                found, scores, classes = decode(answers[0], cells, strides)
                line = encode(
                    {
                        "schema": "edgeapp/detections/1",
                        "id": f"bench/1/{number}",
                        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(taken)),
                        "clock": "synced",
                        "age_ms": (time.time() - taken) * 1e3,
                        "pipeline": f"p{pipeline}",
                        "stage": "out",
                        "origin": "frames",
                        "epoch": 0,
                        "seq": number,
                        "part": 0,
                        "model": "detector",
                        "variant": "conveyor_96",
                        "rung": 0,
                        "lost": 0,
                        "count": len(found),
                        "boxes": [[round(float(v), 5) for v in box] for box in found],
                        "labels": [LABELS[c] for c in classes],
                        "scores": [round(float(s), 4) for s in scores],
                    }
                )
                os.write(to, line + b"\n")
                late_ms.append((time.monotonic() - due) * 1e3)
    meter.say(frames=COUNT * PIPELINES, p99_ms=float(np.percentile(late_ms, 99)))


def ours() -> None:
    """32 pipelines in one process."""
    from benchmarks.apps import Device, Meter, temporary

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
    worst = max(status.stages[-1].age.percentile_ms(99) or 0.0 for status in statuses)
    meter.say(frames=answered, p99_ms=worst)


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
