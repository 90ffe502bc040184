"""Statuses made up for tests: no pipeline runs."""

from typing import Any

import numpy as np

from edgeapp.cli.view import Scene, UplinkView
from edgeapp.core.clock import NS
from edgeapp.core.dial import Setting
from edgeapp.core.meters import Histogram
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Detections, Payload, Score
from edgeapp.core.plugin import Kind
from edgeapp.runtime.status import PipelineStatus, StageStatus
from edgeapp.service.recent import Recent

NOW_NS = 1_000 * NS

WARM: dict[str, Any] = {
    "level": "fair",
    "reason": "the heat of the next 5 minutes allows 1.42 cores",
    "binding": "heat_300s",
    "infeasible": False,
    "detectors": [],
    "die_celsius": 74.1,
    "headroom_ratio": 0.86,
    "trip_in_s": None,
    "chosen_cores": 1.21,
    "allowed_cores": 1.42,
    "not_measured": [],
}
"""A watchdog that holds something back."""


def packet(value: Payload, age_s: float = 0.1) -> Packet[Any]:
    """A packet of that age."""
    taken_ns = NOW_NS - round(age_s * NS)
    return Packet(value, "belt", 0, 7, 0, taken_ns, taken_ns, 0, 0, ())


def found(**scores: float) -> Detections:
    """Detections by label and score."""
    n = len(scores)
    return Detections(
        np.zeros((n, 4), np.float32),
        np.array(list(scores.values()), np.float32),
        np.arange(n, dtype=np.int32),
        tuple(scores),
    )


def stage(stage_id: str, kind: Kind, plugin: str, **facts: Any) -> StageStatus:
    """A stage; what is not given is 0 or nothing."""
    ages = Histogram()
    for age_ns in facts.pop("ages_ns", ()):
        ages.record(age_ns)
    values: dict[str, Any] = {
        "reads": (),
        "put": 0,
        "waiting": 0,
        "taken": facts.get("done", 0),
        "done": 0,
        "emitted": 0,
        "dropped": {},
        "shed": 0,
        "faults": 0,
        "busy_ns": 0,
        "waiting_for": None,
        "setting": None,
        "variant": None,
        "last": None,
        **facts,
    }
    return StageStatus(id=stage_id, kind=kind, plugin=plugin, age=ages, **values)


def inspection(done: int, **detect: Any) -> PipelineStatus:
    """The camera pipeline after so many pictures."""
    ages = [4_000_000] * done
    seen = packet(found(part=0.93, scratched=0.88))
    model: dict[str, Any] = {"dropped": {"full": 2, "late": 1}, "waiting": 1, **detect}
    return PipelineStatus(
        "inspection",
        "running",
        "",
        (
            stage("belt", "source", "conveyor", done=done),
            stage(
                "detect",
                "model",
                "detector",
                done=done,
                ages_ns=ages,
                setting=Setting(1),
                variant="conveyor_160",
                last=seen,
                **model,
            ),
            stage("faulty", "transform", "keep", done=done, last=seen),
            stage("picture", "action", "save_image", done=done // 10, ages_ns=ages[: done // 10]),
            stage("parts", "output", "mqtt", done=done, ages_ns=ages),
            stage("alarm", "output", "mqtt", done=done // 10, ages_ns=ages[: done // 10]),
        ),
    )


def maintenance(done: int, score: Score) -> PipelineStatus:
    """The vibration pipeline after so many blocks of samples."""
    return PipelineStatus(
        "pump-7",
        "running",
        "",
        (
            stage("bearing", "source", "bearing", done=done),
            stage("second", "transform", "window", done=done),
            stage("features", "transform", "features", done=done // 10),
            stage("health", "transform", "anomaly", done=done // 10, last=packet(score)),
            stage("strange", "transform", "gate", done=done // 10),
            stage("warn", "output", "mqtt"),
            stage("trend", "output", "mqtt", done=done // 100),
        ),
    )


def demo(*, color: bool = False, score: Score | None = None) -> Scene:
    """Both demo pipelines, twelve seconds into a run of thirty."""
    score = score or Score(0.0, ready=False, progress=0.37)
    recent = Recent()
    recent.add(7.0, [inspection(100), maintenance(200, score)])
    now = [inspection(250), maintenance(300, score)]
    recent.add(12.0, now)
    uplink = UplinkView("mqtt 127.0.0.1:1883 connected", "green", "275 sent · 0 queued · 0 dropped")
    hint = "messages: .venv/bin/edgeapp listen --port 1883"
    return Scene(12.0, 30.0, now, recent, NOW_NS, uplink, hint, color=color)
