"""What packets carry. Arrays are made read-only at construction; shapes are checked there, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a service in safe mode comes up also where numpy does not
    import numpy as np
    from numpy.typing import NDArray


class Payload:
    """Base of every value that may travel between stages."""

    __slots__ = ()


def freeze(array: "NDArray[Any]") -> None:
    """Make an array read-only, as everything is that travels."""
    array.flags.writeable = False


@dataclass(frozen=True, slots=True)
class View:
    """The rectangle of the source picture that an image shows, in fractions of that picture.

    A crop shows less than the whole (0, 0, 1, 1); a letterboxed image shows more, its borders
    lying outside. Composing views is what keeps boxes exact through resize, crop and letterbox.
    """

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def within(self, left: float, top: float, width: float, height: float) -> "View":
        """The view of a part of this image, given in fractions of *this* image."""
        return View(
            self.left + left * self.width,
            self.top + top * self.height,
            width * self.width,
            height * self.height,
        )


WHOLE = View()
"""The whole source picture."""


@dataclass(frozen=True, slots=True)
class Image(Payload):
    """A picture.

    `pixels`: (height, width, 3) uint8, BGR, or (height, width) uint8, grey.
    """

    pixels: "NDArray[np.uint8]"
    view: View = WHOLE

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the pixels."""
        shape = self.pixels.shape
        if self.pixels.dtype != "uint8" or not (
            len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)  # noqa: PLR2004
        ):
            raise ValueError(
                f"an image is (height, width, 3) or (height, width) uint8, "
                f"not {shape} {self.pixels.dtype}"
            )
        freeze(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class Bands(Payload):
    """Pictures of one scene in several bands of light, pixel on pixel.

    `planes`: (bands, height, width) uint8 or uint16, proportional to the light of each band.
    """

    planes: "NDArray[np.uint8] | NDArray[np.uint16]"
    names: tuple[str, ...]
    """One for each band: "red", "nir"."""
    view: View = WHOLE

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the planes."""
        planes = self.planes
        if planes.ndim != 3 or planes.dtype not in ("uint8", "uint16"):  # noqa: PLR2004
            raise ValueError(
                "bands are (bands, height, width) uint8 or uint16, "
                f"not {planes.shape} {planes.dtype}"
            )
        if len(planes) != len(self.names):
            raise ValueError(f"{len(planes)} bands have {len(self.names)} names")
        freeze(planes)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.planes.shape[2], self.planes.shape[1]


@dataclass(frozen=True, slots=True)
class Signal(Payload):
    """Evenly sampled channels over a stretch of time.

    `samples`: (channels, samples) float32, in the unit of each channel.
    """

    samples: "NDArray[np.float32]"
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    """One for each channel: "m/s²", "V", "1" where it has none."""

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the samples."""
        samples = self.samples
        if samples.ndim != 2 or samples.dtype != "float32":  # noqa: PLR2004
            raise ValueError(
                f"a signal is (channels, samples) float32, not {samples.shape} {samples.dtype}"
            )
        if not samples.shape[0] == len(self.channels) == len(self.units):
            raise ValueError(
                f"a signal of {samples.shape[0]} channels has {len(self.channels)} names "
                f"and {len(self.units)} units"
            )
        freeze(samples)


@dataclass(frozen=True, slots=True)
class Spectrogram(Payload):
    """How strong each band of a signal is over time.

    `values`: (frames, bands) float32, oldest frame first, in `unit`.
    """

    values: "NDArray[np.float32]"
    rate_hz: float
    """Frames per second."""
    centres_hz: tuple[float, ...]
    """The middle of each band."""
    unit: str
    """"log" for natural logarithms, "dB", "1" where it has none."""

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the values."""
        values = self.values
        if values.dtype != "float32" or values.shape[1:] != (len(self.centres_hz),):
            raise ValueError(
                f"a spectrogram of {len(self.centres_hz)} bands is (frames, bands) float32, "
                f"not {values.shape} {values.dtype}"
            )
        freeze(values)


@dataclass(frozen=True, slots=True)
class Features(Payload):
    """Named numbers computed from a window.

    `values`: (n,) float64.
    """

    values: "NDArray[np.float64]"
    names: tuple[str, ...]
    """"<channel>.<feature>", such as "x.rms"."""
    units: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the values."""
        if self.values.shape != (len(self.names),) or self.values.dtype != "float64":
            raise ValueError(
                f"{len(self.names)} features need ({len(self.names)},) float64, "
                f"not {self.values.shape} {self.values.dtype}"
            )
        freeze(self.values)


@dataclass(frozen=True, slots=True)
class Detections(Payload):
    """What a detector found in a picture, best score first.

    `xyxy`: (n, 4) float32, left, top, right, bottom as fractions 0..1 of the source picture.
    `scores`: (n,) float32, 0..1. `classes`: (n,) int32, index into `labels`.
    """

    xyxy: "NDArray[np.float32]"
    scores: "NDArray[np.float32]"
    classes: "NDArray[np.int32]"
    labels: tuple[str, ...]
    """The name of each class that the model knows."""
    image: Image | None = field(default=None, compare=False)
    """The picture that was looked at, for whoever draws or stores it."""

    def __post_init__(self) -> None:
        """Check shapes and dtypes; freeze the arrays."""
        n = len(self.scores)
        if (
            self.xyxy.shape != (n, 4)
            or self.scores.shape != (n,)
            or self.classes.shape != (n,)
            or self.xyxy.dtype != "float32"
            or self.scores.dtype != "float32"
            or self.classes.dtype != "int32"
        ):
            raise ValueError(
                "detections are xyxy (n, 4) float32, scores (n,) float32, classes (n,) int32, not "
                f"{self.xyxy.shape} {self.xyxy.dtype}, {self.scores.shape} {self.scores.dtype}, "
                f"{self.classes.shape} {self.classes.dtype}"
            )
        for array in (self.xyxy, self.scores, self.classes):
            freeze(array)

    def __len__(self) -> int:
        """How many were found."""
        return len(self.scores)

    def __bool__(self) -> bool:
        """Always true: an empty picture is an answer too."""
        return True

    def select(self, chosen: "NDArray[Any]") -> "Detections":
        """Those chosen by an index or boolean array of numpy, in its order."""
        return Detections(
            self.xyxy[chosen], self.scores[chosen], self.classes[chosen], self.labels, self.image
        )


@dataclass(frozen=True, slots=True)
class Tracks(Detections):
    """Detections that are known from one picture to the next.

    `ids`: (n,) int64, 1 and up; none is used for another thing within a run.
    """

    ids: "NDArray[np.int64]" = field(kw_only=True)

    def __post_init__(self) -> None:
        """Check shapes and dtypes; freeze the arrays."""
        super(Tracks, self).__post_init__()
        if self.ids.shape != self.scores.shape or self.ids.dtype != "int64":
            raise ValueError(
                f"tracks of {len(self.scores)} detections have ids ({len(self.scores)},) int64, "
                f"not {self.ids.shape} {self.ids.dtype}"
            )
        freeze(self.ids)

    def select(self, chosen: "NDArray[Any]") -> "Tracks":
        """Those chosen by an index or boolean array of numpy, in its order."""
        return Tracks(
            self.xyxy[chosen],
            self.scores[chosen],
            self.classes[chosen],
            self.labels,
            self.image,
            ids=self.ids[chosen],
        )


@dataclass(frozen=True, slots=True)
class Score(Payload):
    """One number that says how unusual something is.

    `value`: 0 and up; 1.0 is the edge of what was normal while learning.
    """

    value: float
    ready: bool = True
    """False while the baseline is still being learned; `value` is 0 then."""
    progress: float = 1.0
    """How much of the baseline is learned, 0..1."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the value is made of, by name."""
