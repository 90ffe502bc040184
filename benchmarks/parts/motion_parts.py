"""Plugins of the measurement of the motion gate."""

import json
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import (
    Context,
    Detections,
    Field,
    Image,
    InputPath,
    Message,
    Options,
    OutputPath,
    Packet,
    output,
    transform,
)
from edgeapp.core.opencv import cv2


class CpuOptions(Options):
    """Where it goes."""

    file: OutputPath = Field(description="JSON: [seq, thread CPU in ns, stream time in ns] each.")


@output("bench_cpu")
class Cpu:
    """Note the CPU time of the lane at each packet."""

    def __init__(self, options: CpuOptions, _context: Context) -> None:
        self._file = options.file
        self._rows: list[tuple[int, int, int]] = []

    def encode(self, packet: Packet[Image]) -> Message | None:
        """Note it; say nothing."""
        self._rows.append((packet.seq, time.thread_time_ns(), packet.t_ns))
        return None

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was noted."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._rows), encoding="utf-8")


class ThingsOptions(Options):
    """Of which clip."""

    clip: InputPath = Field(description="The clip whose pictures come.")


@transform("bench_things", stateless=True)
class Things:
    """Put in place of a model's answer what a background subtractor finds in the same picture.

    For a clip on which no detector is of use. The subtractor (MOG2, Zivkovic 2004, of OpenCV: not
    the method of the gate) has seen the whole clip before, so what passes a gate changes nothing.
    """

    def __init__(self, options: ThingsOptions, _context: Context) -> None:
        self._boxes, self._fps = _moving_boxes(options.clip)

    def process(self, packet: Packet[Detections]) -> Detections:
        """What was found in that picture, with the model's picture."""
        xyxy = np.array(self._boxes[round(packet.t_ns / 1e9 * self._fps)], np.float32).reshape(
            -1, 4
        )
        n = len(xyxy)
        return Detections(
            xyxy,
            np.full(n, 0.9, np.float32),
            np.zeros(n, np.int32),
            ("thing",),
            packet.value.image,
        )


_SMALL = (384, 216)
_LEAST_AREA = 0.01
"""Of the picture."""


def _moving_boxes(clip: Path) -> tuple[list[list[list[float]]], float]:
    """Left, top, right, bottom of what moves, as fractions, for each picture; their rate in Hz."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    fps = capture.get(cv2.CAP_PROP_FPS)
    frames = []
    while capture.grab():
        frames.append(cv2.resize(capture.retrieve()[1], _SMALL, interpolation=cv2.INTER_AREA))
    capture.release()
    subtractor = cv2.createBackgroundSubtractorMOG2(500, 25, detectShadows=True)
    for frame in reversed(frames):
        subtractor.apply(frame, learningRate=0.01)
    return [_boxes(subtractor.apply(frame, learningRate=0.002)) for frame in frames], fps


def _boxes(found: NDArray[Any]) -> list[list[float]]:
    moving = (np.asarray(found) == 255).astype(np.uint8)  # 127 is shadow
    moving = np.asarray(cv2.morphologyEx(moving, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    moving = np.asarray(cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8)))
    _, _, parts, _ = cv2.connectedComponentsWithStats(moving)
    width, height = _SMALL
    return [
        [left / width, top / height, (left + wide) / width, (top + high) / height]
        for left, top, wide, high, area in parts[1:].tolist()
        if area >= _LEAST_AREA * moving.size
    ]
