"""The bounded queue where a pipeline is cut between two threads."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edgeapp.core.packet import Packet, ends_event

WhenFull = Literal["wait", "drop_oldest", "drop_newest"]

AnyPacket = Packet[Any]

_MOST_ENDS = 4
"""How many times its depth a link may hold, where what does not fit ends events."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How many packets may wait, and what happens to the next one."""

    depth: int
    when_full: WhenFull


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """A link at one moment: `put` = `received` + `dropped` + `waiting`."""

    settings: LinkSettings
    waiting: int
    """Packets in the link now."""
    peak_waiting: int
    """The most that ever waited."""
    put: int
    received: int
    dropped: int
    """Packets that the link let go, being full, or after `abandon`."""


class Inbox:
    """Where one thread waits for the links that end there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._links: list[Link] = []
        self._next = 0

    def link(self, settings: LinkSettings) -> "Link":
        """Open one more link into this inbox. Call before the reading thread starts."""
        link = Link(settings, self._changed)
        self._links.append(link)
        return link

    def take(
        self, limit: int, patience_s: float | None = None
    ) -> "tuple[Link, list[AnyPacket]] | None":
        """Wait for packets and take up to `limit` of one link, the links in turn.

        Takes none if none comes within `patience_s`. Returns None once every link is closed and
        empty. One thread only.
        """
        with self._changed:
            while True:
                for _ in self._links:
                    link = self._links[self._next]
                    self._next = (self._next + 1) % len(self._links)
                    if link.waiting:
                        return link, link.take_locked(limit)
                if all(link.closed for link in self._links):
                    return None
                if not self._changed.wait(patience_s):
                    return self._links[self._next], []


class Link:
    """Bounded; says `lost` on the packet after those it dropped. Made by `Inbox.link`.

    `put` is for one thread; it may block only under `when_full: wait`.
    """

    def __init__(self, settings: LinkSettings, changed: threading.Condition) -> None:
        if settings.depth < 1:
            raise ValueError("a link needs a depth of at least 1")
        self.settings = settings
        self.closed = False
        self._packets: deque[AnyPacket] = deque()
        self._changed = changed
        self._lost_behind = 0  # lost after the packet that was put last
        self._peak = 0
        self._put = 0
        self._received = 0
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """Packets in the link now."""
        return len(self._packets)

    def put(self, packet: AnyPacket) -> None:
        """Hand over a packet, or count it as dropped, as `when_full` says.

        On a closed link the packet is counted as dropped.
        """
        with self._changed:
            self._put += 1
            if self.settings.when_full == "wait":
                while len(self._packets) >= self.settings.depth and not self.closed:
                    self._changed.wait()
            if self.closed:
                self._dropped += 1
                return
            if len(self._packets) >= self.settings.depth and not self._made_room(packet):
                return
            if self._lost_behind:
                packet = packet._replace(lost=packet.lost + self._lost_behind)
                self._lost_behind = 0
            self._packets.append(packet)
            self._peak = max(self._peak, len(self._packets))
            self._changed.notify_all()

    def _made_room(self, packet: AnyPacket) -> bool:
        """Let one packet go, whose loss the next one tells; False if it is `packet` itself.

        What ends an event goes last: somebody waits for it, such as a lamp to be put out.
        """
        packets = self._packets
        if self.settings.when_full == "drop_oldest":
            for position, oldest in enumerate(packets):
                if not ends_event(oldest):
                    del packets[position]
                    self._dropped += 1
                    lost = 1 + oldest.lost
                    if position < len(packets):
                        after = packets[position]
                        packets[position] = after._replace(lost=after.lost + lost)
                    else:
                        self._lost_behind += lost
                    return True
        if ends_event(packet) and len(packets) < _MOST_ENDS * self.settings.depth:
            return True
        self._dropped += 1
        self._lost_behind += 1 + packet.lost
        return False

    def take_locked(self, limit: int) -> list[AnyPacket]:
        """Up to `limit` packets, oldest first. For the inbox, which holds the lock."""
        packets = self._packets
        if len(packets) <= limit:
            taken = list(packets)
            packets.clear()
        else:
            taken = [packets.popleft() for _ in range(limit)]
        self._received += len(taken)
        if self.settings.when_full == "wait":
            self._changed.notify_all()
        return taken

    def close(self) -> None:
        """No more packets will be put; what waits can still be taken. Idempotent."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def abandon(self) -> int:
        """Close and drop what waits; returns how many packets that were."""
        with self._changed:
            self.closed = True
            abandoned = len(self._packets)
            self._dropped += abandoned
            self._packets.clear()
            self._changed.notify_all()
            return abandoned

    def statistics(self) -> LinkStatistics:
        """The link at this moment, as a frozen snapshot."""
        with self._changed:
            return LinkStatistics(
                self.settings,
                len(self._packets),
                self._peak,
                self._put,
                self._received,
                self._dropped,
            )


Offer = Callable[[AnyPacket], None]
"""Hands a packet over to whatever comes next."""
