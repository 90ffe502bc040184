"""The segmenter: what each part of a picture shows."""

from math import ceil, floor
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import (
    BadPacket,
    Context,
    Field,
    Image,
    Live,
    Mask,
    Tensors,
    TensorSpecs,
    View,
    model,
)
from edgeapp.core.opencv import cv2
from edgeapp.models.decoders.activation import Activation, not_scores, sigmoid
from edgeapp.models.decoders.labels import LabelNames, fitting
from edgeapp.models.picture import PictureInput, PictureOptions, Placed, described

_MOST_CLASSES = 256
_SURE_OF_ONE = 0.5
"""From which score on a pixel shows the only class that a model knows."""


class SegmenterOptions(PictureOptions):
    """What the model wants to see and what its answers mean."""

    labels: LabelNames = Field(
        min_length=2,
        max_length=_MOST_CLASSES,
        examples=["labels.txt"],
        description="The names of the classes in the model's order, the background first: a list, "
        "a text file with one on each line, or voc for the 21 classes of PASCAL VOC. A model that "
        "answers with one number for each pixel has two: the background and what it looks for.",
    )
    min_score: Annotated[float | None, Live()] = Field(
        None,
        ge=0,
        le=1,
        description="What the model is less sure of than this counts as background. If not given: "
        "0.5 for a model that answers with one number for each pixel; else the best class always "
        "counts.",
    )
    activation: Activation | None = Field(
        None,
        description="What makes scores of the model's answers, where min_score is asked for; "
        "sigmoid if not given for a model that answers with one number for each pixel, else "
        "softmax. none: they are scores already.",
    )


