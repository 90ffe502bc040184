"""Train the demo's bottle detectors on drawn scenes, export them, measure them on other scenes.

    python training/train_conveyor.py

Writes conveyor_{256,160,96}.onnx, conveyor_labels.txt and accuracy.json to pipelines/models. The
pictures are drawn as they are needed. Everything is seeded: the same machine and versions give the
same models, one size alone or all in turn. Takes a quarter of an hour on one core.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "training")]

import conveyor_accuracy as accuracy  # noqa: E402 - lies beside this file

from edgeapp.models.letterbox import Letterbox  # noqa: E402
from edgeapp.sources._conveyor_scene import LABELS, Truth, scene  # noqa: E402

STEPS = {256: 650, 160: 750, 96: 900}
"""Size of the input → batches; a small picture shows less, and takes longer to learn from."""
BATCH = 16
PICTURES = 12
"""Taken of each scene before another takes its place."""
FAULTY = 0.67
SEED = 20
OPSET = 17

LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-3
STRIDES = (8, 16, 32)
LONGEST = (100.0, 200.0, float("inf"))
"""Each grid learns the bottles up to this long, in pixels of the input. Bottles are narrow: on a
coarser grid two of them share a cell."""
LOOK, REACH = 0.36, 1.0
"""Cells whose centre lies this near, in strides, to a spot this far down a bottle learn it: the
spot is as far from the cap as from the label, and what a cell sees well is near."""
BOX_WEIGHT, CLASS_WEIGHT = 3.0, 2.0
RARELY = -4.6
"""Logit that objectness starts with: one cell in a hundred."""


class Unit(nn.Sequential):
    """Convolution, normalisation, ReLU."""

    def __init__(self, wide_in: int, wide_out: int, *, stride: int = 1, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(wide_in, wide_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(wide_out),
            nn.ReLU(),
        )


class Head(nn.Module):
    """What one grid says: box (4), objectness (1), labels; (batch, cells, 5 + labels), raw."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.body = Unit(wide, 32)
        self.out = nn.Conv2d(32, 5 + len(LABELS), 1)
        nn.init.constant_(self.out.bias[4:5], RARELY)

    def forward(self, grid: Tensor) -> Tensor:
        """Look at the features of one grid."""
        return self.out(self.body(grid)).flatten(2).transpose(1, 2)


class Bottles(nn.Module):
    """A small single-shot detector; reads BGR 0..255, scales it itself."""

    def __init__(self) -> None:
        super().__init__()
        self.to4 = nn.Sequential(Unit(3, 12, stride=2), Unit(12, 20, stride=2))
        self.to8 = nn.Sequential(Unit(20, 32, stride=2), Unit(32, 32))
        self.to16 = nn.Sequential(Unit(32, 48, stride=2), Unit(48, 48))
        self.to32 = nn.Sequential(Unit(48, 64, stride=2), Unit(64, 48))
        self.down16 = Unit(48, 48)
        self.down8 = Unit(48, 32, kernel=1)
        self.heads = nn.ModuleList([Head(32), Head(48), Head(48)])

    def raw(self, pictures: Tensor) -> Tensor:
        """(batch, 3, size, size), 0..255 → (batch, cells, 5 + labels), as logits."""
        at8 = self.to8(self.to4((pictures - 114) * (1 / 64)))
        at16 = self.to16(at8)
        at32 = self.to32(at16)
        at16 = self.down16(at16 + F.interpolate(at32, scale_factor=2.0))
        at8 = at8 + F.interpolate(self.down8(at16), scale_factor=2.0)
        grids = (at8, at16, at32)
        return torch.cat([head(grid) for head, grid in zip(self.heads, grids, strict=True)], 1)

    def forward(self, images: Tensor) -> Tensor:
        """As exported: objectness and label scores 0..1, boxes as the grid says them."""
        raw = self.raw(images)
        return torch.cat((raw[..., :4], raw[..., 4:].sigmoid()), -1)


