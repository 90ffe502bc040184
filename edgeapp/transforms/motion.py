"""Motion: pictures go on only when, and where, something moves in them."""

from math import ceil
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import (
    Context,
    Field,
    Image,
    Live,
    Options,
    Packet,
    Run,
    RunMemory,
    View,
    transform,
)
from edgeapp.core.opencv import cv2
from edgeapp.core.privacy import touched
from edgeapp.transforms._background import Background
from edgeapp.transforms._polygon import PolygonOption

NS = 1_000_000_000

_WIDE = 320
"""Motion is looked for in a picture that is halved until it is less wide than this."""
_MARGIN = 0.15
"""A region is wider than what moves by this share of its longer side, on each side."""
_STEPS = 8
"""Regions grow in steps of the picture's shorter side / 8: a thing then keeps its scale."""
_ALL = 0.7
"""A region that covers more than this share of the picture is the picture."""


class MotionOptions(Options):
    """What counts as motion, and what passes."""

    min_area: Annotated[float, Live()] = Field(
        0.001, ge=0, le=1, description="What covers less of the picture than this share is ignored."
    )
    min_contrast: Annotated[float, Live()] = Field(
        12.0,
        gt=0,
        le=255,
        description="Changes of so many grey levels of 255 or fewer are ignored; noise above that "
        "is learned.",
    )
    ignore: dict[str, PolygonOption] = Field(
        {},
        description="Where nothing counts as motion, each under a name, such as a road behind the "
        "fence: the corners [x, y] of a polygon in order, as fractions of the camera's picture.",
    )
    hold_s: Annotated[float, Live()] = Field(
        0.5,
        ge=0,
        description="Keep passing for so many seconds after the last motion, in stream time.",
    )
    idle_s: Annotated[float, Live()] = Field(
        2.0,
        gt=0,
        description="While nothing moves, still pass a picture each so many seconds: what stands "
        "still, or is too faint, is not missed for ever.",
    )
    warm_up_s: float = Field(
        3.0,
        ge=0,
        description="Pass everything for so many seconds at first, while the scene is learned.",
    )
    learn_s: float = Field(
        30.0,
        gt=0,
        description="About how many seconds something new stands still until it belongs to the scene.",
    )
    where: Literal["whole", "region"] = Field(
        "whole",
        description="What passes while something moves. whole: the picture; region: the square "
        "part of it in which everything lies that moved within hold_s.",
    )
    min_region: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A region is at least so large, as a share of the picture's shorter side.",
    )


MotionMemory = tuple[
    RunMemory | None, tuple[tuple[int, int], View] | None, int, int, tuple[Any, ...] | None
]


