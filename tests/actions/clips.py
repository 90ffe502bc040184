"""Pictures that say when they were taken, and clips that are read back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgeapp.actions._clip_options import SaveClipOptions
from edgeapp.actions.save_clip import SaveClip
from edgeapp.api import Detections, Event, Image, Packet, Phase
from edgeapp.testing.stage import LogBook, context

SIZE = (160, 96)
_BITS, _CELL = 20, 16


def coded(t_ns: int, size: tuple[int, int] = SIZE) -> Image:
    """A picture with its time in milliseconds drawn into it, as black and white squares."""
    width, height = size
    pixels = np.full((height, width, 3), 90, np.uint8)
    per_row = width // _CELL
    for bit in range(_BITS):
        y, x = divmod(bit, per_row)
        white = t_ns // 1_000_000 >> bit & 1
        pixels[y * _CELL : (y + 1) * _CELL, x * _CELL : (x + 1) * _CELL] = 255 * white
    return Image(pixels)


def decoded_ms(pixels: Any) -> int:
    """The time that a picture says it was taken at."""
    per_row = pixels.shape[1] // _CELL
    bits = (
        pixels[y * _CELL + _CELL // 2, x * _CELL + _CELL // 2].mean() > 128
        for y, x in (divmod(bit, per_row) for bit in range(_BITS))
    )
    return sum(int(bit) << n for n, bit in enumerate(bits))


@dataclass(frozen=True)
class Clip:
    """A file that was decoded to its end."""

    drawn_ms: list[int]
    """What its pictures say."""
    stamped_ms: list[int]
    """What the file says: its own time, from where its comment says it begins."""
    about: dict[str, Any]


def read(file: Path) -> Clip:
    with av.open(str(file)) as mp4:
        about = json.loads(mp4.metadata["comment"])
        frames = list(mp4.decode(video=0))
    began_ms = about["first_t_ns"] / 1e6
    return Clip(
        [decoded_ms(frame.to_ndarray(format="bgr24")) for frame in frames],
        [round(began_ms + (frame.time or 0) * 1000) for frame in frames],
        about,
    )


def saver(folder: Path, log: LogBook | None = None, **options: Any) -> SaveClip:
    given = {"folder": folder / "clips", "pre_s": 1.0, "post_s": 1.0, "keep_free_mb": 0, **options}
    checked = SaveClipOptions.model_validate(given)
    return SaveClip(checked, context("clip", state_dir=folder / "state", log=log))


def packet(value: Any, t_s: float, epoch: int = 0, origin: str = "camera") -> Packet[Any]:
    return Packet(value, origin, epoch, 0, 0, round(t_s * 1e9), 0, 0, 0, ())


def shot(t_s: float, epoch: int = 0, **more: Any) -> Packet[Any]:
    """The camera's picture of an instant."""
    return packet(coded(round(t_s * 1e9), **more), t_s, epoch)


def found(t_s: float, *labels: str, score: float = 0.9, image: Image | None = None) -> Packet[Any]:
    """A detector's answer about an instant."""
    n, names = len(labels), tuple(sorted(set(labels)))
    value = Detections(
        np.tile(np.array([0.1, 0.1, 0.5, 0.5], np.float32), (n, 1)),
        np.full(n, score, np.float32),
        np.array([names.index(label) for label in labels], np.int32),
        names,
        image,
    )
    return packet(value, t_s)


def event(phase: Phase, t_s: float, name: str = "e1", began_s: float | None = None) -> Packet[Any]:
    began_ns = round((t_s if began_s is None else began_s) * 1e9)
    return packet(Event(phase, name, "track", "person", began_ns, 0.8), t_s)


def clips(folder: Path) -> list[Clip]:
    return [read(file) for file in sorted((folder / "clips").glob("*.mp4"))]