class Lesson:
    """What one size of network should say, and how wrong it is."""

    def __init__(self, size: int) -> None:
        cells, strides, longest, shortest = [], [], [], []
        for stride, most, least in zip(STRIDES, LONGEST, (0.0, *LONGEST[:-1]), strict=True):
            y, x = np.mgrid[: size // stride, : size // stride]
            cells.append(np.stack((x, y), -1).reshape(-1, 2))
            strides.append(np.full((len(cells[-1]), 1), stride))
            longest.append(np.full(len(cells[-1]), most))
            shortest.append(np.full(len(cells[-1]), least))
        self.size = size
        self.cells = torch.tensor(np.concatenate(cells), dtype=torch.float32)
        self.strides = torch.tensor(np.concatenate(strides), dtype=torch.float32)
        self.longest = torch.tensor(np.concatenate(longest), dtype=torch.float32)
        self.shortest = torch.tensor(np.concatenate(shortest), dtype=torch.float32)

    def loss(self, raw: Tensor, truths: list[Truth], scales: list[tuple[float, float]]) -> Tensor:
        """Objectness everywhere it counts; box (GIoU) and label where there is a bottle."""
        owners = torch.stack(
            [self._owners(t, s) for t, s in zip(truths, scales, strict=True)]
        )  # -1 nothing, -2 does not count, else the number of the bottle
        wanted = (owners >= 0).float()
        sure = F.binary_cross_entropy_with_logits(raw[..., 4], wanted, reduction="none")
        cells = wanted.sum().clamp(min=1)
        loss = (sure * (owners != -2)).sum() / cells  # noqa: PLR2004 - see above
        where = owners >= 0
        picture = where.nonzero()[:, 0]
        starts = np.cumsum([0, *(len(t.classes) for t in truths)])[:-1]
        index = owners[where] + torch.tensor(starts)[picture]
        boxes = torch.tensor(
            np.concatenate(
                [t.xyxy * np.float32(s * 2) for t, s in zip(truths, scales, strict=True)]
            )
        )[index]
        labels = torch.tensor(np.concatenate([t.classes for t in truths]))[index].long()
        loss = loss + BOX_WEIGHT * (1 - _giou(self._boxes(raw)[where], boxes)).sum() / cells
        target = F.one_hot(labels, len(LABELS)).float()
        named = F.binary_cross_entropy_with_logits(raw[..., 5:][where], target, reduction="sum")
        return loss + CLASS_WEIGHT * named / cells

    def _owners(self, truth: Truth, scale: tuple[float, float]) -> Tensor:
        centres = (self.cells + 0.5) * self.strides
        owners = torch.full((len(centres),), -1)
        boxes = torch.tensor(truth.xyxy * np.float32(scale * 2))
        visible = truth.visible >= accuracy.VISIBLE
        for number in np.argsort(visible):  # what counts is written last
            box = boxes[number]
            if visible[number]:
                spot = box[:2] + (box[2:] - box[:2]) * torch.tensor((0.5, LOOK))
                off = (centres - spot).abs().amax(1)
                long = (box[2:] - box[:2]).max()
                fits = (long <= self.longest) & (long > self.shortest)
                owners[(off < REACH * self.strides[:, 0]) & fits] = int(number)
            else:
                owners[((centres >= box[:2]) & (centres <= box[2:])).all(1)] = -2
        return owners

    def _boxes(self, raw: Tensor) -> Tensor:
        centres = (raw[..., :2] + self.cells) * self.strides
        halves = raw[..., 2:4].clamp(-8, 8).exp() * self.strides / 2
        return torch.cat((centres - halves, centres + halves), -1)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union, (n,), of boxes (n, 4) (Rezatofighi et al. 2019)."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    around = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    both, hull = shared.prod(1), around.prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both
    return both / union - (hull - union) / hull


Picture = tuple[np.ndarray, Truth]


def batches() -> Iterator[list[Picture]]:
    """Yield one picture of each of BATCH scenes at a time."""
    seeds = count(accuracy.FIRST_TRAINING_SEED)
    streams = [_pictures(seeds) for _ in range(BATCH)]
    while True:
        yield [next(stream) for stream in streams]


def _pictures(seeds: Iterator[int]) -> Iterator[Picture]:
    """PICTURES of one scene, then of another, without end."""
    for seed in seeds:
        pictures = scene(
            seed, rate_hz=accuracy.RATE_HZ, faulty=FAULTY, light=accuracy.TRAINING_LIGHT
        )
        yield from islice(pictures, PICTURES)


def train(size: int) -> Bottles:
    """Train the network for one size of input."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net, lesson, steps = Bottles(), Lesson(size), STEPS[size]
    letterbox = Letterbox((size, size), placement="top_left", pad=114, color="bgr", scale=1.0)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    began = time.monotonic()
    for step, batch in zip(range(steps), batches(), strict=False):
        tensor = np.empty((BATCH, 3, size, size), np.float32)
        fits = [letterbox.write(pixels, tensor[i]) for i, (pixels, _) in enumerate(batch)]
        scales = [(float(fit.width), float(fit.height)) for fit in fits]
        loss = lesson.loss(net.raw(torch.from_numpy(tensor)), [t for _, t in batch], scales)
        cosine = 0.5 * (1 + np.cos(np.pi * step / steps))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * cosine * min(1, (step + 1) / 50)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        if step % 20 == 0:
            passed_s = time.monotonic() - began
            print(f"{size}: {step:5}/{steps} {passed_s:6.0f} s  loss {loss.item():.3f}", flush=True)
    return net


def export(net: Bottles, size: int, file: Path) -> None:
    """Write one ONNX file, with the labels in its metadata."""
    net.eval()
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, size, size),),
        str(file),
        input_names=["images"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(file)
    model.producer_name, model.producer_version = "edgeapp training/train_conveyor.py", ""
    model.doc_string = "Bottles on a drawn conveyor; layout yolox, BGR 0..255."
    onnx.helper.set_model_props(model, {"labels": ",".join(LABELS)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def write_accuracy(folder: Path) -> None:
    """Measure every model that is in the folder, and write down how good it is."""
    files = [folder / f"conveyor_{size}.onnx" for size in STEPS]
    described = {
        "models": {file.name: accuracy.measure(file) for file in files if file.exists()},
        "measured": accuracy.described(),
        "trained": {
            "pictures": {str(size): steps * BATCH for size, steps in STEPS.items()},
            "scene_seeds_from": accuracy.FIRST_TRAINING_SEED,
            "light": accuracy.TRAINING_LIGHT,
            "seed": SEED,
        },
    }
    text = json.dumps(described, indent=2) + "\n"
    (folder / "accuracy.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Train, export, and measure all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=list(STEPS), help="256 160 96")
    parser.add_argument("--folder", type=Path, default=REPO / "pipelines" / "models")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    names = "".join(f"{label}\n" for label in LABELS)
    (given.folder / "conveyor_labels.txt").write_text(names, encoding="utf-8")
    for size in given.sizes:
        export(train(size), size, given.folder / f"conveyor_{size}.onnx")
    write_accuracy(given.folder)


if __name__ == "__main__":
    main()
