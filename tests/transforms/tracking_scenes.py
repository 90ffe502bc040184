"""Made-up scenes of people walking, with known truth and the detections of an imperfect detector.

Every number comes from `random.Random` and straight lines, so that all machines make the same
scenes. Boxes are left, top, right, bottom in fractions of a picture that is 16:9.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

Box = tuple[float, float, float, float]

ASPECT = 16 / 9
SEEDS = (1, 2, 3)
LENGTH_S = 12.0
_WIDE = 0.4
"""Width of a person, in heights of that person."""
_SEEN = 0.25
"""Who is hidden more than this leaves visible is in no frame of the truth."""


@dataclass(frozen=True, slots=True)
class Found:
    """One detection."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: who is where, and what the detector says."""

    t_s: float
    truth: dict[int, Box]
    found: list[Found]


@dataclass(frozen=True, slots=True)
class Walker:
    """Someone who walks from point to point: (second, x, y) of the feet."""

    path: Sequence[tuple[float, float, float]]
    height: float

    def box(self, t_s: float) -> Box | None:
        """Where, at a time on the path."""
        for (t0, x0, y0), (t1, x1, y1) in zip(self.path, self.path[1:], strict=False):
            if t0 <= t_s <= t1:
                part = (t_s - t0) / (t1 - t0)
                x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
                half = self.height * _WIDE / ASPECT / 2
                return x - half, y - self.height, x + half, y
        return None


@dataclass(frozen=True, slots=True)
class World:
    """What happens in a scene, and how good the camera and the detector are."""

    walkers: Sequence[Walker]
    pillars: Sequence[Box] = ()
    miss: float = 0.03
    """How often someone in full view is not found."""
    noise: float = 0.02
    """Deviation of each side of a box, in sizes of the box."""
    dips: Sequence[tuple[float, float]] = ()
    """From when to when (seconds) nobody gets a score above 0.4."""
    false: float = 0.0
    """Boxes where nobody is, per frame."""
    times: Callable[[random.Random], Iterator[float]] = lambda _: steady(25)


def steady(rate_hz: float) -> Iterator[float]:
    """Times of an even rate."""
    for n in range(round(LENGTH_S * rate_hz)):
        yield n / rate_hz


def _uneven(chance: random.Random) -> Iterator[float]:
    """20 to 160 ms from frame to frame."""
    t_s = 0.0
    while t_s < LENGTH_S:
        yield t_s
        t_s += chance.uniform(0.02, 0.16)


def _shed(chance: random.Random) -> Iterator[float]:
    """15 a second, of which two to seven in a row are left out at times."""
    left_out = 0
    for t_s in steady(15):
        if left_out:
            left_out -= 1
            continue
        if chance.random() < 0.04:
            left_out = chance.randint(2, 7)
        yield t_s


def _across(y: float, height: float, begin_s: float, last_s: float, *, leftward: bool) -> Walker:
    ends = (1.1, -0.1) if leftward else (-0.1, 1.1)
    return Walker([(begin_s, ends[0], y), (begin_s + last_s, ends[1], y)], height)


def _crossing(_: random.Random) -> World:
    return World(
        [_across(0.80, 0.42, 0, 9, leftward=False), _across(0.84, 0.45, 0, 9, leftward=True)]
    )


def _three_crossing(_: random.Random) -> World:
    return World(
        [
            _across(0.78, 0.40, 0, 10, leftward=False),
            _across(0.82, 0.42, 0.5, 9, leftward=True),
            Walker([(0, 0.45, 0.6), (6, 0.5, 0.98), (12, 0.55, 0.6)], 0.38),
        ]
    )


def _pillar(_: random.Random) -> World:
    return World(
        [_across(0.8, 0.4, 0, 10, leftward=False), _across(0.7, 0.35, 1, 9, leftward=True)],
        pillars=[(0.46, 0.0, 0.54, 1.0)],
    )


def _parallel(_: random.Random) -> World:
    return World(
        [
            Walker([(0, -0.1 + 0.055 * n, 0.8), (11, 0.9 + 0.055 * n, 0.8 + 0.02 * n)], 0.4)
            for n in range(4)
        ]
    )


def _stop_and_go(_: random.Random) -> World:
    return World(
        [
            Walker(
                [(0, 0.05, 0.8), (3, 0.4, 0.8), (6, 0.4, 0.8), (7, 0.55, 0.8), (12, 0.55, 0.8)], 0.4
            ),
            Walker(
                [(0, 0.9, 0.7), (2, 0.7, 0.7), (4, 0.7, 0.7), (8, 0.2, 0.7), (12, 0.2, 0.7)], 0.35
            ),
        ]
    )


