"""Cold start and memory of the command against a hand-written script, from the outside."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.camera_cost import clip_720p
from benchmarks.compare import REPO, Row

COMMAND = str(Path(sys.executable).with_name("edgeapp"))


def observe(command: list[object], out: Path) -> tuple[float, float]:
    """Seconds until the first line stands in `out`, and resident MB after 3 s."""
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=REPO,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        while not (out.exists() and out.stat().st_size):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{command[0]} gave no result")
            time.sleep(0.002)
        first_s = time.perf_counter() - began
        time.sleep(2.0)
        status = Path(f"/proc/{process.pid}/status").read_text()
        rss_kb = int(status.split("VmRSS:")[1].split()[0])
    finally:
        process.terminate()
        process.wait()
    return first_s, rss_kb / 1024


def rows(rounds: int = 7) -> list[Row]:
    """Measure."""
    from benchmarks.by_hand import LABELS, MODEL

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = clip_720p(folder)
        pipeline = folder / "bench.yaml"
        pipeline.write_text(
            f"""
name: bench
stages:
  camera: {{source: camera, device: {clip}, speed: real_time}}
  detect: {{model: detector, layout: yolox, variants: [{{file: {MODEL}}}],
           labels: [{", ".join(LABELS)}]}}
  out: {{output: jsonl, file: {folder / "ours.jsonl"}}}
"""
        )
        ours = [COMMAND, "run", pipeline, "--plain"]
        bare = [sys.executable, "-m", "benchmarks.startup", "--bare", clip, folder / "bare.jsonl"]
        seen = []
        for _ in range(rounds):
            a = observe(ours, folder / "ours.jsonl")
            b = observe(bare, folder / "bare.jsonl")
            seen.append((a, b))
    start = statistics.median(a[0] - b[0] for a, b in seen)
    memory = statistics.median(a[1] - b[1] for a, b in seen)
    first_ours = statistics.median(a[0] for a, _ in seen)
    first_bare = statistics.median(b[0] for _, b in seen)
    rss_ours = statistics.median(a[1] for a, _ in seen)
    rss_bare = statistics.median(b[1] for _, b in seen)
    return [
        Row(
            "cold start to first result, over the bare script",
            "<= +0.40 s",
            f"{start:+.2f} s",
            start <= 0.4,
            f"{first_ours:.2f} vs {first_bare:.2f} s",
        ),
        Row(
            "resident memory, over the bare script",
            "<= +25 MB",
            f"{memory:+.1f} MB",
            memory <= 25,
            f"{rss_ours:.0f} vs {rss_bare:.0f} MB",
        ),
    ]


def bare(clip: Path, out: Path) -> None:
    """The script that one would write: in real time, one line a frame."""
    import cv2

    from benchmarks.by_hand import ByHand, opened_for_append

    detector = ByHand()
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    to = opened_for_append(out)
    begin_s = time.monotonic()
    while True:
        more, pixels = capture.read()
        if not more:
            return
        time.sleep(max(0.0, begin_s + detector.frames / 25 - time.monotonic()))
        os.write(to, detector.line(pixels) + b"\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bare", nargs=2, type=Path)
    given = parser.parse_args()
    if given.bare:
        bare(*given.bare)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
