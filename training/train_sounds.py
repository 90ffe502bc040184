"""Train the demo's sound models on drawn soundscapes, export them, measure them on others.

    python training/train_sounds.py

Writes sounds.onnx, sounds_small.onnx, sounds_labels.txt and sounds_accuracy.json to
pipelines/models. Everything is drawn and seeded: the same machine and versions give the same
models. Takes some five minutes of one core.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "training")]

import sounds_accuracy as accuracy  # noqa: E402 - lies beside this file

from edgeapp.api import Packet, Signal  # noqa: E402
from edgeapp.sources.sounds import LABELS, Heard, Mix, soundscape  # noqa: E402
from edgeapp.testing import context  # noqa: E402
from edgeapp.transforms.logmel import Logmel, LogmelOptions  # noqa: E402

WIDTHS = {"sounds": (16, 24, 32, 32), "sounds_small": (8, 12, 16, 16)}
"""Name of the model → channels of its layers."""
SCENES, SECONDS = 400, 30.0
STEPS, BATCH = 900, 64
SEED = 20
OPSET = 17
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-3

RATE_HZ = int(accuracy.RATE_HZ)
FRAMES, BANDS = 96, 64
FRAME, HOP = 400, 160
"""Samples of a frame and from one to the next, as the preset yamnet has them."""
SPAN = 15_600
MIDDLE = 3840
"""A window answers for the samples in its middle: as many as windows are apart in the pipeline."""
SURE = 960
"""Less of a sound in the middle than this, or less than this away from it, does not count."""


class Unit(nn.Sequential):
    """Convolution that halves both sides, normalisation, ReLU."""

    def __init__(self, wide_in: int, wide_out: int) -> None:
        super().__init__(
            nn.Conv2d(wide_in, wide_out, 3, 2, 1, bias=False), nn.BatchNorm2d(wide_out), nn.ReLU()
        )


class Ear(nn.Module):
    """A small convolutional network; reads log-mel windows, (batch, 96, 64)."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, second, third, last = widths
        self.body = nn.Sequential(Unit(1, first), Unit(first, second), Unit(second, third))
        self.across = nn.Sequential(
            nn.Conv2d(third, last, (3, BANDS // 8), padding=(1, 0), bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        )
        self.along = nn.Conv2d(last, len(LABELS), (FRAMES // 8, 1))

    def raw(self, windows: Tensor) -> Tensor:
        """Logits, (batch, labels)."""
        seen = self.across(self.body((windows[:, None] + 3.5) * 0.5))
        return self.along(seen)[:, :, 0, 0]

    def forward(self, logmel: Tensor) -> Tensor:
        """As exported: scores 0..1."""
        return self.raw(logmel).sigmoid()


class Scene:
    """The spectrogram of a soundscape, and what is heard when."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        level_db = chance.uniform(-30, -6)
        mix = Mix(
            pause_s=chance.uniform(0.8, 3),
            level_db=level_db,
            noise_db=max(-80.0, level_db - chance.uniform(18, 45)),
        )
        samples, self.heard = soundscape(seed, SECONDS, RATE_HZ, mix)
        signal = Signal(samples[None], RATE_HZ, ("mono",), ("1",))
        logmel = Logmel(LogmelOptions(preset="yamnet"), context())
        packet = Packet(signal, "room", 0, 0, 0, 0, 0, 0, 0, ())
        self.values = logmel.process(packet).values.astype(np.float16)

    def window(self, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Any stretch: its spectrogram, and for each label 1, 0 or -1 where it does not count."""
        at = int(chance.integers(len(self.values) - FRAMES + 1))
        middle = at * HOP + SPAN // 2
        wanted = np.zeros(len(LABELS), np.float32)
        for sound in self.heard:
            said = _said(sound, middle - MIDDLE // 2, middle + MIDDLE // 2)
            if said:
                wanted[LABELS.index(sound.label)] = said
        return self.values[at : at + FRAMES], wanted


def _said(sound: Heard, begin: int, end: int) -> float:
    """Whether a window says that it hears a sound: 1 yes, 0 no, -1 does not matter."""
    first, last = sound.start_s * RATE_HZ, sound.end_s * RATE_HZ
    shared = min(last, end) - max(first, begin)
    if shared >= min(SURE, (last - first) / 2):
        return 1.0
    return -1.0 if shared > -SURE else 0.0


def train(name: str, scenes: list[Scene]) -> Ear:
    """Train one network."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net, chance = Ear(WIDTHS[name]), np.random.default_rng(SEED)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    began = time.monotonic()
    for step in range(STEPS):
        picked = [scenes[i].window(chance) for i in chance.integers(len(scenes), size=BATCH)]
        windows = torch.from_numpy(np.stack([w for w, _ in picked]).astype(np.float32))
        wanted = torch.from_numpy(np.stack([w for _, w in picked]))
        wrong = F.binary_cross_entropy_with_logits(
            net.raw(windows), wanted.clamp(min=0), reduction="none"
        )
        loss = (wrong * (wanted >= 0)).mean()
        optimiser.param_groups[0]["lr"] = (
            LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS)) * min(1, (step + 1) / 50)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0:
            passed_s = time.monotonic() - began
            print(f"{name}: {step:5}/{STEPS} {passed_s:5.0f} s  {loss.item():.4f}", flush=True)
    return net


def export(net: Ear, file: Path) -> None:
    """Write one ONNX file, with the labels in its metadata."""
    net.eval()
    torch.onnx.export(
        net,
        (torch.zeros(1, FRAMES, BANDS),),
        str(file),
        input_names=["logmel"],
        output_names=["scores"],
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(file)
    model.producer_name, model.producer_version = "edgeapp training/train_sounds.py", ""
    model.doc_string = "Sounds of a drawn room; log-mel as YAMNet has it, 0.975 s at 16 kHz."
    onnx.helper.set_model_props(model, {"labels": ",".join(LABELS)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def write_accuracy(folder: Path) -> None:
    """Measure both models where they are, and write down how good they are."""
    described = {
        "models": {f"{name}.onnx": accuracy.measure(name) for name in WIDTHS},
        "measured": accuracy.described(),
        "trained": {
            "scene_seeds_from": accuracy.FIRST_TRAINING_SEED,
            "scenes": SCENES,
            "seconds_of_each": SECONDS,
            "windows": STEPS * BATCH,
            "seed": SEED,
        },
    }
    text = json.dumps(described, indent=2) + "\n"
    (folder / "sounds_accuracy.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Train, export, and measure all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="only measure what is there")
    given = parser.parse_args()
    folder = REPO / "pipelines" / "models"
    if not given.measure:
        names = "".join(f"{label}\n" for label in LABELS)
        (folder / "sounds_labels.txt").write_text(names, encoding="utf-8")
        first = accuracy.FIRST_TRAINING_SEED
        scenes = [Scene(seed) for seed in range(first, first + SCENES)]
        for name in WIDTHS:
            export(train(name, scenes), folder / f"{name}.onnx")
    write_accuracy(folder)


if __name__ == "__main__":
    main()
