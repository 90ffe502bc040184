"""The detector: boxes with labels, from models of the YOLOX and YOLOv8 families and the like."""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from edgeapp.api import (
    Context,
    Detections,
    Field,
    Image,
    Live,
    Options,
    Tensors,
    TensorSpecs,
    View,
    model,
)
from edgeapp.core.fit import Fit, Placement
from edgeapp.models.decoders.detector_layouts import Layout, LayoutName, layout_of, within_reason
from edgeapp.models.decoders.detector_overlap import best_of_overlapping
from edgeapp.models.decoders.labels import COCO, LabelNames, fitting
from edgeapp.models.letterbox import Color, Letterbox


class DetectorOptions(Options):
    """What the model answers, what it wants to see, and which answers count."""

    layout: LayoutName | Literal["auto"] = Field(
        "auto",
        description="How the model lays out its answers; auto works it out from their shapes. "
        "yolox: as exported without its decoding; yolov8: also YOLO11; boxes: finished boxes in "
        "pixels, with scores.",
    )
    labels: LabelNames = Field(
        COCO,
        min_length=1,
        description="The names of the classes in the model's order: a list, a text file with one "
        "on each line, or coco for the 80 classes of COCO.",
    )
    min_score: Annotated[float, Live()] = Field(
        0.4, ge=0.001, le=1, description="Leave out what the model is less sure of than this."
    )
    max_iou: Annotated[float, Live()] = Field(
        0.5,
        ge=0,
        le=1,
        description="Of two boxes with one label that overlap by more than this share of their "
        "union, only the better counts.",
    )
    max_count: Annotated[int, Live()] = Field(
        100, ge=1, le=1000, description="Keep this many boxes at most."
    )
    color: Color | None = Field(
        None, description="Order of the colours that the model wants; else as usual for its layout."
    )
    value_range: Literal["0..255", "0..1"] | None = Field(
        None, description="Range of the pixels that the model wants; else as usual for its layout."
    )
    placement: Placement | None = Field(
        None,
        description="Where the picture lies in the model's input; else as usual for its layout.",
    )
    pad: int = Field(
        114, ge=0, le=255, description="Grey that fills what the picture leaves of the input."
    )


class Seen(NamedTuple):
    """A picture, and where it lay in the model's input."""

    image: Image
    fit: Fit


@model("detector")
class Detector:
    """Find things and where they are, with a detection model such as YOLOX or YOLOv8."""

    _layout: Layout
    _letterbox: Letterbox

    def __init__(self, options: DetectorOptions, _context: Context) -> None:
        self._options = options
        self._input = ""

    def tune(self, options: DetectorOptions) -> None:
        """Other limits, from the next picture on."""
        self._options = options

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Work out the layout; see that the labels fit it.

        Raises:
            ValueError: the model reads no single picture of fixed size, answers in no layout
                known here, or knows another number of classes than there are labels.
        """
        options = self._options
        self._input, size = _picture_input(inputs)
        layout = layout_of(options.layout, size, outputs)
        if layout.class_count is not None:
            fitting(options.labels, layout.class_count)
        usual = layout.training
        self._layout = layout
        self._letterbox = Letterbox(
            size,
            placement=options.placement or usual.placement,
            pad=options.pad,
            color=options.color or usual.color,
            scale=1.0 if (options.value_range or usual.value_range) == "0..255" else 1 / 255,
        )

    def feed(self, value: Image, /, *, into: Tensors) -> Seen:
        """Letterbox the picture into the model's input."""
        return Seen(value, self._letterbox.write(value.pixels, into[self._input][0]))

    def decode(self, outputs: Tensors, feed: Seen, /) -> Detections:
        """The boxes that count, as fractions of the source picture, best score first."""
        options = self._options
        found = within_reason(self._layout.candidates(outputs, options.min_score))
        if not len(found.scores):  # as most of the time
            return Detections(*found, options.labels, feed.image)
        kept = best_of_overlapping(*found, max_iou=options.max_iou, max_count=options.max_count)
        image, fit = feed
        xyxy = _in_source(found.xyxy[kept], fit, image.view)
        detections = Detections(
            xyxy, found.scores[kept], found.classes[kept], options.labels, image
        )
        # Nothing is left of what lay in the borders. Classes without a label come only from
        # models whose outputs do not tell how many there are.
        real = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        real &= (detections.classes >= 0) & (detections.classes < len(options.labels))
        return detections if real.all() else detections.select(real)


def _in_source(xyxy: np.ndarray[Any, np.dtype[np.float32]], fit: Fit, view: View) -> Any:
    """Boxes in pixels of the canvas as fractions of the source, cut at the picture's edges."""
    canvas = fit.view(view)
    scale = np.array((canvas.width / fit.canvas_width, canvas.height / fit.canvas_height) * 2)
    shift = np.array((canvas.left, canvas.top) * 2)
    low = (max(0.0, view.left), max(0.0, view.top)) * 2
    high = (min(1.0, view.left + view.width), min(1.0, view.top + view.height)) * 2
    return (xyxy * scale + shift).clip(low, high).astype(np.float32)


def _picture_input(inputs: TensorSpecs) -> tuple[str, tuple[int, int]]:
    """Name and size (width, height) of the one input."""
    if len(inputs) == 1:
        [(name, spec)] = inputs.items()
        match spec.shape:
            case (1 | None, 3, int(height), int(width)) if spec.dtype == "float32":
                return name, (width, height)
            case (_, _, height, width) if height is None or width is None:
                raise ValueError(
                    f"the input '{name}' leaves its height or width open; export the model with "
                    "a fixed size"
                )
    described = ", ".join(f"{n} {list(s.shape)} {s.dtype}" for n, s in inputs.items())
    raise ValueError(f"a detector has one input [1, 3, height, width] float32, not {described}")
