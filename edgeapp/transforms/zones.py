"""Telling who is in which part of the picture, from entering to leaving."""

from dataclasses import astuple, dataclass
from typing import Annotated, Any

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
from edgeapp.transforms._labels import LabelsOption, Wanted
from edgeapp.transforms._polygon import PolygonOption
from edgeapp.transforms._presence import (
    Anchor,
    Box,
    Presence,
    PresenceMemory,
    anchors,
    box_of,
)
from edgeapp.transforms._shapes import contains

NS = 1_000_000_000


class ZonesOptions(Options):
    """The zones, and what counts as being in one."""

    zones: dict[str, PolygonOption] = Field(
        min_length=1,
        max_length=64,
        examples=[{"door": [[0.1, 0.5], [0.4, 0.5], [0.4, 1], [0.1, 1]]}],
        description="Polygons by name: {door: [[0.1, 0.5], [0.4, 0.5], [0.4, 1], [0.1, 1]]}, "
        "corners in order, in fractions of the picture from its top left.",
    )
    label: LabelsOption = Field(
        default=(), description="Look at these labels only: one, or a list. Left out: all."
    )
    anchor: Anchor = Field(
        default="bottom",
        description="Where a thing is: the middle of its bottom (the feet), or of its box.",
    )
    enter_s: Annotated[float, Live()] = Field(
        default=0.3,
        ge=0,
        description="It has entered once it was inside for so long, in seconds of stream time.",
    )
    leave_s: Annotated[float, Live()] = Field(
        default=1.0, ge=0, description="It has left once it was outside for so long, in seconds."
    )
    dwell_s: Annotated[float | None, Live()] = Field(
        default=None,
        gt=0,
        description="Tell once when it has stayed so long, in seconds, by an update.",
    )
    gone_s: Annotated[float, Live()] = Field(
        default=3.0,
        gt=0,
        description="It has left once it was looked for and not found for so long, in seconds. "
        "Longer than the lost_s of track, or one stay can be told twice.",
    )


@dataclass(slots=True)
class _Stay:
    """One track in or near one zone."""

    label: str
    box: Box
    score: float
    inside_ns: int
    """Since when it is inside; when it was last outside does not matter once it has entered."""
    seen_ns: int
    """When it was last seen inside."""
    outside_ns: int | None = None
    """Since when it is outside again."""
    event: str = ""
    """Empty until it counts as entered."""
    dwelt: bool = False


@transform("zones")
class Zones:
    """Tell who enters a zone of the picture, stays there, and leaves it.

    Each stay of a thing in a zone is one event (kind `zone`): new when it has entered, updated
    once when it has stayed for `dwell_s`, ended when it has left or is gone, when the source was
    reopened and when the stream ends. Facts: `zone`, its name; `track`, the id; `dwell_s`, for how
    long it was inside; `dwelling`, whether that is `dwell_s` or more; `inside`, how many are in
    the zone now.
    """

    def __init__(self, options: ZonesOptions, context: Context) -> None:
        self._options = options
        self._wanted = Wanted(options.label)
        self._context = context
        self._polygons = {name: np.array(points) for name, points in options.zones.items()}
        self._presence = Presence(round(options.gone_s * NS))
        self.tune(options)
        self._stays: dict[tuple[int, str], _Stay] = {}
        self._inside = dict.fromkeys(options.zones, 0)

    def tune(self, options: ZonesOptions) -> None:
        """Other times, from the next picture on; who has entered stays so."""
        self._enter_ns = round(options.enter_s * NS)
        self._leave_ns = round(options.leave_s * NS)
        self._dwell_ns = None if options.dwell_s is None else round(options.dwell_s * NS)
        self._presence.gone_ns = round(options.gone_s * NS)

    def remember(self) -> tuple[PresenceMemory, dict[tuple[int, str], tuple[Any, ...]]]:
        """Who is in which zone."""
        stays = {key: astuple(stay) for key, stay in self._stays.items()}
        return self._presence.remember(), stays

    def recall(self, memory: tuple[PresenceMemory, dict[tuple[int, str], tuple[Any, ...]]]) -> None:
        """Go on with all stays as they were before a reload."""
        presence, stays = memory
        self._presence.recall(presence)
        self._stays = {key: _Stay(*stay) for key, stay in stays.items()}
        for (_, zone), stay in self._stays.items():
            self._inside[zone] += stay.event != ""

    def process(self, packet: Packet[Tracks]) -> list[Event | At[Event]]:
        """What there is to tell after this picture."""
        told: list[Event | At[Event]] = []
        if self._presence.restarted(packet):
            told += self.flush()
        gone = set(self._presence.follow(packet))
        told += self._end([key for key in self._stays if key[0] in gone])
        tracks = self._wanted.of(packet.value)
        if len(tracks):
            places = anchors(tracks, self._options.anchor)
            for zone, polygon in self._polygons.items():
                told += self._look(zone, tracks, contains(polygon, places).tolist(), packet.t_ns)
        told += self._end(
            [
                key
                for key, stay in self._stays.items()
                if stay.outside_ns is not None and packet.t_ns - stay.outside_ns >= self._leave_ns
            ],
            tracks.image,
        )
        return told

    def flush(self) -> list[At[Event]]:
        """The ends of all stays."""
        return [At(event, self._presence.t_ns) for event in self._end(list(self._stays))]

    def _look(self, zone: str, tracks: Tracks, inside: list[bool], t_ns: int) -> list[Event]:
        told = []
        for row, one in enumerate(tracks.ids.tolist()):
            key = one, zone
            stay = self._stays.get(key)
            if not inside[row]:
                if stay is not None:
                    stay.outside_ns = t_ns if stay.outside_ns is None else stay.outside_ns
                    if not stay.event:
                        del self._stays[key]
                continue
            box, score = box_of(tracks, row), float(tracks.scores[row])
            if stay is None:
                label = tracks.labels[tracks.classes[row]]
                stay = self._stays[key] = _Stay(label, box, score, t_ns, t_ns)
            stay.box, stay.score = box, max(stay.score, score)
            stay.seen_ns, stay.outside_ns = t_ns, None
            lasted_ns = t_ns - stay.inside_ns
            if not stay.event and lasted_ns >= self._enter_ns:
                stay.event = event_id(self._context.id, self._context.random)
                self._inside[zone] += 1
                told.append(self._event("new", key, stay, tracks.image))
            if stay.event and not stay.dwelt and self._has_dwelt(lasted_ns):
                stay.dwelt = True
                told.append(self._event("update", key, stay, tracks.image))
        return told

    def _has_dwelt(self, lasted_ns: int) -> bool:
        return self._dwell_ns is not None and lasted_ns >= self._dwell_ns

    def _end(self, keys: list[tuple[int, str]], image: Image | None = None) -> list[Event]:
        told = []
        for key in keys:
            stay = self._stays.pop(key)
            if stay.event:
                self._inside[key[1]] -= 1
                told.append(self._event("end", key, stay, image))
        return told

    def _event(self, phase: Phase, key: tuple[int, str], stay: _Stay, image: Image | None) -> Event:
        one, zone = key
        return Event(
            phase,
            stay.event,
            "zone",
            stay.label,
            stay.inside_ns,
            score=stay.score,
            box=stay.box,
            image=image,
            facts={
                "zone": zone,
                "track": one,
                "dwell_s": round((stay.seen_ns - stay.inside_ns) / NS, 3),
                "dwelling": stay.dwelt,
                "inside": self._inside[zone],
            },
        )
