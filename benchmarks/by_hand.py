"""The loop that one would write by hand: the same libraries, settings and answers, no framework."""

import os
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import cv2
import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.compare import REPO

cv2.setNumThreads(1)

MODEL = REPO / "pipelines" / "models" / "conveyor_96.onnx"
"""Answers in well under 1 ms."""
LABELS = ["bottle", "scratched", "missing_cap"]
SIZE = 96
MIN_SCORE, MAX_IOU = 0.4, 0.5

Array = NDArray[Any]


class ByHand:
    """A detector for one thread: pictures in, JSON lines out."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(MODEL), options, ["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name
        self._tensor = np.empty((1, 3, SIZE, SIZE), np.float32)
        self._canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
        self._planes = np.empty((3, SIZE, SIZE), np.uint8)
        self._cells, self._strides = _grid()
        self._encode = msgspec.json.encode
        self.frames = 0

    def line(self, pixels: Array, pipeline: str = "bench") -> bytes:
        """One picture's answer, as edgeapp would write it."""
        taken_s = time.time()
        boxes, scores, classes = self._detect(pixels)
        message = {
            "schema": "edgeapp/detections/1",
            "id": f"bench/1/{self.frames}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(taken_s)),
            "clock": "synced",
            "age_ms": round((time.time() - taken_s) * 1e3, 3),
            "pipeline": pipeline,
            "stage": "out",
            "origin": "camera",
            "epoch": 0,
            "seq": self.frames,
            "part": 0,
            "model": "detector",
            "variant": "conveyor_96",
            "rung": 0,
            "lost": 0,
            "count": len(boxes),
            "boxes": [[round(float(v), 5) for v in box] for box in boxes],
            "labels": [LABELS[c] for c in classes],
            "scores": [round(s, 4) for s in scores],
        }
        self.frames += 1
        return self._encode(message)

    def _detect(self, pixels: Array) -> tuple[list[Array], list[float], list[int]]:
        height, width = pixels.shape[:2]
        scale = min(SIZE / width, SIZE / height)
        size = round(width * scale), round(height * scale)
        cv2.resize(pixels, size, dst=self._canvas[: size[1], : size[0]])
        cv2.split(self._canvas, list(self._planes))
        np.multiply(self._planes, np.float32(1), out=self._tensor[0])
        [answers] = self._session.run(None, {self._name: self._tensor})
        boxes, scores, classes = _decode(answers[0], self._cells, self._strides)
        return [box / (size * 2) for box in boxes], scores, classes


def _grid() -> tuple[Array, Array]:
    """Cells and strides of the model's three grids."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        side = SIZE // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack((x, y), -1).reshape(-1, 2))
        strides.append(np.full(side * side, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _decode(
    table: Array, cells: Array, strides: Array
) -> tuple[list[Array], list[float], list[int]]:
    """Boxes [x, y, w, h] that count, without those that overlap a better one of their label."""
    rows = np.flatnonzero(table[:, 4] >= MIN_SCORE)
    if not len(rows):
        return [], [], []
    found = table[rows]
    classes = found[:, 5:].argmax(axis=1)
    scores = found[:, 4] * found[np.arange(len(found)), 5 + classes]
    sure = scores >= MIN_SCORE
    rows, classes, scores, found = rows[sure], classes[sure], scores[sure], found[sure]
    center = (found[:, :2] + cells[rows]) * strides[rows, None]
    half = np.exp(found[:, 2:4]) * strides[rows, None] / 2
    low, high = center - half, center + half
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(
            classes[index] != classes[k]
            or _iou(low[index], high[index], low[k], high[k]) <= MAX_IOU
            for k in kept
        ):
            kept.append(int(index))
    boxes = [np.concatenate((low[k], high[k] - low[k])) for k in kept]
    return boxes, [float(scores[k]) for k in kept], [int(classes[k]) for k in kept]


def _iou(low: Array, high: Array, low2: Array, high2: Array) -> float:
    inner = np.prod(np.clip(np.minimum(high, high2) - np.maximum(low, low2), 0, None))
    return float(inner / (np.prod(high - low) + np.prod(high2 - low2) - inner))


def opened_for_append(file: Path) -> int:
    """A file to write lines to."""
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
