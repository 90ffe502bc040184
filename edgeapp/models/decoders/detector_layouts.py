"""How detectors lay out their answers, and how boxes are read from them.

Each layout looks at the shapes once and then turns outputs into candidates: boxes in pixels of
the model's input, their best class and its score, unsuppressed and in no order.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Tensors, TensorSpec, TensorSpecs
from edgeapp.core.fit import Placement
from edgeapp.models.letterbox import Color

LayoutName = Literal["yolox", "yolov8", "boxes"]
STRIDES = (8, 16, 32)
"""Input pixels per cell of the three grids that YOLO heads predict on."""


_FARTHEST = 1e6
"""No edge of a real box lies so many pixels away."""


class Candidates(NamedTuple):
    """`xyxy`: (n, 4) float32, pixels of the input. `scores`: (n,) float32. `classes`: (n,) int32."""

    xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]


def within_reason(found: Candidates) -> Candidates:
    """Without boxes of NaN or endless size: one of them would suppress all others."""
    sane = (np.abs(found.xyxy) <= _FARTHEST).all(axis=1)
    if sane.all():
        return found
    return Candidates(found.xyxy[sane], found.scores[sane], found.classes[sane])


class Training(NamedTuple):
    """How pictures of a family of models usually looked in training."""

    color: Color
    value_range: Literal["0..255", "0..1"]
    placement: Placement


class Layout(Protocol):
    """Reads candidates from the outputs of one model."""

    class_count: int | None
    """None where the outputs do not tell."""
    training: Training

    def candidates(self, outputs: Tensors, min_score: float) -> Candidates:
        """Everything scored `min_score` or more."""


def layout_of(
    name: LayoutName | Literal["auto"], size: tuple[int, int], outputs: TensorSpecs
) -> Layout:
    """The layout of these outputs, of a model that reads pictures of `size` (width, height).

    Raises:
        ValueError: they do not fit the layout, or, for "auto", none.
    """
    if name != "auto":
        return _LAYOUTS[name](size, outputs)
    reasons = []
    for known, layout in _LAYOUTS.items():
        try:
            return layout(size, outputs)
        except ValueError as error:
            reasons.append(f"{known}: {error}")
    raise ValueError(
        f"the outputs {_described(outputs)} are of no layout known here. " + "; ".join(reasons)
    )


class Yolox:
    """[1, cells, 5 + classes]: centre and log size in cells of a grid, objectness, class scores.

    Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021": a box's centre is (offset + cell) x
    stride, its size exp(value) x stride; its score is objectness x class score.
    """

    training = Training("bgr", "0..255", "top_left")

    def __init__(self, size: tuple[int, int], outputs: TensorSpecs) -> None:
        self._output, rows, columns = _only_matrix(outputs)
        cells, strides = _grid(size)
        if rows != len(cells) or columns < 6:  # noqa: PLR2004 - 4 of box, objectness, a class
            raise ValueError(
                f"expected one output of [1, {len(cells)}, 5 + classes], not {_described(outputs)}"
            )
        self._cells, self._strides = cells, strides
        self.class_count: int | None = columns - 5

    def candidates(self, outputs: Tensors, min_score: float) -> Candidates:
        """Everything scored `min_score` or more."""
        table = outputs[self._output][0]
        # A class score is 1 at most, so a row that fails on objectness alone need not be read.
        rows = np.flatnonzero(table[:, 4] >= min_score)
        found = table[rows]
        classes = found[:, 5:].argmax(axis=1)
        scores = found[:, 4] * found[np.arange(len(found)), 5 + classes]
        kept = scores >= min_score
        rows, found = rows[kept], found[kept]
        strides = self._strides[rows, None]
        centers = (found[:, :2] + self._cells[rows]) * strides
        with np.errstate(over="ignore"):  # endless boxes are dropped by `within_reason`
            halves = np.exp(found[:, 2:4]) * (strides / 2)
        return _candidates(centers, halves, scores[kept], classes[kept])


class Yolov8:
    """[1, 4 + classes, cells]: centre and size in pixels of the input, class scores (also YOLO11)."""

    training = Training("rgb", "0..1", "center")

    def __init__(self, size: tuple[int, int], outputs: TensorSpecs) -> None:
        self._output, rows, columns = _only_matrix(outputs)
        cells = len(_grid(size)[0])
        if columns != cells or rows < 5:  # noqa: PLR2004 - 4 of box, a class
            raise ValueError(
                f"expected one output of [1, 4 + classes, {cells}], not {_described(outputs)}"
            )
        self.class_count: int | None = rows - 4

    def candidates(self, outputs: Tensors, min_score: float) -> Candidates:
        """Everything scored `min_score` or more."""
        table = outputs[self._output][0]
        scores = table[4:].max(axis=0)
        columns = np.flatnonzero(scores >= min_score)
        found = table[:, columns].T
        return _candidates(
            found[:, :2], found[:, 2:4] / 2, scores[columns], found[:, 4:].argmax(axis=1)
        )


class Boxes:
    """Finished boxes: left, top, right, bottom in pixels of the input, and their scores.

    Boxes are [n, 4] or [1, n, 4]. Scores are [n] or [1, n] beside an output of classes (whole
    numbers, or "class" or "label" in its name), or [n, classes] or [1, n, classes] without.
    """

    training = Training("rgb", "0..1", "center")

    def __init__(self, size: tuple[int, int], outputs: TensorSpecs) -> None:
        del size
        flat = {name: _without_batch(spec) for name, spec in outputs.items()}
        boxes = [name for name, shape in flat.items() if len(shape) == 2 and shape[1] == 4]  # noqa: PLR2004
        if len(boxes) > 1:
            boxes = [name for name in boxes if "box" in name.lower()]
        classes = [
            name
            for name, shape in flat.items()
            if len(shape) == 1
            and (
                "int" in outputs[name].dtype
                or any(word in name.lower() for word in ("class", "label"))
            )
        ]
        rank = 1 if classes else 2
        scores = [
            name
            for name, shape in flat.items()
            if len(shape) == rank and name not in boxes + classes and "float" in outputs[name].dtype
        ]
        if not len(boxes) == len(scores) == 1 or len(classes) > 1:
            raise ValueError(
                "expected outputs of boxes [1, n, 4] and scores [1, n] with classes [1, n], or "
                f"scores [1, n, classes], not {_described(outputs)}"
            )
        self._boxes, self._scores = boxes[0], scores[0]
        self._classes = classes[0] if classes else None
        self.class_count: int | None = None if classes else flat[self._scores][1]

    def candidates(self, outputs: Tensors, min_score: float) -> Candidates:
        """Everything scored `min_score` or more."""
        boxes = outputs[self._boxes].reshape(-1, 4)
        scores = outputs[self._scores]
        if self._classes is None:
            scores = scores.reshape(len(boxes), -1)
            classes = scores.argmax(axis=1)
            scores = scores[np.arange(len(boxes)), classes]
        else:
            classes = outputs[self._classes].reshape(-1)
            scores = scores.reshape(-1)
        kept = np.flatnonzero(scores >= min_score)
        return Candidates(
            boxes[kept].astype(np.float32, copy=False),
            scores[kept].astype(np.float32, copy=False),
            classes[kept].astype(np.int32, copy=False),
        )


_LAYOUTS: Mapping[LayoutName, type[Yolox] | type[Yolov8] | type[Boxes]] = {
    "yolox": Yolox,
    "yolov8": Yolov8,
    "boxes": Boxes,
}


def _candidates(
    centers: NDArray[Any], halves: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any]
) -> Candidates:
    with np.errstate(invalid="ignore"):
        xyxy = np.concatenate((centers - halves, centers + halves), axis=1)
    return Candidates(
        xyxy.astype(np.float32, copy=False),
        scores.astype(np.float32, copy=False),
        classes.astype(np.int32),
    )


def _grid(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cell (x, y) and the stride of each prediction: grid by grid, row by row."""
    width, height = size
    cells, strides = [], []
    for stride in STRIDES:
        columns, rows = width // stride, height // stride
        y, x = np.mgrid[:rows, :columns]
        cells.append(np.stack((x, y), axis=-1).reshape(-1, 2))
        strides.append(np.full(rows * columns, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _only_matrix(outputs: TensorSpecs) -> tuple[str, int, int]:
    """Name, rows and columns of the one output, without its batch of 1."""
    if len(outputs) == 1:
        [(name, spec)] = outputs.items()
        if len(spec.shape) == 3 and spec.shape[0] in {1, None}:  # noqa: PLR2004 - with the batch
            _, rows, columns = spec.shape
            if rows is None or columns is None:
                raise ValueError(
                    f"the output {_described(outputs)} has an open size; export the model with "
                    "fixed ones"
                )
            return name, rows, columns
    raise ValueError(f"expected one output of rank 3, not {_described(outputs)}")


def _without_batch(spec: TensorSpec) -> tuple[int | None, ...]:
    """The shape without a leading batch, where its rank is too high for a lone picture."""
    shape = spec.shape
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def _described(outputs: TensorSpecs) -> str:
    return ", ".join(
        f"{name} [{', '.join('?' if side is None else str(side) for side in spec.shape)}]"
        for name, spec in outputs.items()
    )
