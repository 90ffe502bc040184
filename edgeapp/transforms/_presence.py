"""Which tracks are still there, for the stages that turn tracks into events."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any, Literal

import numpy as np

from edgeapp.api import Packet, Run, RunMemory, Tracks, View
from edgeapp.transforms._boxes import Floats, shown

Box = tuple[float, float, float, float]
Anchor = Literal["bottom", "centre"]


@dataclass(slots=True)
class _Last:
    """The last sight of a track."""

    box: Box
    missing_ns: int | None = None
    """When a picture first showed its place without it."""


PresenceMemory = tuple[RunMemory | None, dict[int, tuple[Any, ...]], int]


class Presence:
    """Remembers every track until it has been looked for in vain for long enough.

        if presence.restarted(packet):
            ...end everything...
        for gone in presence.follow(packet):
            ...end what this track had open...

    A track whose place the pictures do not show is not looked for, and stays.
    """

    def __init__(self, gone_ns: int) -> None:
        self.gone_ns = gone_ns
        """How long a track is looked for in vain until it is gone."""
        self._run = Run()
        self._last: dict[int, _Last] = {}
        self.t_ns = 0
        """Stream time of the newest packet, for what ends after it."""

    def restarted(self, packet: Packet[Tracks]) -> bool:
        """Whether the source was reopened: then no track goes on. True for the first packet."""
        if not self._run.began(packet):
            return False
        self._last.clear()
        return True

    def remember(self) -> "PresenceMemory":
        """Which tracks are there."""
        return (
            self._run.remember(),
            {one: astuple(last) for one, last in self._last.items()},
            self.t_ns,
        )

    def recall(self, memory: "PresenceMemory") -> None:
        """Look for them again."""
        run, last, self.t_ns = memory
        self._run.recall(run)
        self._last = {one: _Last(*known) for one, known in last.items()}

    def follow(self, packet: Packet[Tracks]) -> Iterator[int]:
        """Look at one picture; gives the ids of the tracks that are gone."""
        self.t_ns = packet.t_ns
        tracks = packet.value
        here = {one: box_of(tracks, row) for row, one in enumerate(tracks.ids.tolist())}
        view = View() if tracks.image is None else tracks.image.view
        absent = [one for one in self._last if one not in here]
        if absent:
            looked_at = shown(np.array([self._last[one].box for one in absent]), view)
            for one, looked in zip(absent, looked_at.tolist(), strict=True):
                if looked and self._is_gone(one, packet.t_ns):
                    del self._last[one]
                    yield one
        for one, box in here.items():
            self._last[one] = _Last(box)

    def _is_gone(self, one: int, t_ns: int) -> bool:
        last = self._last[one]
        if last.missing_ns is None:
            last.missing_ns = t_ns
        return t_ns - last.missing_ns >= self.gone_ns


def box_of(tracks: Tracks, row: int) -> Box:
    """The box of one track."""
    left, top, right, bottom = tracks.xyxy[row].tolist()
    return left, top, right, bottom


def anchors(tracks: Tracks, anchor: Anchor) -> Floats:
    """(n, 2): the point that says where each track is: the middle of its box or of its bottom."""
    left, top, right, bottom = tracks.xyxy.astype(np.float64).T
    y = bottom if anchor == "bottom" else (top + bottom) / 2
    return np.stack([(left + right) / 2, y], axis=1)
