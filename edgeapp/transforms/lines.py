"""Counting what crosses lines, in each direction."""

from collections import Counter
from dataclasses import astuple, dataclass, field
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from edgeapp.api import Context, Event, Field, Live, Options, Packet, Tracks, event_id, transform
from edgeapp.transforms._labels import LabelsOption, Wanted
from edgeapp.transforms._presence import Anchor, Presence, PresenceMemory, anchors, box_of
from edgeapp.transforms._shapes import Point, turn

NS = 1_000_000_000

_FACTS = ("line", "direction", "track")


def _sound(ends: tuple[Point, Point]) -> tuple[Point, Point]:
    if any(not 0 <= part <= 1 for end in ends for part in end):
        raise ValueError("ends are fractions of the picture: x and y lie between 0 and 1")
    if ends[0] == ends[1]:
        raise ValueError("a line has two different ends")
    return ends


LineOption = Annotated[tuple[Point, Point], AfterValidator(_sound)]


class LinesOptions(Options):
    """The lines, and what their directions are called."""

    lines: dict[str, LineOption] = Field(
        min_length=1,
        max_length=64,
        examples=[{"door": [[0.3, 0.8], [0.7, 0.8]]}],
        description="Lines by name, each from one point to another: {door: [[0.3, 0.8], "
        "[0.7, 0.8]]}, in fractions of the picture from its top left.",
    )
    to_right: str = Field(
        default="in",
        min_length=1,
        description="What a crossing is called that ends on the right of the line, as one sees it "
        "on the picture looking from its first point to its second: below a line that is drawn "
        "from left to right.",
    )
    to_left: str = Field(
        default="out", min_length=1, description="What a crossing the other way is called."
    )
    label: LabelsOption = Field(
        default=(), description="Count these labels only: one, or a list. Left out: all."
    )
    anchor: Anchor = Field(
        default="bottom",
        description="Where a thing is: the middle of its bottom (the feet), or of its box.",
    )
    band: Annotated[float, Live()] = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="It is on a side of a line only when so far from it, in fractions of the "
        "picture; what trembles on the line has not crossed it.",
    )
    gone_s: Annotated[float, Live()] = Field(
        default=3.0,
        gt=0,
        description="Forget what was looked for and not found for so long, in seconds of stream "
        "time. Longer than the lost_s of track, or one thing can be counted twice.",
    )

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = (self.to_right, self.to_left)
        if names[0] == names[1]:
            raise ValueError("to_right and to_left have different names")
        taken = sorted(set(names) & set(_FACTS))
        if taken:
            raise ValueError(f"a direction cannot be called '{taken[0]}': another fact is")
        return self


@dataclass(slots=True)
class _Side:
    """On which side of a line a track was last, and where."""

    right: bool
    at: Point
    counted: set[bool] = field(default_factory=set)
    """Directions that it was counted in already; True is to the right."""


LinesMemory = tuple[
    PresenceMemory, dict[int, dict[str, tuple[Any, ...]]], dict[str, dict[str, int]]
]


@transform("lines")
class Lines:
    """Count what crosses lines, once for each thing and direction.

    Each crossing is an event (kind `line`) of an instant: new, and ended at once. A thing that
    walks around the end of a line has not crossed it. Facts: `line`, its name; `direction`;
    `track`, the id; and under the names of both directions how often the line was crossed so far,
    since the pipeline began.
    """

    def __init__(self, options: LinesOptions, context: Context) -> None:
        self._options = options
        self._wanted = Wanted(options.label)
        self._context = context
        self._presence = Presence(round(options.gone_s * NS))
        self._sides: dict[int, dict[str, _Side]] = {}
        self._totals: dict[str, Counter[str]] = {name: Counter() for name in options.lines}

    def tune(self, options: LinesOptions) -> None:
        """Another band or time, from the next picture on; the counts stay."""
        self._options = options
        self._presence.gone_ns = round(options.gone_s * NS)

    def remember(self) -> LinesMemory:
        """Who is on which side, and the counts."""
        sides = {
            one: {line: astuple(side) for line, side in known.items()}
            for one, known in self._sides.items()
        }
        return self._presence.remember(), sides, {k: dict(v) for k, v in self._totals.items()}

    def recall(self, memory: LinesMemory) -> None:
        """Go on counting after a reload."""
        presence, sides, totals = memory
        self._presence.recall(presence)
        self._sides = {
            one: {line: _Side(*side) for line, side in known.items()}
            for one, known in sides.items()
        }
        self._totals = {line: Counter(counts) for line, counts in totals.items()}

    def process(self, packet: Packet[Tracks]) -> list[Event]:
        """The crossings that this picture shows."""
        if self._presence.restarted(packet):
            self._sides.clear()
        for gone in self._presence.follow(packet):
            self._sides.pop(gone, None)
        tracks = self._wanted.of(packet.value)
        told = []
        for row, (x, y) in enumerate(anchors(tracks, self._options.anchor).tolist()):
            one = int(tracks.ids[row])
            sides = self._sides.setdefault(one, {})
            for name, (begin, end) in self._options.lines.items():
                if self._crosses(sides, name, (begin, end), (x, y)):
                    told += self._tell(name, row, packet, tracks, right=sides[name].right)
        return told

    def _crosses(
        self, sides: dict[str, _Side], name: str, line: tuple[Point, Point], at: Point
    ) -> bool:
        """Whether a track has just come over a line, for the first time this way."""
        begin, end = line
        length = ((end[0] - begin[0]) ** 2 + (end[1] - begin[1]) ** 2) ** 0.5
        distance = turn(begin, end, at) / length
        if abs(distance) <= self._options.band:
            return False
        right = distance > 0
        side = sides.get(name)
        if side is None:
            sides[name] = _Side(right, at)
            return False
        before, side.at = side.at, at
        if right == side.right:
            return False
        side.right = right
        if right in side.counted or turn(before, at, begin) * turn(before, at, end) > 0:
            return False  # told already, or the way led past an end of the line
        side.counted.add(right)
        return True

    def _tell(
        self, name: str, row: int, packet: Packet[Tracks], tracks: Tracks, *, right: bool
    ) -> list[Event]:
        options = self._options
        direction = options.to_right if right else options.to_left
        totals = self._totals[name]
        totals[direction] += 1
        event = event_id(self._context.id, self._context.random)
        new, ended = (
            Event(
                phase,
                event,
                "line",
                tracks.labels[tracks.classes[row]],
                packet.t_ns,
                score=float(tracks.scores[row]),
                box=box_of(tracks, row),
                image=tracks.image,
                facts={
                    "line": name,
                    "direction": direction,
                    "track": int(tracks.ids[row]),
                    options.to_right: totals[options.to_right],
                    options.to_left: totals[options.to_left],
                },
            )
            for phase in ("new", "end")
        )
        return [new, ended]
