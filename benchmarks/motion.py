"""What a motion gate in front of a detector saves, and what it makes the detector miss.

Each clip runs stepped through a pipeline, with the gate and without it: camera, gate, detector,
tracker. An event is a track of the run without the gate. It is missed when no track of the gated
run is the same thing: one of its label that in at least one picture has its box, or most of it.

The CPU time is that of everything behind the camera, picture by picture. A stretch is empty when
the run without the gate tracks nothing in it for 3 s or more, less its edges: what leaves or enters
is in the picture for a while without being tracked. Nor does the gate's warm-up count.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.compare import DATA, Reading, Row, at_most, worker

CLIPS = {
    "one-by-one-person-detection": "person",
    "bottle-detection": "bottle",
    "car-detection": "thing",
}
"""The label whose tracks are events. No COCO detector knows these cars from above: `bench_things`
says where they are, while the detector does its work all the same."""
GATES = {"none": "", "whole": "", "region": ", where: region"}
RATE_HZ = 5
"""Pictures a second: what a small device looks at."""
MOST_MISSED = 0.02
MOST_CPU = 0.25
_EMPTY_S = 3.0
_LEAVING_S, _ENTERING_S = 1.5, 0.5
_WARM_UP_S = 3.0
_SAME_IOU = 0.5


def pipeline(clip: str, gate: str) -> str:
    """A clip, with or without a gate."""
    video = DATA / "video" / f"{clip}.mp4"
    motion = "" if gate == "none" else f"motion: {{transform: motion, from: clip{GATES[gate]}}}"
    things = f"{{transform: bench_things, clip: {video}}}" if CLIPS[clip] == "thing" else ""
    return f"""
name: gate
stages:
  clip: {{source: camera, device: {video}, rate_hz: {RATE_HZ}, speed: fast}}
  before: {{output: bench_cpu, file: before.json}}
  {motion}
  detect:
    model: detector
    from: {"clip" if gate == "none" else "motion"}
    min_score: 0.1
    variants: [{DATA / "models" / "yolox_nano.onnx"}]
  {"things: " + things if things else ""}
  tracks: {{transform: track}}
  told: {{output: jsonl, file: tracks.jsonl}}
  after: {{output: bench_cpu, from: clip, file: after.json}}
