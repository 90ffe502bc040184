"""A drawn bottling line, deterministic by its seed, with the truth about every picture.

Bottles stand on a belt that runs from left to right past a fixed camera; some lack their cap, some
have a scratched label. Colours, gaps, light and sensor noise vary.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.opencv import cv2
from edgeapp.sources._bottle import LABELS, Bottle, Colour, draw

__all__ = ["LABELS", "Truth", "scene"]

# As fractions of the picture's height.
_BOTTLE = (0.50, 0.62)  # how tall
_FOOT = 0.81  # where they stand
_BELT = (0.77, 0.86)  # the belt's upper side
_CHAIN = (0.86, 0.955)  # its edge, with the links
_LINK = 0.16  # how long a link is, after which the belt looks the same
_SPEED = (0.42, 0.55)  # of the belt, per second
_GAP = 0.05  # the least between two bottles; 0.18 more on average

_NOISE_LEVELS = 20
_DROP = 0.8  # what is left of the light while it drops
_BLUR = 8  # what is out of focus is drawn this much smaller

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Truth:
    """What stands in a picture, the bottle furthest along first.

    `xyxy`: (n, 4) float32, the visible part of each bottle, as fractions 0..1 of the picture.
    `classes`: (n,) int32, index into LABELS. `visible`: (n,) float32, how much of its width is in
    the picture, above 0 and up to 1.
    """

    xyxy: NDArray[np.float32]
    classes: NDArray[np.int32]
    visible: NDArray[np.float32]


def scene(
    seed: int,
    *,
    size: tuple[int, int] = (640, 360),
    rate_hz: float = 25.0,
    faulty: float = 0.3,
    light: tuple[float, float] = (0.8, 1.1),
) -> Iterator[tuple[Pixels, Truth]]:
    """Yield picture after picture, for ever, with the truth about each.

    Pictures are (height, width, 3) uint8, BGR, a fresh array each. `size` is width and height;
    `faulty` is the share of bottles with a fault, 0..1; `light` is the range from which this
    seed's brightness is drawn, 1 being neutral. The same arguments give the same pictures.
    """
    random = np.random.default_rng(seed)
    width, height = size
    cast = random.uniform(0.95, 1.05, 3).astype(np.float32)
    backdrop = _backdrop(random, width, height, cast)
    belts = [
        (round(_BELT[0] * height), _belt(random, width, height, cast)),
        (round(_CHAIN[0] * height), _chain(width, height, cast)),
    ]
    noise = random.integers(0, _NOISE_LEVELS, (height + 32, width + 32, 3), dtype=np.uint8)
    lamp = _Lamp(random, light)
    line = _Line(random, size, faulty, cast)
    speed_px_s = random.uniform(*_SPEED) * height
    link = round(_LINK * height)
    index = 0
    while True:
        moved = round(speed_px_s * index / rate_hz)
        pixels = backdrop.copy()
        for top, belt in belts:
            start = link - moved % link
            pixels[top : top + len(belt)] = belt[:, start : start + width]
        truth = line.onto(pixels, moved)
        x, y = random.integers(0, 32, 2)
        grain = noise[y : y + height, x : x + width]
        level = lamp.level(index / rate_hz)
        cv2.addWeighted(pixels, level, grain, 1, -_NOISE_LEVELS / 2, pixels)
        yield pixels, truth
        index += 1


class _Line:
    """The bottles on the belt; they are drawn when they come near."""

    def __init__(
        self,
        random: np.random.Generator,
        size: tuple[int, int],
        faulty: float,
        cast: Colour,
    ) -> None:
        self._random = np.random.default_rng(random.integers(2**32))
        self._width, self._height = size
        self._faulty = faulty
        self._cast = cast
        self._bottles: deque[tuple[int, Bottle]] = deque()
        self._next = round(0.8 * self._width)  # column of the next bottle, had nothing moved

    def onto(self, pixels: Pixels, moved: int) -> Truth:
        """Draw the bottles after the belt has moved that many pixels, and say which."""
        while self._next + moved > -0.5 * self._height:
            self._bottles.append((self._next, self._draw()))
            gap = _GAP + self._random.exponential(0.18)
            self._next -= round(self._height * gap) + self._bottles[-1][1].ink.shape[1]
        while self._bottles[0][0] + moved > self._width:
            self._bottles.popleft()
        foot = round(_FOOT * self._height)
        boxes, classes, visible = [], [], []
        for at, bottle in self._bottles:
            bottle.onto(pixels, at + moved, foot)
            left, top, right, bottom = bottle.box
            seen = np.clip((left + at + moved, right + at + moved), 0, self._width)
            if seen[1] > seen[0]:
                up = foot - bottle.foot
                boxes.append((seen[0], top + up, seen[1], bottom + up))
                classes.append(bottle.kind)
                visible.append((seen[1] - seen[0]) / (right - left))
        scale = np.array((self._width, self._height) * 2, np.float32)
        return Truth(
            np.array(boxes, np.float32).reshape(-1, 4) / scale,
            np.array(classes, np.int32),
            np.array(visible, np.float32),
        )

    def _draw(self) -> Bottle:
        bad = self._random.random() < self._faulty
        kind = int(self._random.integers(1, len(LABELS))) if bad else 0
        tall = round(self._height * self._random.uniform(*_BOTTLE))
        return draw(self._random, kind, tall, self._cast)


class _Lamp:
    """Light that breathes, and now and then drops for a few seconds."""

    def __init__(self, random: np.random.Generator, light: tuple[float, float]) -> None:
        self._level = random.uniform(*light)
        self._phases = random.uniform(0, 2 * np.pi, 2)

    def level(self, at_s: float) -> float:
        """What every value is multiplied with."""
        level = self._level * (1 + 0.05 * math.sin(0.9 * at_s + self._phases[0]))
        dropped = math.sin(0.37 * at_s + self._phases[1]) > 0.9  # noqa: PLR2004 - 1/7 of the time
        return level * _DROP if dropped else level


def _backdrop(random: np.random.Generator, width: int, height: int, cast: Colour) -> Pixels:
    """A hall out of focus, a guard rail, and the frame of the machine."""
    hue = random.uniform((110, 105, 100), (150, 140, 135))
    wide, high = max(8, width // _BLUR), max(8, height // _BLUR)
    fade = np.linspace(1.15, 0.75, high, dtype=np.float32)[:, None, None]
    hall = np.ascontiguousarray(np.broadcast_to(fade * hue, (high, wide, 3)), np.float32)
    for _ in range(14):  # machines, doors and lamps far behind
        x, y = random.uniform(0, wide), random.uniform(0, 0.7 * high)
        w, h = random.uniform(0.05, 0.3, 2) * high
        tone = hue * random.uniform(0.45, 1.5) + random.uniform(-20, 20, 3)
        corner = (int(x + w), int(y + 1.6 * h))
        cv2.rectangle(hall, (int(x), int(y)), corner, tone.tolist(), -1)
    blurred = cv2.GaussianBlur(hall, (0, 0), 0.035 * high)
    full = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(full, 0, 255).astype(np.uint8)
    _bar(pixels, 0.655, 0.03, (150, 150, 146))
    _bar(pixels, _BELT[0] - 0.012, 0.012, (60, 60, 62))
    _bar(pixels, _CHAIN[1], 1 - _CHAIN[1], (88, 76, 66))
    for x in range(0, width, max(1, height // 3)):
        cv2.circle(pixels, (x, round(0.978 * height)), max(1, height // 90), (40, 36, 34), -1)
    return _tint(pixels, cast)


def _tint(pixels: Pixels, cast: Colour) -> Pixels:
    tinted: Pixels = np.minimum(pixels * cast, 255).astype(np.uint8)
    return tinted


def _bar(pixels: Pixels, top: float, thick: float, colour: tuple[int, int, int]) -> None:
    """Lay a round steel bar across the picture; `top` and `thick` in fractions of its height."""
    height = len(pixels)
    first, last = round(top * height), round((top + thick) * height)
    bend = np.linspace(-0.8, 1, max(1, last - first))
    shine = (1.25 - 0.75 * bend * bend)[:, None, None]
    pixels[first:last] = np.clip(shine * np.array(colour), 0, 255).astype(np.uint8)


def _belt(random: np.random.Generator, width: int, height: int, cast: Colour) -> Pixels:
    """The belt's upper side, one link longer than the picture is wide."""
    rows = round(_CHAIN[0] * height) - round(_BELT[0] * height)
    link = round(_LINK * height)
    one = np.full((rows, link, 3), (64, 62, 58), np.float64)
    one += random.normal(0, 5, (rows, link, 1))
    one *= np.linspace(0.75, 1.2, rows)[:, None, None]
    one[:, : max(1, link // 18)] *= 0.45
    one[:, max(1, link // 18) : max(2, link // 9)] *= 1.25
    return _repeat(one * cast, width)


def _chain(width: int, height: int, cast: Colour) -> Pixels:
    """The belt's edge with its links and pins, one link longer than the picture is wide."""
    rows = round(_CHAIN[1] * height) - round(_CHAIN[0] * height)
    link = round(_LINK * height)
    one = np.full((rows, link, 3), (44, 42, 42), np.float64)
    inset = max(1, rows // 6)
    cv2.rectangle(one, (inset, inset), (link - inset, rows - inset), (120, 118, 112), -1)
    cv2.rectangle(one, (inset, inset), (link - inset, 2 * inset), (165, 162, 156), -1)
    for x in (link // 4, 3 * link // 4):
        cv2.circle(one, (x, rows // 2), max(1, rows // 6), (60, 58, 56), -1)
    return _repeat(one * cast, width)


def _repeat(one: NDArray[np.float64], width: int) -> Pixels:
    times = width // one.shape[1] + 2
    return np.tile(np.clip(one, 0, 255).astype(np.uint8), (1, times, 1))
