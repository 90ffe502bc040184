"""Telling of every thing that is followed: when it comes, how it fares, when it is gone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from math import hypot
from typing import Annotated, Any, Literal

import numpy as np

from edgeapp.api import (
    At,
    Context,
    Event,
    Field,
    Image,
    Live,
    Options,
    Packet,
    Phase,
    Tracks,
    event_id,
    transform,
)
from edgeapp.transforms._presence import Box, Presence, PresenceMemory, box_of

NS = 1_000_000_000

_BETTER = 1.25
"""A snapshot is replaced by one that is better by this factor: copying costs."""
_MUCH_BETTER = 2.0
"""A snapshot so much better than the one told last is worth an update of its own."""
_MARGIN = 0.1
"""A cut-out shows so much around the box, in sizes of the box."""
_MOST_BYTES = 64 << 20
"""All snapshots together. Beyond this, new events have none until others end."""


class SightingsOptions(Options):
    """How often to tell, and with what picture."""

    update_s: Annotated[float, Live()] = Field(
        default=10.0,
        gt=0,
        description="Tell that it is still there so often, in seconds of stream time; a much "
        "better snapshot is told at once.",
    )
    gone_s: Annotated[float, Live()] = Field(
        default=3.0,
        gt=0,
        description="End once it was looked for and not found for so long, in seconds of stream "
        "time. Longer than the lost_s of track, or one thing can be told twice.",
    )
    snapshot: Literal["crop", "picture", "none"] = Field(
        default="crop",
        description="The best picture so far, by score and size: the thing cut out, the whole "
        "picture that was looked at, or none.",
    )


@dataclass(slots=True)
class _Sighting:
    """One thing, while it is there."""

    event: str
    began_ns: int
    first: tuple[float, float]
    """Its middle when it was first seen."""
    box: Box
    seen_ns: int
    told_ns: int = 0
    score: float = 0.0
    moved: float = 0.0
    votes: dict[str, float] = field(default_factory=dict)
    """Score behind each label."""
    image: Image | None = None
    quality: float = 0.0
    """Of the snapshot: score times area."""
    told_quality: float = 0.0


@transform("sightings")
class Sightings:
    """Turn each thing that is followed into one event with its best picture.

    The event (kind `track`) is new when the thing appears, is updated while it stays, and ends
    when it is gone, when the source was reopened and when the stream ends. Its label is the one
    with the most score behind it. Facts: `track`, the id; `age_s`, from first to last sight;
    `moved`, the farthest that its middle got from where it began, in fractions of the picture.
    """

    def __init__(self, options: SightingsOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._update_ns = round(options.update_s * NS)
        self._presence = Presence(round(options.gone_s * NS))
        self._open: dict[int, _Sighting] = {}
        self._bytes = 0

    def tune(self, options: SightingsOptions) -> None:
        """Other times, from the next picture on."""
        self._update_ns = round(options.update_s * NS)
        self._presence.gone_ns = round(options.gone_s * NS)

    def remember(self) -> tuple[PresenceMemory, dict[int, tuple[Any, ...]]]:
        """What is there, with the best pictures."""
        names = [one.name for one in fields(_Sighting)]
        seen = {
            one: tuple(getattr(sighting, name) for name in names)
            for one, sighting in self._open.items()
        }
        return self._presence.remember(), seen

    def recall(self, memory: tuple[PresenceMemory, dict[int, tuple[Any, ...]]]) -> None:
        """Go on telling of what was there before a reload."""
        presence, seen = memory
        self._presence.recall(presence)
        self._open = {one: _Sighting(*sighting) for one, sighting in seen.items()}
        self._bytes = sum(_size(sighting.image) for sighting in self._open.values())

    def process(self, packet: Packet[Tracks]) -> list[Event | At[Event]]:
        """What there is to tell after this picture."""
        told: list[Event | At[Event]] = []
        if self._presence.restarted(packet):
            told += self.flush()
        told += [self._end(one) for one in self._presence.follow(packet)]
        for row, one in enumerate(packet.value.ids.tolist()):
            told += self._see(one, row, packet)
        return told

    def flush(self) -> list[At[Event]]:
        """The ends of all that is still there."""
        return [At(self._end(one), self._presence.t_ns) for one in list(self._open)]

    def _see(self, one: int, row: int, packet: Packet[Tracks]) -> Iterator[Event]:
        tracks, t_ns = packet.value, packet.t_ns
        box = box_of(tracks, row)
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        sighting = self._open.get(one)
        is_new = sighting is None
        if sighting is None:
            name = event_id(self._context.id, self._context.random)
            sighting = self._open[one] = _Sighting(name, t_ns, middle, box, t_ns)
        score = float(tracks.scores[row])
        sighting.box, sighting.seen_ns = box, t_ns
        sighting.score = max(sighting.score, score)
        sighting.moved = max(
            sighting.moved, hypot(middle[0] - sighting.first[0], middle[1] - sighting.first[1])
        )
        label = tracks.labels[tracks.classes[row]]
        sighting.votes[label] = sighting.votes.get(label, 0.0) + score
        self._take_picture(sighting, score, tracks.image)
        better = sighting.quality > _MUCH_BETTER * sighting.told_quality
        if is_new:
            yield self._event("new", one, sighting)
        elif better or t_ns - sighting.told_ns >= self._update_ns:
            yield self._event("update", one, sighting)

    def _take_picture(self, sighting: _Sighting, score: float, image: Image | None) -> None:
        """Keep this picture if it is the best so far and there is room."""
        left, top, right, bottom = sighting.box
        quality = score * (right - left) * (bottom - top)
        if (
            image is None
            or self._options.snapshot == "none"
            or quality <= _BETTER * sighting.quality
        ):
            return
        taken = image if self._options.snapshot == "picture" else _cut_out(image, sighting.box)
        room = _MOST_BYTES - self._bytes + _size(sighting.image)
        if taken is not None and _size(taken) <= room:
            self._bytes += _size(taken) - _size(sighting.image)
            sighting.image, sighting.quality = taken, quality

    def _end(self, one: int) -> Event:
        sighting = self._open.pop(one)
        self._bytes -= _size(sighting.image)
        return self._event("end", one, sighting)

    def _event(self, phase: Phase, one: int, sighting: _Sighting) -> Event:
        sighting.told_ns, sighting.told_quality = sighting.seen_ns, sighting.quality
        return Event(
            phase,
            sighting.event,
            "track",
            max(sighting.votes, key=lambda label: sighting.votes[label]),
            sighting.began_ns,
            score=sighting.score,
            box=sighting.box,
            image=sighting.image,
            facts={
                "track": one,
                "age_s": round((sighting.seen_ns - sighting.began_ns) / NS, 3),
                "moved": round(sighting.moved, 3),
            },
        )


def _size(image: Image | None) -> int:
    return 0 if image is None else image.pixels.nbytes


def _cut_out(image: Image, box: Box) -> Image | None:
    """A copy of what a picture shows of a box, with a margin; None where it shows nothing of it."""
    view, (width, height) = image.view, image.size
    more_x, more_y = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
    left = max(0, int((box[0] - more_x - view.left) / view.width * width))
    top = max(0, int((box[1] - more_y - view.top) / view.height * height))
    right = min(width, round((box[2] + more_x - view.left) / view.width * width))
    bottom = min(height, round((box[3] + more_y - view.top) / view.height * height))
    if right <= left or bottom <= top:
        return None
    shown = view.within(left / width, top / height, (right - left) / width, (bottom - top) / height)
    return Image(np.ascontiguousarray(image.pixels[top:bottom, left:right]).copy(), shown)