def _crowd(chance: random.Random) -> World:
    walkers = []
    for _n in range(12):
        points = [
            (4.0 * k, chance.uniform(0.05, 0.95), chance.uniform(0.5, 0.98)) for k in range(4)
        ]
        walkers.append(Walker(points, chance.uniform(0.25, 0.35)))
    return World(walkers, miss=0.05)


def _few(chance: random.Random) -> list[Walker]:
    """Four people who keep apart from each other."""
    return [
        _across(
            0.35 + 0.2 * n, 0.3, chance.uniform(0, 2), chance.uniform(7, 10), leftward=n % 2 == 1
        )
        for n in range(4)
    ]


WORLDS: dict[str, Callable[[random.Random], World]] = {
    "crossing": _crossing,
    "three crossing": _three_crossing,
    "behind a pillar": _pillar,
    "side by side": _parallel,
    "stop and go": _stop_and_go,
    "crowd": _crowd,
    "one in five missed": lambda chance: World(_few(chance), miss=0.2),
    "score dips": lambda chance: World(_few(chance), dips=[(2, 2.8), (4, 5.5), (8, 8.6)]),
    "false positives": lambda chance: World(_few(chance), false=0.3),
    "rough boxes": lambda chance: World(_few(chance), noise=0.06),
    "5 a second": lambda chance: World(_few(chance), times=lambda _: steady(5)),
    "uneven rate": lambda chance: World(_few(chance), times=_uneven),
    "shed frames": lambda chance: World(_few(chance), times=_shed),
    "shed frames, crossing": lambda chance: World(_crossing(chance).walkers, times=_shed),
}


def scene(name: str, seed: int) -> list[Frame]:
    """The frames of a scene."""
    chance = random.Random(f"{name}/{seed}")
    world = WORLDS[name](chance)
    frames = []
    for t_s in world.times(chance):
        boxes = {n: box for n, w in enumerate(world.walkers) if (box := w.box(t_s)) is not None}
        visible = {n: _visible(n, boxes, world.pillars) for n in boxes}
        found = [
            one
            for n, box in boxes.items()
            if (one := _look(box, visible[n], t_s, world, chance)) is not None
        ]
        while chance.random() < world.false:
            found.append(_ghost(chance))
        truth = {n: _cut(box) for n, box in boxes.items() if visible[n] >= _SEEN}
        frames.append(Frame(t_s, truth, sorted(found, key=lambda one: -one.score)))
    return frames


def digest(frames: Sequence[Frame]) -> str:
    """What tells whether a stored result belongs to these very detections."""
    told = [
        (
            round(frame.t_s, 4),
            [(*[round(s, 3) for s in f.box], round(f.score, 3)) for f in frame.found],
        )
        for frame in frames
    ]
    return sha256(repr(told).encode()).hexdigest()[:16]


def _look(
    box: Box, visible: float, t_s: float, world: World, chance: random.Random
) -> Found | None:
    """What the detector says of someone: less sure and less exact where little is seen."""
    score = min(0.98, max(0.05, chance.gauss(0.85, 0.05))) * min(1.0, 0.3 + visible)
    noise = world.noise * (2 - visible)
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    sides = [
        side + chance.gauss(0, noise) * size
        for side, size in zip(box, (wide, high, wide, high), strict=True)
    ]
    if any(begin <= t_s < end for begin, end in world.dips):
        score *= chance.uniform(0.25, 0.45)
    if visible < _SEEN or chance.random() < world.miss + 0.4 * (1 - visible) ** 2 or score < 0.1:
        return None
    return Found(_cut((sides[0], sides[1], sides[2], sides[3])), score)


def _ghost(chance: random.Random) -> Found:
    x, y, high = chance.uniform(0, 0.9), chance.uniform(0, 0.7), chance.uniform(0.1, 0.3)
    return Found((x, y, x + high * _WIDE / ASPECT, y + high), chance.uniform(0.3, 0.8))


def _visible(who: int, boxes: dict[int, Box], pillars: Sequence[Box]) -> float:
    """The share of someone that is inside the picture and behind nothing."""
    own = boxes[who]
    nearer = [box for n, box in boxes.items() if box[3] > own[3] and n != who]
    covered = max([_shared(own, other) for other in (*nearer, *pillars)], default=0.0)
    return max(0.0, _shared(own, (0.0, 0.0, 1.0, 1.0)) - covered)


def _shared(own: Box, other: Box) -> float:
    """The share of a box that another one covers."""
    wide = min(own[2], other[2]) - max(own[0], other[0])
    high = min(own[3], other[3]) - max(own[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / ((own[2] - own[0]) * (own[3] - own[1]))


def _cut(box: Box) -> Box:
    left, top, right, bottom = (min(1.0, max(0.0, side)) for side in box)
    return left, top, right, bottom
