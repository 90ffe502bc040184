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
from statistics import fmean

from tests.pipelines.device import REPO, Running
from tests.servers.mosquitto import Mosquitto, wait_until

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
  parts: {{output: mqtt, from: tracks}}
"""
LIVE = ("predictive_maintenance.yaml", "sound_events.yaml")
SAMPLE_S = 0.5
WINDOW_S = 10.0
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
    """Least resident memory in the first third and in the last: what is kept, whatever is in use."""
    slope_mb_per_h: float
    """Of what is kept, by least squares over windows of 10 s."""
    fds: tuple[int, int]
    """Least and most."""
    threads: tuple[int, int]
    """Least and most."""
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
    stages = {stage["id"]: stage for stage in summary["pipelines"][0]["stages"]}
    return Soaked(
        seconds=round(seen[-1].at_s, 1),
        answers=stages["detect"]["done"],
        resident_mb=round(seen[-1].resident_bytes / 1e6, 1),
        held_mb=(
            round(min(s.resident_bytes for s in seen[: len(seen) // 3]) / 1e6, 2),
            round(min(s.resident_bytes for s in seen[-len(seen) // 3 :]) / 1e6, 2),
        ),
        slope_mb_per_h=round(_slope(_kept(seen)) * 3600 / 1e6, 2),
        fds=(min(s.fds for s in seen), max(s.fds for s in seen)),
        threads=(min(s.threads for s in seen), max(s.threads for s in seen)),
        unaccounted=sum(len(pipeline["unaccounted"]) for pipeline in summary["pipelines"]),
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    resident_bytes: int
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
        sum(1 for _ in (process / "fd").iterdir()),
        int(status["Threads"]),
    )


def _kept(seen: list[_Sample]) -> list[_Sample]:
    """The sample with the least memory of each window."""
    windows: dict[int, _Sample] = {}
    for sample in seen:
        least = windows.setdefault(int(sample.at_s / WINDOW_S), sample)
        if sample.resident_bytes < least.resident_bytes:
            windows[int(sample.at_s / WINDOW_S)] = sample
    return list(windows.values())


def _slope(seen: list[_Sample]) -> float:
    """Bytes per second, by least squares."""
    times = [sample.at_s for sample in seen]
    sizes = [float(sample.resident_bytes) for sample in seen]
    time_mean, size_mean = fmean(times), fmean(sizes)
    spread = sum((t - time_mean) ** 2 for t in times)
    pairs = zip(times, sizes, strict=True)
    return sum((t - time_mean) * (size - size_mean) for t, size in pairs) / spread


def main() -> None:
    """Soak for as long as the argument says."""
    found = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    seconds = float(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        done = soak(Path(folder), Path(found), warm_up_s=min(300.0, seconds), seconds=seconds)
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