"""


def run(clip: str, gate: str) -> None:
    """Run a clip and print what came of it: the CPU of each picture, and the tracks."""
    from benchmarks.apps import PARTS, temporary
    from edgeapp.config.device import read_device
    from edgeapp.core.clock import FakeClock
    from edgeapp.models.session import Pool
    from edgeapp.plan.load import load
    from edgeapp.runtime.kit import Kit
    from edgeapp.runtime.pipeline import Pipeline
    from edgeapp.runtime.stepped import run_stepped
    from edgeapp.testing import RecordingUplink
    from edgeapp.testing.stage import LogBook

    with temporary() as place:
        folder = Path(place)
        file = folder / "gate.yaml"
        file.write_text(pipeline(clip, gate), encoding="utf-8")
        [plan] = load([file], device=replace(read_device(None), data_dir=folder, plugins=PARTS))
        clock, log = FakeClock(), LogBook()
        kit = Kit(clock, RecordingUplink(), Pool(clock), log, folder, seed=0)
        outcome = run_stepped(Pipeline(plan, kit))
        if outcome.ending != "finished" or log.said("error"):
            raise RuntimeError(f"{outcome} {log.events}")
        before, after = (
            json.loads((folder / "gate" / f"{name}.json").read_text())
            for name in ("before", "after")
        )
        told = (folder / "gate" / "tracks.jsonl").read_text().splitlines()
    reading: Reading = {
        "cpu_ms": [(b[1] - a[1]) / 1e6 for a, b in zip(before, after, strict=True)],
        "at_s": [row[2] / 1e9 for row in before],
        "tracks": [
            [line["seq"], track, label, box]
            for line in map(json.loads, told)
            for track, label, box in zip(line["ids"], line["labels"], line["boxes"], strict=True)
        ],
        "passed": [json.loads(line)["seq"] for line in told],
    }
    sys.stdout.write(json.dumps(reading) + "\n")


@dataclass(frozen=True, slots=True)
class Result:
    """What a gate did on one clip."""

    clip: str
    gate: str
    events: int
    missed: int
    passed: float
    """Share of the pictures."""
    cpu_s: tuple[float, float]
    """Without the gate, and with it; over the whole clip."""
    empty_s: float
    """How long the empty stretches are together."""
    empty_cpu_s: tuple[float, float]
    idle_ms: tuple[float, float]
    """Of a picture with the model; of one that the gate held back. Medians."""

    @property
    def ratio(self) -> float:
        """CPU with the gate / without."""
        return self.cpu_s[1] / self.cpu_s[0]

    @property
    def empty_ratio(self) -> float | None:
        """The same on the empty stretches; None where there are none."""
        return self.empty_cpu_s[1] / self.empty_cpu_s[0] if self.empty_s else None

    def __str__(self) -> str:
        """A line of the table."""
        empty = "-" if self.empty_ratio is None else f"{self.empty_ratio:.3f}x"
        return (
            f"{self.clip:<29}{self.gate:<7}{self.events:>7}{self.missed:>8}{self.passed:>9.1%}"
            f"{self.cpu_s[0]:>10.1f}{self.cpu_s[1]:>9.1f}{self.ratio:>8.3f}x"
            f"{self.empty_s:>9.1f}{empty:>9}{self.idle_ms[1] / self.idle_ms[0]:>8.3f}x"
        )


HEAD = (
    f"{'clip':<29}{'where':<7}{'events':>7}{'missed':>8}{'passed':>9}{'CPU s':>10}{'gated':>9}{'ratio':>9}"
    f"{'empty s':>9}{'ratio':>9}{'gate':>9}"
)


def compare(clip: str, gates: Sequence[str] = ("whole",)) -> list[Result]:
    """Run a clip without a gate and with each of some, and count."""
    free = worker("motion", "--clip", clip)
    return [
        _result(clip, free, worker("motion", "--clip", clip, "--gate", gate), gate)
        for gate in gates
    ]


def _result(clip: str, free: Reading, gated: Reading, gate: str) -> Result:
    label = CLIPS[clip]
    events, others = _by_track(free, label), _by_track(gated, label)
    missed = [e for e in events if not any(_same(e, other) for other in others)]
    empty = _empty(free["at_s"], {seq for e in events for seq in e})
    passed = set(gated["passed"])
    held = [ms for seq, ms in enumerate(gated["cpu_ms"]) if seq not in passed]
    return Result(
        clip,
        gate,
        len(events),
        len(missed),
        len(passed) / len(free["at_s"]),
        (sum(free["cpu_ms"]) / 1e3, sum(gated["cpu_ms"]) / 1e3),
        sum(free["at_s"][b] - free["at_s"][a] for a, b in empty),
        (_within(empty, free["cpu_ms"]) / 1e3, _within(empty, gated["cpu_ms"]) / 1e3),
        (median(free["cpu_ms"]), median(held) if held else 0.0),
    )


def rows() -> list[Row]:
    """Measure."""
    found = [result for clip in CLIPS for result in compare(clip)]
    events, missed = sum(r.events for r in found), sum(r.missed for r in found)
    empty = [sum(r.empty_cpu_s[n] for r in found) for n in (0, 1)]
    table = "; ".join(f"{r.clip.partition('-')[0]} {r.ratio:.2f}x" for r in found)
    return [
        Row(
            "motion gate, three clips: events missed",
            f"<= {MOST_MISSED:.0%}",
            f"{missed} of {events}",
            missed <= MOST_MISSED * events,
            f"CPU {table}",
        ),
        at_most("the same, CPU on the empty stretches", empty[1] / empty[0], MOST_CPU),
    ]


def _by_track(reading: Reading, label: str) -> list[dict[int, list[float]]]:
    """The box of each track of a label in each picture."""
    tracks: dict[int, dict[int, list[float]]] = {}
    for seq, track, kind, box in reading["tracks"]:
        if kind == label:
            tracks.setdefault(track, {})[seq] = box
    return list(tracks.values())


def _same(one: dict[int, list[float]], other: dict[int, list[float]]) -> bool:
    return any(_iou(one[seq], other[seq]) >= _SAME_IOU for seq in one.keys() & other.keys())


def _iou(a: list[float], b: list[float]) -> float:
    """Of two boxes [x, y, width, height]."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _empty(at_s: list[float], busy: set[int]) -> list[tuple[int, int]]:
    """First and last picture of each empty stretch, without its edges."""
    edges = [-1, *sorted(busy), len(at_s)]
    found = []
    for a, b in pairwise(edges):
        if b - a < 2 or at_s[b - 1] - at_s[a + 1] < _EMPTY_S:
            continue
        begin_s = max(at_s[a + 1] + (_LEAVING_S if a >= 0 else 0.0), _WARM_UP_S)
        end_s = at_s[b - 1] - (_ENTERING_S if b < len(at_s) else 0.0)
        inside = [n for n in range(a + 1, b) if begin_s <= at_s[n] <= end_s]
        found.append((inside[0], inside[-1]))
    return found


def _within(stretches: list[tuple[int, int]], values: list[float]) -> float:
    return sum(sum(values[a : b + 1]) for a, b in stretches)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", choices=CLIPS)
    parser.add_argument("--gate", choices=GATES, default="none")
    given = parser.parse_args()
    if given.clip:
        run(given.clip, given.gate)
    else:
        sys.stdout.write(f"{HEAD}\n")
        for clip in CLIPS:
            for result in compare(clip, ("whole", "region")):
                sys.stdout.write(f"{result}\n")
            sys.stdout.flush()