@transform("motion")
class Motion:
    """Pass pictures only while something moves, and now and then one while nothing does.

    What it holds back is no loss. Starts afresh when the source was reopened, or when pictures
    show another view or have another size.
    """

    def __init__(self, options: MotionOptions, _context: Context) -> None:
        self.tune(options)
        self._warm_up_ns = round(options.warm_up_s * NS)
        self._run = Run()
        self._shape: tuple[tuple[int, int], View] | None = None
        """Size and view of the pictures."""
        self._known: tuple[Any, ...] | None = None
        """What is recalled of the scene, until the first picture shows it again."""
        self._warm_ns = 0
        self._passed_ns = 0

    _scene: "_Scene | None" = None

    def tune(self, options: MotionOptions) -> None:
        """Other limits, from the next picture on; what was learned of the scene stays."""
        self._options = options
        self._hold_ns = round(options.hold_s * NS)
        self._idle_ns = round(options.idle_s * NS)
        if self._scene is not None:
            self._scene.tune(options)

    def remember(self) -> "MotionMemory":
        """The scene."""
        scene = self._known if self._scene is None else self._scene.remember()
        return self._run.remember(), self._shape, self._warm_ns, self._passed_ns, scene

    def recall(self, memory: "MotionMemory") -> None:
        """Know the scene again after a reload, if it is seen from where it was."""
        run, self._shape, self._warm_ns, self._passed_ns, self._known = memory
        self._run.recall(run)

    def process(self, packet: Packet[Image]) -> Image | None:
        """The picture, the part of it that moves, or nothing."""
        image, t_ns = packet.value, packet.t_ns
        shape = image.size, image.view
        known, self._known = self._known, None
        fresh = self._run.began(packet) or shape != self._shape
        self._shape = shape
        scene = self._scene
        if fresh or scene is None:
            scene = self._scene = _Scene(image, t_ns, self._options)
            if fresh or known is None:
                self._warm_ns = t_ns + self._warm_up_ns
                self._passed_ns = t_ns
                return image
            scene.recall(known)
        scene.look(image, t_ns)
        if t_ns < self._warm_ns:
            passed = image
        elif scene.moved_ns is not None and t_ns - scene.moved_ns <= self._hold_ns:
            passed = image if self._options.where == "whole" else self._part(image, scene, t_ns)
        elif t_ns - self._passed_ns >= self._idle_ns:
            passed = image
        else:
            return None
        self._passed_ns = t_ns
        return passed

    def _part(self, image: Image, scene: "_Scene", t_ns: int) -> Image:
        """The square around all that moved of late, or the picture where that is most of it."""
        width, height = image.size
        short = min(width, height)
        left, top, right, bottom = scene.moved_since(t_ns - self._hold_ns)
        step = short / _STEPS
        side = max(right - left, bottom - top) * (1 + 2 * _MARGIN)
        side = ceil(max(side, self._options.min_region * short) / step) * step
        wide, high = min(width, round(side)), min(height, round(side))
        if wide * high > _ALL * width * height:
            return image
        left = min(max(0, (left + right - wide) // 2), width - wide)
        top = min(max(0, (top + bottom - high) // 2), height - high)
        view = image.view.within(left / width, top / height, wide / width, high / height)
        return Image(image.pixels[top : top + high, left : left + wide], view)


class _Scene:
    """What a view looks like, and where something moved in it, and when."""

    def __init__(self, image: Image, t_ns: int, options: MotionOptions) -> None:
        self.moved_ns: int | None = None
        """Stream time of the last motion."""
        self._seen_ns = t_ns
        self._halvings = 0
        while image.size[0] >> self._halvings >= _WIDE:
            self._halvings += 1
        grey = self._small(image)
        self._moved_ns: NDArray[np.int64] = np.full(grey.shape, -1, np.int64)
        """Stream time of the last motion of each pixel: a motion history (Bobick, Davis 2001)."""
        self._background = Background(
            grey,
            warm_up_s=options.warm_up_s,
            learn_s=options.learn_s,
            contrast=options.min_contrast,
        )
        self.tune(options)
        self._ignored = self._ignoring(image, grey, options)

    def tune(self, options: MotionOptions) -> None:
        """Other limits of what counts."""
        self._least = max(1, round(options.min_area * self._moved_ns.size))
        self._background.tune(options.min_contrast)

    def remember(self) -> tuple[Any, ...]:
        """What it looks like, and where something moved."""
        return self.moved_ns, self._seen_ns, self._moved_ns, self._background.remember()

    def recall(self, memory: tuple[Any, ...]) -> None:
        """Go on with that."""
        self.moved_ns, self._seen_ns, self._moved_ns, background = memory
        self._background.recall(background)

    def look(self, image: Image, t_ns: int) -> None:
        """See what moved since the picture before."""
        step_s = (t_ns - self._seen_ns) / NS
        self._seen_ns = t_ns
        moving, everywhere = self._background.moving(self._small(image), step_s)
        if everywhere:
            self._moved_ns[:] = self.moved_ns = t_ns
            return
        if self._ignored is not None:
            moving &= self._ignored
        if cv2.countNonZero(moving) < self._least:
            return
        large = _large(moving, self._least)
        if len(large):
            self._moved_ns.ravel()[large] = self.moved_ns = t_ns

    def moved_since(self, t_ns: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, in pixels of the picture, of what moved since then."""
        left, top, width, height = cv2.boundingRect((self._moved_ns >= t_ns).view(np.uint8))
        n = self._halvings
        return left << n, top << n, (left + width) << n, (top + height) << n

    def _small(self, image: Image) -> NDArray[np.uint8]:
        """The picture in grey, halved until it is small; halving is the fastest of all sizes."""
        pixels = image.pixels
        for _ in range(self._halvings):
            height, width = (side // 2 for side in pixels.shape[:2])
            even = pixels[: height * 2, : width * 2]
            pixels = np.asarray(
                cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
        if pixels.ndim == 3:  # noqa: PLR2004 - with colours
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
        return pixels

    def _ignoring(
        self, image: Image, grey: NDArray[np.uint8], options: MotionOptions
    ) -> NDArray[np.uint8] | None:
        """0 where nothing counts, 255 elsewhere."""
        if not options.ignore:
            return None
        width, height = image.size
        rows, columns = grey.shape
        n = self._halvings
        # An odd last row or column is left out when a picture is halved.
        view = image.view.within(0, 0, (columns << n) / width, (rows << n) / height)
        counts = np.full(grey.shape, 255, np.uint8)
        for polygon in options.ignore.values():
            for top, bottom, left, right in touched(polygon, (columns, rows), view):
                counts[top:bottom, left:right] = 0
        return counts


def _large(moving: NDArray[np.uint8], least: int) -> NDArray[np.intp]:
    """The pixels, by their flat index, of connected parts that have so many; small gaps are none."""
    joined = cv2.dilate(moving, np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(joined, ltype=cv2.CV_16U)
    pixels = np.flatnonzero(moving)
    part = parts.ravel()[pixels]
    large = np.bincount(part) >= least
    return np.asarray(pixels[large[part]])