@model("segmenter")
class Segmenter:
    """Say what each part of a picture shows, with a segmentation model such as DeepLab."""

    _input: PictureInput
    _layout: "_Layout"

    def __init__(self, options: SegmenterOptions, _context: Context) -> None:
        self._options = options

    def tune(self, options: SegmenterOptions) -> None:
        """Another limit, from the next picture on."""
        self._options = options

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Work out the layout of the answer; see that the labels fit it.

        Raises:
            ValueError: the model reads no single picture, its answer is no map, or it knows
                another number of classes than there are labels.
        """
        self._input = PictureInput(inputs, self._options)
        self._layout = _Layout(outputs, self._options.labels)

    def feed(self, value: Image, /, *, into: Tensors) -> Placed:
        """Fit the picture into the model's input."""
        return self._input.write(value, into)

    def decode(self, outputs: Tensors, feed: Placed, /) -> Mask:
        """The class of each pixel of the model's answer, without the borders of a letterbox.

        Raises:
            BadPacket: the answer cannot be what the options say.
        """
        table = self._layout.planes(outputs)
        part, view = _picture_part(feed, table.shape[1:])
        table = table[(slice(None), *part)]
        if table.dtype.kind in "iu":
            classes = self._classes_of_indices(table[0])
        elif not np.isfinite(table.sum()):
            raise BadPacket("the model's answer is not finite", reason="not_finite")
        elif len(table) == 1:
            classes = self._classes_of_one(table[0])
        else:
            classes = self._classes_of_many(table)
        return Mask(classes, self._options.labels, view, feed.image)

    def _classes_of_indices(self, indices: NDArray[Any]) -> NDArray[np.uint8]:
        """Of a model that picks the classes itself."""
        if indices.min() < 0 or indices.max() >= len(self._options.labels):
            raise BadPacket(
                f"the model's answer names class {indices.max()}, but 'labels' has "
                f"{len(self._options.labels)}",
                reason="unknown_label",
            )
        return indices.astype(np.uint8)

    def _classes_of_one(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Of a model that knows one class beside the background."""
        options = self._options
        scores = values if options.activation == "none" else sigmoid(values)
        if not (scores.min() >= 0 and scores.max() <= 1):
            raise not_scores(values)
        least = _SURE_OF_ONE if options.min_score is None else options.min_score
        return (scores >= least).astype(np.uint8)

    def _classes_of_many(self, table: NDArray[Any]) -> NDArray[np.uint8]:
        """Of (classes, height, width) answers: the best of each pixel, if it is sure enough."""
        best = table.max(axis=0)
        classes = _first_where_equal(table, best)
        least = self._options.min_score
        if least:
            classes[self._sure(table, best) < least] = 0
        return classes

    def _sure(self, table: NDArray[Any], best: NDArray[Any]) -> NDArray[Any]:
        """The score of the best class of each pixel."""
        activation = self._options.activation
        if activation == "none":
            if not (best.min() >= 0 and best.max() <= 1):
                raise not_scores(best)
            return best
        if activation == "sigmoid":
            return sigmoid(best)
        with np.errstate(under="ignore"):
            powers = np.exp(table - best).sum(axis=0)
        return np.asarray(1 / powers)


class _Layout:
    """Where a model's answer has its classes, rows and columns."""

    def __init__(self, outputs: TensorSpecs, labels: tuple[str, ...]) -> None:
        if len(outputs) != 1:
            raise ValueError(f"expected one output, a map of classes, not {described(outputs)}")
        [(self._name, spec)] = outputs.items()
        shape = spec.shape
        if len(shape) == 3:  # noqa: PLR2004 - batch, height, width
            shape = (shape[0], 1, *shape[1:])
        if len(shape) != 4 or shape[0] not in {1, None}:  # noqa: PLR2004 - with the batch
            raise ValueError(
                "expected an output [1, classes, height, width], [1, height, width, classes] or "
                f"[1, height, width], not {described(outputs)}"
            )
        sides = {"first": shape[1], "last": shape[3]}
        known = [len(labels), 1]  # one for each label; or one number for each pixel
        count, where = next(
            ((n, side) for n in known for side in sides if sides[side] == n), (None, "")
        )
        if count is None:
            fitting(labels, min(side or 0 for side in sides.values()))
        if count == 1 and spec.dtype.startswith("float") and len(labels) != 2:  # noqa: PLR2004
            raise ValueError(
                "the model answers with one number for each pixel: 'labels' names the background "
                "and one class"
            )
        self._last = where == "last"

    def planes(self, outputs: Tensors) -> NDArray[Any]:
        """The answer as (classes, height, width)."""
        answer: NDArray[Any] = outputs[self._name][0]
        if answer.ndim == 2:  # noqa: PLR2004 - height and width
            return answer[None]
        if not self._last:
            return answer
        height, width, classes = answer.shape
        # Along planes numpy finds the best class fifteen times as fast as along a last axis.
        turned = cv2.transpose(answer.reshape(-1, classes))
        return np.asarray(turned).reshape(classes, height, width)


def _first_where_equal(table: NDArray[Any], best: NDArray[Any]) -> NDArray[np.uint8]:
    """The first class whose value is the best one, for each pixel.

    The same as `table.argmax(axis=0)` in a tenth of its time. `table`: (classes, height, width).
    """
    classes = np.full(best.shape, _MOST_CLASSES - 1, np.uint8)
    for number, plane in enumerate(table):
        candidate = (plane == best).view(np.uint8)
        candidate -= 1  # 0 where it is, 255 elsewhere
        candidate |= np.uint8(number)
        np.minimum(classes, candidate, out=classes)
    return classes


def _picture_part(placed: Placed, size: tuple[int, ...]) -> tuple[tuple[slice, slice], View]:
    """Rows and columns of the answer that show the picture and nothing else, and their view."""
    height, width = size
    fit = placed.fit
    top, bottom = _inside(fit.top, fit.height, height / fit.canvas_height, height)
    left, right = _inside(fit.left, fit.width, width / fit.canvas_width, width)
    view = fit.view(placed.view).within(
        left / width, top / height, (right - left) / width, (bottom - top) / height
    )
    return (slice(top, bottom), slice(left, right)), view


def _inside(start: int, length: int, scale: float, pixels: int) -> tuple[int, int]:
    """The whole pixels within a stretch, at least one."""
    first = min(pixels - 1, ceil(start * scale))
    return first, max(first + 1, min(pixels, floor((start + length) * scale)))
