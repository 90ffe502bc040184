"""The memory side of an outbox with a store: what is to be written, read and deleted.

Lanes and the event loop change it by the calls of `Outbox`; the journal asks it what there is to
do, does that without its lock, and says what became of it.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from edgeapp.core.clock import NS
from edgeapp.core.message import Priority
from edgeapp.uplink.disk.store import FILE_BITS, Dead, Slot, Stored, disk_size
from edgeapp.uplink.gaps import Gap
from edgeapp.uplink.lanes import Item, Lane
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.outbox import Entry, OutboxStatistics, Reason

LINGER_S: Mapping[Priority, float] = {"critical": 0.0, "normal": 1.0, "bulk": 5.0}
"""So long the broker has to acknowledge a message before it is written."""
CHORES_S = 1.0
"""So long what is to be deleted is gathered: what was settled in it is sent again after a kill."""
PAGE = 256
"""Messages of a class that are read from the disk at once."""
PAGE_BYTES = 1024 * 1024

_BATCH = 2_000  # messages in one commit at most
_BATCH_BYTES = 2 * 1024 * 1024
_MAX_DEAD = 100  # that wait to be written
_MAX_DELETED = 50_000  # ditto; as long, nothing is read from a disk that takes no changes
_NEVER_NS = 1 << 62
_ROOM = 8  # when memory is full, one part in so many is left to the disk at once
_URGENT = 4  # when one part in so many of the memory is not yet written, it is


@dataclass(slots=True)
class Batch:
    """What one commit is to hold."""

    items: list[Item] = field(default_factory=list)
    deleted: list[tuple[Priority, Slot]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    gaps_then: list[Gap] = field(default_factory=list)
    """The same as they are now: with what is deleted, and nothing that is dropped later."""
    gaps_deleted: list[int] = field(default_factory=list)
    telling: list[Gap] = field(default_factory=list)
    """Those of the gaps that can be told once they are written."""
    dead: list[Dead] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.items or self.deleted or self.gaps or self.gaps_deleted or self.dead)


class Ledger(MemoryOutbox):
    """An outbox in memory that knows what of it is on the disk.

    Where it is full, the oldest of what is on the disk are left to it alone.
    """

    def __init__(self, *, boot: str, **bounds: object) -> None:
        """`boot`: in which this process runs. The rest: see `MemoryOutbox`."""
        super().__init__(**bounds)  # type: ignore[arg-type]  # passed through
        self._boot = boot
        self.bell = threading.Event()
        """Rings when the journal has something to do before its alarm."""
        self._alarm_ns = _NEVER_NS  # when the journal wakes up by itself
        self._held: set[int] = set()  # ids of what is in memory, or deleted but for the commit
        self._deleted: list[tuple[Priority, Slot]] = []
        self._dead: list[Dead] = []
        self._chores_ns = _NEVER_NS  # when they are due
        self._gaps_wanted = False
        self._urgent = False
        self._boots: dict[int, str] = {}
        self._begun_ns = self._clock.now_ns()
        self._committed = 0
        self._problem = ""

    @property
    def lasts(self) -> bool:
        """All does, unless the disk is in trouble."""
        return not self._problem

    def take_backlog(self, limit: int) -> list[Entry]:
        """Up to `limit` messages to replay; fewer when the disk has yet to be read."""
        taken = super().take_backlog(limit)
        for lane in self._lanes.values():
            if (
                lane.on_disk
                and not lane.page_wanted
                and len(lane.head) < PAGE // 2
                and len(self._deleted) < _MAX_DELETED
            ):
                lane.page_wanted = True
                self.bell.set()
        return taken

    def divide(self) -> None:
        """A connection is made: what has waited for longer than FRESH_S is backlog from now on."""
        super().divide()
        with self._lock:
            self._unload()

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""
        return replace(super().statistics(), committed=self._committed, problem=self._problem)

    # What MemoryOutbox calls, under its lock.

    def _accept(self, lane: Lane, item: Item) -> None:
        lane.add(item)
        lane.want_written(item)
        self._wake_at(item.since_ns + round(LINGER_S[lane.priority] * NS))
        if not self._urgent and (
            lane.unwritten_bytes > self._max_bytes // _URGENT
            or len(lane.unwritten) > self._max_messages // _URGENT
        ):
            self._urgent = True
            self._wake_at(item.since_ns)

    def _make_room(self) -> None:
        max_messages = self._max_messages - self._max_messages // _ROOM
        max_bytes = self._max_bytes - self._max_bytes // _ROOM
        lanes = list(reversed(self._lanes.values()))
        count, size = sum(lane.count for lane in lanes), sum(lane.bytes for lane in lanes)
        for stays in (self._is_state, None):  # states as well before anything is lost
            for lane in lanes:
                while count > max_messages or size > max_bytes:
                    item = self._spill(lane, stays)
                    if item is None:
                        break
                    count, size = count - 1, size - item.size
            max_messages, max_bytes = self._max_messages, self._max_bytes
        super()._make_room()

    def _drop(self, item: Item, reason: Reason) -> None:
        super()._drop(item, reason)
        self._plan_chores()

    def _bury(self, item: Item, reason: str) -> None:
        if len(self._dead) < _MAX_DEAD:
            self._dead.append(Dead(item.key, item.message, reason))

    def _forget(self, item: Item) -> None:
        super()._forget(item)
        if not item.gap:
            lane = self._lanes[item.message.priority]
            lane.forget_unwritten(item)
            if item.row:
                self._delete(item)
            elif not self._dead:
                return  # the usual case: acknowledged before it was written
        self._plan_chores()

    def _tell_gaps(self) -> None:
        if self._problem:
            super()._tell_gaps()
        elif self._device and not self._gaps_wanted and self._gaps.ripe():
            self._gaps_wanted = True
            self.bell.set()

    def _give_back(self) -> None:
        super()._give_back()
        self._unload()

    def _unload(self) -> None:
        for lane in self._lanes.values():
            lane.page_wanted = False
            if self._problem:
                continue  # what is on the disk as well can perhaps not be read again
            for item in lane.unload():
                self._held.discard(item.row)

    def _spill(self, lane: Lane, stays: Callable[[Item], bool] | None) -> Item | None:
        item = lane.spill(stays)
        if item is not None:
            self._held.discard(item.row)
        return item

    def _delete(self, item: Item) -> None:
        slot = Slot(item.row, item.key, disk_size(item.message))
        self._deleted.append((item.message.priority, slot))

    def _plan_chores(self) -> None:
        if self._chores_ns == _NEVER_NS:
            self._chores_ns = self._clock.now_ns() + round(CHORES_S * NS)
            self._wake_at(self._chores_ns)

    def _wake_at(self, due_ns: int) -> None:
        if due_ns < self._alarm_ns:
            self._alarm_ns = due_ns
            self.bell.set()

    # What the journal calls.

    def due(self, now_ns: int, *, everything: bool = False) -> dict[Priority, int]:
        """Bytes that are to be written now, by class."""
        with self._lock:
            everything = everything or self._urgent
            return {
                priority: min(lane.unwritten_bytes, _BATCH_BYTES)
                for priority, lane in self._lanes.items()
                if lane.unwritten
                and (everything or _oldest_ns(lane) + round(LINGER_S[priority] * NS) <= now_ns)
            }

    def collect(
        self, room: Mapping[Priority, int], now_ns: int, *, everything: bool = False
    ) -> Batch:
        """What is to be committed now: of each class up to so many bytes, at least one message."""
        with self._lock:
            batch = Batch()
            for priority, limit in room.items():
                size = 0
                for item in self._lanes[priority].unwritten.values():
                    size += item.size
                    if batch.items and (size > limit or len(batch.items) >= _BATCH):
                        break
                    batch.items.append(item)
            if batch.items or everything or self._gaps_wanted or self._chores_ns <= now_ns:
                if self._gaps_wanted:
                    batch.telling = self._gaps.ripe()
                    self._freeze(batch.telling)
                    self._gaps_wanted = False
                batch.deleted, self._deleted = self._deleted, []
                batch.dead, self._dead = self._dead, []
                batch.gaps, batch.gaps_deleted = self._gaps.changes()
                batch.gaps_then = [replace(gap) for gap in batch.gaps]
                self._chores_ns = _NEVER_NS
            return batch

    def written(self, batch: Batch, first_row: int, gap_rows: list[int]) -> None:
        """A batch was committed; its messages are the rows from `first_row` on."""
        with self._lock:
            for row, item in enumerate(batch.items, first_row):
                self._lanes[item.message.priority].written(item, row)
                self._held.add(row)
                if item.gone:
                    self._delete(item)
                    self._plan_chores()
            self._committed += len(batch.items)
            self._held.difference_update(slot.id for _, slot in batch.deleted)
            for gap, row in zip(batch.gaps, gap_rows, strict=True):
                self._gaps.written(gap, row)
            self._tell(batch.telling)
            if not any(len(lane.unwritten) > _BATCH for lane in self._lanes.values()):
                self._urgent = False

    def not_written(self, batch: Batch) -> None:
        """A batch was not committed."""
        with self._lock:
            self._deleted[:0] = batch.deleted
            self._dead[:0] = batch.dead
            self._gaps.undo(batch.gaps, batch.gaps_deleted)
            # Who reads it must know now: the disk may be gone for good.
            self._tell(batch.telling)
            self._plan_chores()

    def opened(
        self,
        found: Mapping[Priority, int],
        boots: Mapping[int, str],
        gaps: list[Gap],
    ) -> None:
        """A file was opened that holds so many messages."""
        with self._lock:
            self._boots |= boots
            for priority, count in found.items():
                lane = self._lanes[priority]
                if count and not lane.on_disk:
                    lane.disk_since_ns = self._begun_ns
                if count:
                    lane.cursor = 0
                lane.on_disk += count
                self._found += count
            for gap in self._gaps.found(gaps):
                self._found += 1
                self._telling.append(self._telling_of(gap, self._boot_of(gap.run)))

    def found_states(self, states: list[Stored]) -> None:
        """These retained messages of earlier runs are the newest of their topics on the disk."""
        with self._lock:
            for stored in reversed(states):
                message = stored.message
                lane = self._lanes[stored.priority]
                if message is None or message.topic in self._newest or lane.on_disk <= 0:
                    continue
                self._note_state(message.topic, stored.key)
                lane.put_back(self._item(stored))
                lane.on_disk -= 1
                self._held.add(stored.id)

    def pages_wanted(self) -> list[tuple[Priority, int]]:
        """Classes of which a page of the backlog is to be read, and after which row."""
        with self._lock:
            return [
                (lane.priority, lane.cursor) for lane in self._lanes.values() if lane.page_wanted
            ]

    def loaded(self, priority: Priority, after: int, page: list[Stored]) -> None:
        """A page was read; an empty one says that there are no more."""
        with self._lock:
            lane = self._lanes[priority]
            if not lane.page_wanted or lane.cursor != after:
                return  # given up in the meantime, or more came before it
            for stored in page:
                lane.cursor = stored.id
                if stored.id in self._held:
                    continue
                if lane.on_disk > 0:
                    lane.on_disk -= 1
                else:
                    self._found += 1  # the count was wrong: it is damaged
                self._held.add(stored.id)
                if stored.message is None:
                    self._lose(stored)
                    continue
                item = self._item(stored)
                item.replay = True
                lane.head.append(item)
                lane.count += 1
                lane.bytes += item.size
                lane.disk_since_ns = item.since_ns
            if not page:
                if after:
                    lane.cursor = 0  # look at all of it once more
                else:
                    self._lose_count(lane, lane.on_disk)  # the count was wrong: it is damaged
            lane.page_wanted = lane.on_disk > 0 and len(lane.head) < PAGE

    def evict(self, priority: Priority, slots: list[Slot], reason: Reason) -> None:
        """These are on the disk alone, and have to go."""
        with self._lock:
            slots = [slot for slot in slots if slot.id not in self._held]
            if not slots:
                return
            self._lanes[priority].on_disk -= len(slots)
            self._dropped[reason] += len(slots)
            keys = [slot.key for slot in slots]
            self._gaps.add(priority, reason, min(keys), max(keys), len(keys))
            self._held.update(slot.id for slot in slots)
            self._deleted += [(priority, slot) for slot in slots]
            self._plan_chores()

    def is_held(self, row: int) -> bool:
        """Whether a row is in memory, too, or is about to be deleted."""
        return row in self._held

    def spill(self, priority: Priority, count: int) -> int:
        """Leave up to so many messages of a class to the disk alone; returns how many."""
        with self._lock:
            lane = self._lanes[priority]
            for done in range(count):
                if self._spill(lane, self._is_state) is None:
                    return done
            return count

    def lost(self, file: int, left: Mapping[Priority, int]) -> int:
        """A file with so many messages cannot be read any more; returns how many are lost.

        What of it is in memory is to be written anew.
        """
        with self._lock:
            alone = Counter(left)
            for item in self._all_in_memory():
                if item.row >> FILE_BITS == file:
                    lane = self._lanes[item.message.priority]
                    alone[lane.priority] -= 1
                    self._held.discard(item.row)
                    item.row = 0
                    lane.want_written(item)
            for priority, slot in self._deleted:
                if slot.id >> FILE_BITS == file:
                    alone[priority] -= 1
                    self._held.discard(slot.id)
            self._deleted = [one for one in self._deleted if one[1].id >> FILE_BITS != file]
            count = 0
            for priority, lane in self._lanes.items():
                gone = max(0, min(alone[priority], lane.on_disk))
                self._lose_count(lane, gone)
                count += gone
            return count

    def _all_in_memory(self) -> Iterator[Item]:
        for lane in self._lanes.values():
            yield from chain(lane.head, lane.tail, lane.live)
        yield from (item for item in self._in_flight.values() if not item.gap)

    def deleting(self, priority: Priority) -> int:
        """Bytes on the disk that the next commit will free."""
        with self._lock:
            return sum(slot.size for name, slot in self._deleted if name == priority)

    def on_disk(self, priority: Priority) -> int:
        """How many of a class are on the disk alone."""
        return self._lanes[priority].on_disk

    @property
    def is_any_on_disk(self) -> bool:
        """Whether anything is on the disk alone."""
        return any(lane.on_disk for lane in self._lanes.values())

    def purge_memory(self, priority: Priority) -> int:
        """Drop what waits of a class in memory; returns how many."""
        with self._lock:
            return self._drop_lane(self._lanes[priority], "purged")

    def trouble(self, problem: str) -> None:
        """Why nothing can be written; empty: it can."""
        self._problem = problem

    def sleep_until(self, *, retry_ns: int | None = None, later_ns: int = _NEVER_NS) -> int:
        """When the journal should look again, unless the bell rings.

        `retry_ns`: nothing can be written before. `later_ns`: when it should look at the latest.
        """
        with self._lock:
            if retry_ns is not None:
                self._alarm_ns = -1  # nobody needs to ring
                return retry_ns
            due = [
                _oldest_ns(lane) + (0 if self._urgent else round(LINGER_S[priority] * NS))
                for priority, lane in self._lanes.items()
                if lane.unwritten
            ]
            self._alarm_ns = min(self._chores_ns, later_ns, *due)
            return self._alarm_ns

    def _lose_count(self, lane: Lane, count: int) -> None:
        lane.on_disk -= count
        self._dropped["disk"] += count

    def _lose_unwritten(self) -> int:
        """After the journal has ended: what is in memory alone is lost."""
        with self._lock:
            count = 0
            for lane in self._lanes.values():
                lost = list(lane.unwritten.values())
                lane.remove(lost)
                for item in lost:
                    self._drop(item, "stopped")
                count += len(lost)
            untold = [item for item in self._telling if not self._gaps.is_written(item.key)]
            for item in untold:
                self._telling.remove(item)
                self._drop(item, "stopped")
            return count + len(untold)

    def _lose(self, stored: Stored) -> None:
        self._dropped["disk"] += 1
        self._gaps.add(stored.priority, "disk", stored.key, stored.key, 1)
        self._deleted.append((stored.priority, Slot(stored.id, stored.key, stored.size)))
        self._plan_chores()

    def _item(self, stored: Stored) -> Item:
        message = stored.message
        assert message is not None
        here = stored.key.run == self._run
        since_ns = message.taken_ns if here else self._begun_ns
        boot = None if here else self._boot_of(stored.key.run)
        return Item(stored.key, message, since_ns, row=stored.id, boot=boot)

    def _boot_of(self, run: int) -> str | None:
        boot = self._boots.get(run, "") if run != self._run else self._boot
        return None if boot == self._boot else boot


def _oldest_ns(lane: Lane) -> int:
    return next(iter(lane.unwritten.values())).since_ns
