"""Pictures into the one input of a model, whatever its layout, colours and numbers.

For models that look at a picture as a whole; the detector has `letterbox`, which does less, faster.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from edgeapp.api import Field, Image, Options, Tensors, TensorSpec, TensorSpecs, View
from edgeapp.core.fit import Fit
from edgeapp.core.opencv import cv2
from edgeapp.models.letterbox import Canvas

PictureFit = Literal["letterbox", "stretch", "crop"]
ValueRange = Literal["0..255", "0..1", "-1..1"]

FIT = (
    "How a picture of another shape than the model's input gets into it. letterbox: all of it, "
    "undistorted, with grey borders; stretch: all of it, distorted; crop: the largest part in its "
    "middle that has the shape."
)
"""What the option `fit` does, for users."""

_PAD = 114
"""Grey of the borders of a letterboxed picture, as models are usually trained with."""
_RANGES: dict[ValueRange, tuple[float, float]] = {
    "0..255": (1.0, 0.0),
    "0..1": (1 / 255, 0.0),
    "-1..1": (2 / 255, -1.0),
}
"""By what pixels of 0..255 are multiplied, and what is added then."""


class PictureOptions(Options):
    """What a model wants to see."""

    fit: PictureFit = Field("letterbox", description=FIT)
    color: Literal["rgb", "bgr", "grey"] | None = Field(
        None,
        description="Colours that the model wants; rgb if not given, or grey where its input has "
        "one channel.",
    )
    value_range: ValueRange | None = Field(
        None, description="Range of the pixels that the model wants; 0..1 if not given."
    )
    mean: float | tuple[float, float, float] = Field(
        0.0,
        description="Taken from the pixels after they were put into value_range: one number, or "
        "one for each channel in the model's order.",
    )
    std: float | tuple[float, float, float] = Field(
        1.0,
        description="What the pixels are then divided by: one number, or one for each channel. "
        "torchvision's models want mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225].",
    )

    @field_validator("std")
    @classmethod
    def _above_zero(
        cls, std: float | tuple[float, float, float]
    ) -> float | tuple[float, float, float]:
        if np.min(std) <= 0:
            raise ValueError("std is larger than 0")
        return std


class Placed(NamedTuple):
    """A picture, and where it lies in the model's input."""

    image: Image
    """The picture as it came."""
    fit: Fit
    """Where it lies on the input's canvas, or the part of it that was cut out."""
    view: View
    """The view of that part."""


class PictureInput:
    """The picture input of a model. For one thread."""

    def __init__(self, inputs: TensorSpecs, options: PictureOptions) -> None:
        """Look at the model's inputs.

        Raises:
            ValueError: there is no single picture of fixed size among them, or the options do not
                go with it.
        """
        self._name, spec = _only(inputs)
        self._planes, width, height, channels = _layout(self._name, spec)
        self._color = options.color or ("rgb" if channels == 3 else "grey")  # noqa: PLR2004
        if (self._color == "grey") != (channels == 1):
            raise ValueError(
                f"the input '{self._name}' {list(spec.shape)} has {channels} channels: color "
                f"cannot be {self._color}"
            )
        self._crops = options.fit == "crop"
        self._canvas = Canvas(
            (width, height), placement="center" if options.fit == "letterbox" else None, pad=_PAD
        )
        self._affine: tuple[NDArray[np.float32], NDArray[np.float32] | None] | None = None
        if spec.dtype == "float32":
            self._affine = _affine(options, channels, planes=self._planes)
        elif options.model_fields_set & {"value_range", "mean", "std"}:
            raise ValueError(
                f"the input '{self._name}' takes pixels as they are, 8 bits each: leave out "
                "value_range, mean and std"
            )

    def write(self, image: Image, into: Tensors) -> Placed:
        """Fill the model's input with a picture and say where it lies in it."""
        height, width = self._canvas.pixels.shape[:2]
        pixels, view = _middle(image, width / height) if self._crops else (image.pixels, image.view)
        shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
        fit = self._canvas.write(pixels, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        self._convert(into[self._name][0])
        return Placed(image, fit, view)

    def _convert(self, tensor: NDArray[Any]) -> None:
        """The canvas in the model's colours, order and numbers."""
        pixels: NDArray[Any] = self._canvas.pixels
        if self._color == "grey":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))[..., None]
        elif self._color == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        if self._planes:
            pixels = pixels.transpose(2, 0, 1)
        if self._affine is None:
            tensor[:] = pixels
            return
        factor, addend = self._affine
        np.multiply(pixels, factor, out=tensor)
        if addend is not None:
            tensor += addend


def described(tensors: TensorSpecs) -> str:
    """Tensors as a sentence names them: "scores [1, ?] float32"."""
    return ", ".join(
        f"{name} [{', '.join('?' if n is None else str(n) for n in spec.shape)}] {spec.dtype}"
        for name, spec in tensors.items()
    )


def _only(inputs: TensorSpecs) -> tuple[str, TensorSpec]:
    if len(inputs) == 1:
        [(name, spec)] = inputs.items()
        picture = len(spec.shape) == 4 and spec.shape[0] in {1, None}  # noqa: PLR2004 - with the batch
        if picture and spec.dtype in {"float32", "uint8"}:
            return name, spec
    raise ValueError(
        "expected one input [1, 3, height, width] or [1, height, width, 3], or with one channel, "
        f"float32 or uint8, not {described(inputs)}"
    )


def _layout(name: str, spec: TensorSpec) -> tuple[bool, int, int, int]:
    """Whether the channels come first; width, height and channels."""
    match spec.shape:
        case (_, 1 | 3 as channels, int(height), int(width)):
            return True, width, height, channels
        case (_, int(height), int(width), 1 | 3 as channels):
            return False, width, height, channels
        case (_, 1 | 3, _, _) | (_, _, _, 1 | 3):
            raise ValueError(
                f"the input '{name}' leaves its height or width open; export the model with a "
                "fixed size"
            )
    raise ValueError(
        f"the input {described({name: spec})} has neither 1 nor 3 channels where a picture has them"
    )


def _affine(
    options: PictureOptions, channels: int, *, planes: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """By what pixels are multiplied and what is added; None where it is 0.

    ((pixel x a + b) - mean) / std, as one factor and one addend for each channel.
    """
    if channels == 1 and (np.ndim(options.mean) or np.ndim(options.std)):
        raise ValueError("the model reads grey pictures: mean and std are one number each")
    scale, shift = _RANGES[options.value_range or "0..1"]
    std = np.asarray(options.std)
    factor = np.broadcast_to(scale / std, channels).astype(np.float32)
    addend = np.broadcast_to((shift - np.asarray(options.mean)) / std, channels).astype(np.float32)
    if planes:
        factor, addend = factor[:, None, None], addend[:, None, None]
    return factor, addend if addend.any() else None


def _middle(image: Image, shape: float) -> tuple[NDArray[np.uint8], View]:
    """The largest part in the middle that is `shape` times as wide as high, and its view."""
    width, height = image.size
    part_width = min(width, max(1, round(height * shape)))
    part_height = min(height, max(1, round(width / shape)))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    view = image.view.within(left / width, top / height, part_width / width, part_height / height)
    return image.pixels[top : top + part_height, left : left + part_width], view
