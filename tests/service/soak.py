"""A real process at full rate, watched from outside: what it holds must not grow.

As a program: `python -m tests.service.soak SECONDS` prints what was seen as one JSON object.
"""

import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

from tests.pipelines.device import REPO, Running
from tests.servers.mosquitto import Mosquitto, wait_until

# Messages ten times a second: as fast as the pictures they would fill the outbox, as far as it goes.
CAMERA = """
name: camera
stages:
  belt: {{source: conveyor, rate_hz: 25, size: [320, 180], speed: fast}}
  detect:
    model: detector
    layout: yolox
    variants: [{models}/conveyor_96.onnx]
    labels: {models}/conveyor_labels.txt
  tracks: {{transform: track}}
  parts: {{output: mqtt, from: tracks, every_s: 0.1}}
"""
LIVE = ("predictive_maintenance.yaml", "sound_events.yaml")
SAMPLE_S = 0.5
PARTS = 10
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
"""As in systemd/edgeapp.service."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was seen after the warm-up."""

    seconds: float
    answers: int
    """Pictures that were answered in all, warm-up included."""
    resident_mb: float
    """At the end."""
    held_mb: tuple[float, float]
    """Median of the resident memory in the first third and in the last."""
    slope_mb_per_h: float
    """Of the medians of ten equal parts, by least squares."""
    slope_error_mb_per_h: float
    """Its standard error: what is in use at the moment moves by some megabytes."""
    own_mb: tuple[float, float]
    own_slope_mb_per_h: float
    own_slope_error_mb_per_h: float
    """The same three of what is no copy of a file: those pages the kernel takes and gives as it likes."""
    fds: tuple[int, int]
    """Least and most."""
    threads: tuple[int, int]
    """Least and most."""
    fds_kept: tuple[int, int]
    """Least of the first third and of the last: what is open for a moment is not counted."""
    threads_kept: tuple[int, int]
    """The same of threads."""
    unaccounted: int


def soak(folder: Path, broker: Path, *, warm_up_s: float, seconds: float) -> Soaked:
    """Run three pipelines, one of them as fast as it can, beside a real broker.

    Args:
        folder: For all files.
        broker: The program mosquitto.
        warm_up_s: What is not looked at: models are loaded, windows and histories fill.
        seconds: What is.
    """
    camera = folder / "camera.yaml"
    camera.write_text(CAMERA.format(models=REPO / "pipelines" / "models"))
    place = folder / "broker"
    place.mkdir()
    with Mosquitto(str(broker), place) as mosquitto:
        files = [camera, *(REPO / "pipelines" / name for name in LIVE)]
        with Running(folder, *files, port=mosquitto.port, environment=ENVIRONMENT) as app:
            wait_until(lambda: "broker reached" in app.log(), "the broker is reached")
            time.sleep(warm_up_s)
            began_s = time.monotonic()
            seen = [_look(app.pid, began_s)]
            while seen[-1].at_s < seconds:
                time.sleep(SAMPLE_S)
                seen.append(_look(app.pid, began_s))
            code, summary = app.stop()
    assert code == 0, app.log()
    resident = _growth([(sample.at_s, sample.resident_bytes) for sample in seen])
    own = _growth([(sample.at_s, sample.own_bytes) for sample in seen])
    third = len(seen) // 3
    ends = seen[:third], seen[-third:]
    stages = {stage["id"]: stage for stage in summary["pipelines"][0]["stages"]}
    return Soaked(
        seconds=round(seen[-1].at_s, 1),
        answers=stages["detect"]["done"],
        resident_mb=round(seen[-1].resident_bytes / 1e6, 1),
        held_mb=resident.ends_mb,
        slope_mb_per_h=resident.mb_per_h,
        slope_error_mb_per_h=resident.error_mb_per_h,
        own_mb=own.ends_mb,
        own_slope_mb_per_h=own.mb_per_h,
        own_slope_error_mb_per_h=own.error_mb_per_h,
        fds=(min(s.fds for s in seen), max(s.fds for s in seen)),
        threads=(min(s.threads for s in seen), max(s.threads for s in seen)),
        fds_kept=(min(s.fds for s in ends[0]), min(s.fds for s in ends[1])),
        threads_kept=(min(s.threads for s in ends[0]), min(s.threads for s in ends[1])),
        unaccounted=sum(len(pipeline["unaccounted"]) for pipeline in summary["pipelines"]),
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    resident_bytes: int
    own_bytes: int
    fds: int
    threads: int


def _look(pid: int, began_s: float) -> _Sample:
    process = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    return _Sample(
        time.monotonic() - began_s,
        int(status["VmRSS"].split()[0]) * 1024,
        int(status["RssAnon"].split()[0]) * 1024,
        sum(1 for _ in (process / "fd").iterdir()),
        int(status["Threads"]),
    )


@dataclass(frozen=True, slots=True)
class _Growth:
    ends_mb: tuple[float, float]
    mb_per_h: float
    error_mb_per_h: float


def _growth(seen: list[tuple[float, int]]) -> _Growth:
    """Of (seconds, bytes): by least squares over the medians of the parts, with its standard error."""
    each, third = len(seen) / PARTS, len(seen) // 3
    parts = [seen[round(k * each) : round((k + 1) * each)] for k in range(PARTS)]
    points = [(fmean(at_s for at_s, _ in part) / 3600, _median_mb(part)) for part in parts]
    mean_h, mean_mb = fmean(h for h, _ in points), fmean(mb for _, mb in points)
    spread = sum((h - mean_h) ** 2 for h, _ in points)
    slope = sum((h - mean_h) * (mb - mean_mb) for h, mb in points) / spread
    left = sum((mb - mean_mb - slope * (h - mean_h)) ** 2 for h, mb in points)
    return _Growth(
        (_median_mb(seen[:third]), _median_mb(seen[-third:])),
        round(slope, 2),
        round((left / (PARTS - 2) / spread) ** 0.5, 2),
    )


def _median_mb(seen: list[tuple[float, int]]) -> float:
    return round(median(size for _, size in seen) / 1e6, 2)


def main() -> None:
    """Soak for as long as the argument says."""
    found = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    seconds = float(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        done = soak(Path(folder), Path(found), warm_up_s=min(300.0, seconds), seconds=seconds)
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
