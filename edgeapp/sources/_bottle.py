"""One bottle, drawn: turned glass with a cap and a label, or with one of its faults."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.opencv import cv2

LABELS = ("bottle", "missing_cap", "scratched")
"""The kinds of bottles, by number."""
_MISSING_CAP, _SCRATCHED = 1, 2

# Along a bottle, as fractions of its height from the top.
_MOUTH = 0.04
_CAP = 0.10
_NECK = 0.21
_RING = 0.24
_SHOULDER = 0.37
_PAPER = (0.50, 0.84)
_BANNER = (0.54, 0.62)
_LINES = ((0.67, 0.62), (0.72, 0.62), (0.77, 0.42))  # where a printed line is, and half its length
_LINE = 0.012

_WIDTH = 0.38  # over its height
_NECK_WIDTH, _CAP_WIDTH = 0.32, 0.44  # over its width

# Blue, green, red.
_GLASS = ((24, 58, 128), (44, 100, 48), (160, 128, 74), (84, 84, 92), (46, 46, 150))
_PAPERS = ((226, 232, 236), (104, 196, 236), (226, 204, 160), (160, 176, 240))
_CAPS = ((44, 44, 205), (196, 124, 34), (64, 174, 64), (214, 214, 220), (36, 190, 230))
_INKS = ((60, 40, 30), (40, 40, 150), (110, 60, 20))
_INSIDE = (20, 20, 22)
_SCRAPE = (34, 34, 38)

Colour = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Bottle:
    """A drawn bottle with its shadow, to be laid over a picture."""

    kind: int
    """Index into LABELS."""
    ink: NDArray[np.uint8]
    """(height, width, 3), colour times opacity."""
    veil: NDArray[np.uint8]
    """(height, width, 3), how much of what is behind shows, 0..255."""
    foot: int
    """The row on which it stands."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the bottle itself."""

    def onto(self, pixels: NDArray[np.uint8], left: int, foot: int) -> None:
        """Draw it into `pixels` with its canvas at column `left`, standing on row `foot`."""
        height, width = self.ink.shape[:2]
        first, last = max(0, -left), min(width, pixels.shape[1] - left)
        if first >= last:
            return
        top = foot - self.foot
        under = pixels[top : top + height, left + first : left + last]
        cv2.multiply(under, self.veil[:, first:last], under, 1 / 255)
        cv2.add(under, self.ink[:, first:last], under)


def draw(random: np.random.Generator, kind: int, height: int, cast: Colour) -> Bottle:
    """Draw a bottle of that kind, `height` pixels tall, in colours of its own.

    `cast`: (3,), what the light does to blue, green and red.
    """
    width = round(height * _WIDTH * random.uniform(0.94, 1.06))
    margin, below = round(0.12 * width), max(2, round(0.035 * height))
    centre = margin + width / 2
    x = np.arange(width + 2 * margin, dtype=np.float32) + np.float32(0.5 - centre)
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / height
    half = _profile(y, capped=kind != _MISSING_CAP)[:, None] * np.float32(width / 2)
    turn = np.clip(x / np.maximum(half, 1e-6), -1, 1)  # -1..1 around the side that is seen
    opacity = np.clip(half - np.abs(x) + 0.5, 0, 1) * (half > 0)

    surface = _paint(random, turn, kind) * cast
    if kind == _SCRATCHED:
        _scratch(random, surface, centre, width)

    veil = 1 - _shadow(x, width, height, below)
    veil[:height] *= 1 - opacity
    ink = np.zeros((*veil.shape, 3), np.uint8)
    ink[:height] = np.minimum(surface, 255) * opacity[..., None]
    return Bottle(
        kind,
        ink,
        np.repeat(np.rint(veil * 255).astype(np.uint8)[..., None], 3, axis=2),
        height,
        (margin, round(_MOUTH * height) if kind == _MISSING_CAP else 0, margin + width, height),
    )


def _profile(y: Floats, *, capped: bool) -> Floats:
    """Half the bottle's width at each height, over half its greatest width."""
    rise = np.clip((y - _NECK) / (_SHOULDER - _NECK), 0, 1)
    body: Floats = _NECK_WIDTH + (1 - _NECK_WIDTH) * rise * rise * (3 - 2 * rise)
    body *= 1 - 0.12 * np.clip((y - 0.97) / 0.03, 0, 1) ** 2
    if capped:
        body[y < _CAP] = _CAP_WIDTH
    else:
        body[y < _CAP] = _NECK_WIDTH * 0.86
        body[y < _MOUTH] = 0
    return body


def _paint(random: np.random.Generator, turn: Floats, kind: int) -> Floats:
    """The lit surface, (height, width, 3), 0 and up to 255 or a little more."""

    def pick(colours: tuple[tuple[int, int, int], ...]) -> Colour:
        tone = random.uniform(0.9, 1.1)
        return np.array(colours[random.integers(len(colours))], np.float32) * np.float32(tone)

    def rows(first: float, last: float) -> slice:
        return slice(round(first * len(turn)), round(last * len(turn)))

    glass, paper, cap, ink = pick(_GLASS), pick(_PAPERS), pick(_CAPS), pick(_INKS)
    shade = (0.45 + 0.55 * np.sqrt(1 - turn * turn))[..., None]
    gleam = 0.6 * np.exp(-(((turn + 0.5) / 0.10) ** 2))
    gleam += 0.24 * np.exp(-(((turn - 0.62) / 0.08) ** 2))

    surface = glass * shade
    surface += (255 - glass) * gleam[..., None]
    surface[rows(_NECK, _RING)] *= 0.8
    surface[rows(*_PAPER)] = paper * shade[rows(*_PAPER)]
    surface[rows(*_BANNER)] = 1.4 * ink * shade[rows(*_BANNER)]
    for at, long in _LINES:
        line = rows(at - _LINE, at + _LINE)
        surface[line] *= np.where(np.abs(turn[line]) < long, 0.62, 1)[..., None]
    top = rows(0, _CAP)
    if kind == _MISSING_CAP:
        surface[top] *= 0.55
        surface[rows(0, _MOUTH + 0.015)] = _INSIDE
    else:
        ridges = 0.93 + 0.07 * np.sign(np.sin(22 * turn[top]))
        surface[top] = cap * shade[top] * ridges[..., None] + 50 * gleam[top, :, None]
    return surface


def _scratch(random: np.random.Generator, surface: Floats, centre: float, width: int) -> None:
    """Scrape two to four jagged lines across the label."""
    height = len(surface)
    for _ in range(random.integers(2, 5)):
        across = np.linspace(-0.42, 0.42, 7) * random.uniform(0.7, 1.0)
        slope = random.choice((-1, 1)) * random.uniform(0.2, 0.7)
        middle = random.uniform(0.60, 0.74)
        xs = centre + width * across
        ys = height * (middle + _WIDTH * slope * across + random.uniform(-0.01, 0.01, 7))
        points = np.rint(np.stack([xs, ys], 1) * 16).astype(np.int32)
        thickness = max(1, round(height * random.uniform(0.007, 0.016)))
        cv2.polylines(surface, [points], False, _SCRAPE, thickness, cv2.LINE_8, 4)


def _shadow(x: Floats, width: int, height: int, below: int) -> Floats:
    """How dark it is around the foot, (height + below, width), 0..1."""
    rows = (np.arange(height + below, dtype=np.float32) + 0.5 - height) / below
    dark: Floats = 0.6 * np.exp(-2 * rows**2)[:, None] * np.exp(-((x / (0.54 * width)) ** 8))
    return dark
