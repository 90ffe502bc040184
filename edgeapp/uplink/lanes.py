"""What waits of one class: the live lane, and the backlog, of which only the ends are in memory."""

from collections import deque
from collections.abc import Callable

from edgeapp.core.message import Message, Priority
from edgeapp.uplink.outbox import Entry, Key

OVERHEAD_BYTES = 256
"""Counted for each message beside topic and body: what its objects take in memory."""


class Item:
    """A message in memory."""

    __slots__ = ("boot", "gap", "gone", "key", "message", "replay", "row", "since_ns", "size")

    def __init__(
        self, key: Key, message: Message, since_ns: int, *, row: int = 0, boot: str | None = None
    ) -> None:
        self.key = key
        self.message = message
        self.since_ns = since_ns
        """Since when it waits, as far as this run knows."""
        self.row = row
        """Its id on the disk; 0: it is not there."""
        self.boot = boot
        self.size = memory_size(message)
        self.replay = False
        """It is of the backlog."""
        self.gap = False
        """It tells of a gap, and is on the disk as such."""
        self.gone = False
        """Settled or dropped."""

    def entry(self) -> Entry:
        """As the sender sees it."""
        return Entry(self.key, self.message, self.boot, self.replay)


class Lane:
    """What waits of one class. In the order of age: `head`, the disk, `tail`, `live`.

    Not safe from threads by itself.
    """

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.live: deque[Item] = deque()
        self.tail: deque[Item] = deque()
        """Backlog that is newer than all that is on the disk alone."""
        self.head: deque[Item] = deque()
        """Backlog that was read from the disk, to be sent next."""
        self.on_disk = 0
        """How many are on the disk alone."""
        self.cursor = 0
        """All rows up to this one are in memory, or were."""
        self.disk_since_ns = 0
        """Since when the oldest of those on the disk waits, or earlier."""
        self.page_wanted = False
        self.unwritten: dict[Key, Item] = {}
        """Not yet on the disk, waiting or in flight; oldest first."""
        self.unwritten_bytes = 0
        self.count = 0
        """In memory, and not in flight."""
        self.bytes = 0

    def add(self, item: Item) -> None:
        """Let a new message wait, as the newest."""
        self.live.append(item)
        self.count += 1
        self.bytes += item.size

    def put_back(self, item: Item) -> None:
        """Let a message wait again, before all newer ones of its lane."""
        backlog = self.head if item.row else self.tail
        waiting = backlog if item.replay else self.live
        # Older ones are there where a broker did not take them, before the connection was lost.
        newer = (place for place, other in enumerate(waiting) if other.key > item.key)
        waiting.insert(next(newer, len(waiting)), item)
        self.count += 1
        self.bytes += item.size

    def take_live(self) -> Item | None:
        """The oldest of the live lane."""
        return self._taken(self.live)

    def take_backlog(self) -> Item | None:
        """The oldest of the backlog; None: there is none, or it has yet to be read."""
        if self.head:
            return self._taken(self.head)
        return None if self.on_disk else self._taken(self.tail)

    def take_oldest(self) -> Item | None:
        """The oldest in memory that is not about to be sent."""
        return self._taken(self.tail) or self._taken(self.live) or self._taken(self.head)

    def backlog(self) -> int:
        """How many will be replayed."""
        return len(self.head) + self.on_disk + len(self.tail)

    def oldest_ns(self, now_ns: int) -> int:
        """Since when the oldest one waits; `now_ns` where none does."""
        firsts = [waiting[0].since_ns for waiting in (self.head, self.tail, self.live) if waiting]
        if self.on_disk:
            firsts.append(self.disk_since_ns)
        return min(firsts, default=now_ns)

    def written(self, item: Item, row: int) -> None:
        """It is on the disk now, as `row`."""
        item.row = row
        self.forget_unwritten(item)

    def want_written(self, item: Item) -> None:
        """It is to be written once it has lingered for long enough."""
        self.unwritten[item.key] = item
        self.unwritten_bytes += item.size

    def forget_unwritten(self, item: Item) -> None:
        """It is on the disk, or need not be any more."""
        if self.unwritten.pop(item.key, None) is not None:
            self.unwritten_bytes -= item.size

    def divide(self, stays: Callable[[Item], bool]) -> None:
        """Make backlog of all that are live, but for those that stay."""
        for _ in range(len(self.live)):
            item = self.live.popleft()
            if stays(item):
                self.live.append(item)
            else:
                item.replay = True
                self.tail.append(item)

    def spill(self, stays: Callable[[Item], bool] | None) -> Item | None:
        """Leave the oldest that can be so to the disk alone; None: there is none.

        `stays`: which of the live ones may not; None: all may.
        """
        item = self._spilled(self.tail, None)
        if item is None and not self.tail:
            item = self._spilled(self.live, stays)
        return item

    def unload(self) -> list[Item]:
        """Leave to the disk what was read from it, and all else of the backlog that is there."""
        left = [item for item in self.head if item.row]
        self.head = deque(item for item in self.head if not item.row)
        while self.tail and self.tail[0].row:
            left.append(self.tail.popleft())
        for item in left:
            self._leave(item)
        return left

    def remove(self, items: list[Item]) -> None:
        """Take these out, wherever they wait."""
        gone = {item.key for item in items}
        for waiting in (self.head, self.tail, self.live):
            for _ in range(len(waiting)):
                item = waiting.popleft()
                if item.key in gone:
                    self.count -= 1
                    self.bytes -= item.size
                else:
                    waiting.append(item)

    def _taken(self, waiting: deque[Item]) -> Item | None:
        if not waiting:
            return None
        item = waiting.popleft()
        self.count -= 1
        self.bytes -= item.size
        return item

    def _spilled(self, waiting: deque[Item], stays: Callable[[Item], bool] | None) -> Item | None:
        for place, item in enumerate(waiting):
            if stays is not None and stays(item):
                continue
            if not item.row:
                return None
            del waiting[place]
            item.replay = True
            self._leave(item)
            return item
        return None

    def _leave(self, item: Item) -> None:
        self.count -= 1
        self.bytes -= item.size
        if not self.on_disk:
            self.disk_since_ns = item.since_ns
        self.on_disk += 1
        # What was passed over while it was in memory will be read again.
        self.cursor = min(self.cursor, item.row - 1)


def memory_size(message: Message) -> int:
    """What a message takes in memory."""
    return len(message.body) + len(message.topic) + OVERHEAD_BYTES
