"""How well the demo's sound models find sounds in soundscapes that they were not trained on.

Measured on what a device runs: `pipelines/sound_events.yaml` itself, in stepped mode, from its
source to its events. Needs no more than edgeapp itself.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import FakeClock
from edgeapp.models.session import Pool
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.stepped import run_stepped
from edgeapp.sources.sounds import LABELS, Heard, Mix, soundscape
from edgeapp.testing.stage import LogBook
from edgeapp.testing.uplink import RecordingUplink

PIPELINE = Path(__file__).resolve().parent.parent / "pipelines" / "sound_events.yaml"
FIRST_TRAINING_SEED = 1_000_000
"""Training uses seeds from here on, and never another; what follows lies far below."""
RATE_HZ = 16_000.0
SECONDS = 180.0
HELD_OUT: dict[str, tuple[range, dict[str, float]]] = {
    "as in the demo": (range(21_000, 21_002), {}),
    "far away": (range(22_000, 22_002), {"level_db": -24.0}),
    "noisy": (range(23_000, 23_002), {"noise_db": -36.0}),
}
"""Seeds of each set, and how it differs from the source's defaults."""


class Found(NamedTuple):
    """An event, from where to where."""

    label: str
    start_s: float
    end_s: float


def measure(variant: str) -> dict[str, Any]:
    """Return, for each held-out set, how many sounds one variant found, and how many it made up.

    A sound is found if an event of its label overlaps it; an event that overlaps no sound of its
    label is false. `onset_off_s` and `end_off_s`: the median distance between the two.
    """
    return {name: _summary(variant, seeds, mix) for name, (seeds, mix) in HELD_OUT.items()}


def events(variant: str, seed: int, seconds: float, **mix: float) -> list[Found]:
    """What the pipeline with this variant tells of a soundscape, by its messages."""
    settings = {"seed": seed, "duration_s": seconds, "speed": "fast", **mix}
    with tempfile.TemporaryDirectory() as folder:
        device = DeviceConfig("training", Path(folder), None, None)
        sets = [f"room.{key}={value}" for key, value in settings.items()]
        [plan] = load([PIPELINE], sets=sets, device=device)
        clock, uplink = FakeClock(), RecordingUplink()
        kit = Kit(
            clock=clock,
            uplink=uplink,
            pool=Pool(clock),
            log=LogBook(),
            data_dir=Path(folder),
            seed=0,
        )
        outcome = run_stepped(Pipeline(_only(plan, variant), kit))
    if outcome.ending != "finished":
        raise RuntimeError(f"the pipeline ended as {outcome}")
    bodies = [json.loads(message.body) for message in uplink.messages]
    return [
        Found(body["label"], body["facts"]["start_s"], body["facts"]["end_s"])
        for body in bodies
        if body["phase"] == "end"
    ]


def _only(plan: Plan, variant: str) -> Plan:
    """The same plan with one rung on its ladder."""
    stage = plan.stages["listen"]
    chosen = tuple(one for one in stage.variants if one.name == variant)
    return replace(plan, stages={**plan.stages, "listen": replace(stage, variants=chosen)})


def _summary(variant: str, seeds: Sequence[int], mix: dict[str, float]) -> dict[str, Any]:
    found_of = dict.fromkeys(LABELS, 0)
    sounds_of = dict.fromkeys(LABELS, 0)
    false = 0
    onsets: list[float] = []
    ends: list[float] = []
    for seed in seeds:
        _, truth = soundscape(seed, SECONDS, RATE_HZ, Mix(**mix))  # type: ignore[arg-type]
        told = events(variant, seed, SECONDS, **mix)
        for sound in truth:
            sounds_of[sound.label] += 1
            hits = [event for event in told if _same(event, sound)]
            if hits:
                found_of[sound.label] += 1
                onsets.append(abs(hits[0].start_s - sound.start_s))
                ends.append(abs(hits[-1].end_s - sound.end_s))
        false += sum(not any(_same(event, sound) for sound in truth) for event in told)
    return {
        "sounds": sum(sounds_of.values()),
        "found": round(sum(found_of.values()) / sum(sounds_of.values()), 3),
        "found_by_label": {
            label: round(found_of[label] / max(1, sounds_of[label]), 3) for label in LABELS
        },
        "false_per_hour": round(false * 3600 / (SECONDS * len(seeds)), 1),
        "onset_off_s": round(_median(onsets), 3),
        "end_off_s": round(_median(ends), 3),
    }


def _same(event: Found, sound: Heard) -> bool:
    return (
        event.label == sound.label and event.start_s < sound.end_s and sound.start_s < event.end_s
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def described() -> dict[str, Any]:
    """How `measure` measures, for whoever reads the figures."""
    return {
        "held_out": {
            name: {"seeds": [seeds.start, seeds.stop - 1], **mix}
            for name, (seeds, mix) in HELD_OUT.items()
        },
        "seconds_of_each_seed": SECONDS,
    }
