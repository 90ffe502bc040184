"""The journal: the one thread that touches the disk for the outbox.

It commits what has lingered, deletes what has settled, makes room within the quotas and reads the
backlog page by page. When the disk fails, messages stay in memory, and it tries again later, in a
new file.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.message import Priority
from edgeapp.uplink.disk.ledger import PAGE, PAGE_BYTES, Batch, Ledger
from edgeapp.uplink.disk.store import Change, Slot, Stored, StoreError, disk_size
from edgeapp.uplink.disk.store_folder import StoreFolder
from edgeapp.uplink.outbox import PRIORITIES, Reason
from edgeapp.uplink.wall_clock import Offset

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""After the disk failed, so long until it is tried again; twice as long each time."""

_MB = 1_000_000
_NEVER_NS = 1 << 62
_OFFSET_S = 60.0  # how often the wall clock is asked whether it is right by now
_SLOTS = 512  # looked at in one go when room is made
_LEAST_BYTES = 64  # of a message on the disk
_EVICT_BYTES = 4 * 1024 * 1024  # in one commit at most
_SLACK = 256  # when a quota is used up, one part in so many more is freed
_DEFICIT_BYTES = 4 * 1024 * 1024  # given back to a full disk at each commit, at most
_COMMIT_BYTES = 256 * 1024  # written by a commit beside its messages, with much to spare
_NO_ROOM = "the disk is full, or has less room than is to be left free"


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How much of the disk messages may take, by class."""

    critical_bytes: int = 64 * _MB
    normal_bytes: int = 128 * _MB
    bulk_bytes: int = 64 * _MB
    min_free_bytes: int = 64 * _MB
    """Left to others of the disk, whatever the quotas say."""

    def of(self, priority: Priority) -> int:
        """The quota of a class."""
        quotas = {
            "critical": self.critical_bytes,
            "normal": self.normal_bytes,
            "bulk": self.bulk_bytes,
        }
        return quotas[priority]


class Wall(Protocol):
    """What the journal needs of the wall clock."""

    boot: str

    def offset(self) -> Offset:
        """That of this boot."""

    def learn(self, offsets: Mapping[str, Offset]) -> None:
        """Take those of earlier boots."""


class Journal:
    """Keeps a ledger on the disk. `step` on one thread alone, or `start` and `stop`."""

    def __init__(
        self,
        ledger: Ledger,
        folder: StoreFolder,
        *,
        clock: Clock,
        wall: Wall,
        log: Log,
        limits: DiskLimits,
        statvfs: Callable[[Path], os.statvfs_result],
    ) -> None:
        """Prepare; the disk is not touched yet."""
        self._ledger = ledger
        self._folder = folder
        self._clock = clock
        self._wall = wall
        self._log = log
        self._limits = limits
        self._statvfs = statvfs
        self._bell = ledger.bell
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._retry_ns: int | None = None
        self._boot_written: tuple[str, Offset | None] | None = None  # in the current file
        self._purges: deque[_Purge] = deque()
        self._pressed = False
        self.bytes_written = 0
        """Of this journal to the disk, where the system counts it."""
        self.dead = 0
        """Refused messages that are kept aside."""

    def start(self) -> None:
        """Begin to work on a thread."""
        self._thread = threading.Thread(target=self._run, name="outbox/journal", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Write all that can be written, and end; False when the disk took too long for that."""
        self._end.set()
        self._bell.set()
        if self._thread is None:
            self._finish()
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def purge(self, priorities: tuple[Priority, ...], *, dead: bool, timeout_s: float) -> int:
        """Remove what waits of these classes, and what was refused; returns how many messages.

        Raises:
            TimeoutError: the disk did not do it in time.
        """
        purge = _Purge(priorities, dead)
        self._purges.append(purge)
        self._bell.set()
        if self._thread is None:
            self.step()
        if not purge.done.wait(timeout_s):
            raise TimeoutError("the disk is too slow, or has failed")
        return purge.count

    def step(self) -> int:
        """Do what is due; returns when to look again, in monotonic nanoseconds."""
        before = _written_by_this_thread()
        now_ns = self._clock.now_ns()
        self._try_to_write(now_ns)
        self._read()
        self.bytes_written += _written_by_this_thread() - before
        later_ns = _NEVER_NS
        if self._boot_written is not None and self._boot_written[1] is None:
            later_ns = now_ns + round(_OFFSET_S * NS)
        return self._ledger.sleep_until(retry_ns=self._retry_ns, later_ns=later_ns)

    def _run(self) -> None:
        due_ns = 0
        while not self._end.is_set():
            wait_s = min((due_ns - self._clock.now_ns()) / NS, threading.TIMEOUT_MAX)
            if wait_s > 0:
                self._clock.wait(self._bell, wait_s)
            self._bell.clear()
            try:
                due_ns = self.step()
            except Exception as error:  # noqa: BLE001  a bug here must not end what keeps messages
                due_ns = 0
                self._crashed(error)
                self._clock.wait(self._end, FIRST_PAUSE_S)
        self._finish()

    def _finish(self) -> None:
        try:
            self.step()
        except Exception as error:  # noqa: BLE001  ditto
            self._crashed(error)
        self._folder.close()

    def _try_to_write(self, now_ns: int) -> None:
        while self._retry_ns is None or now_ns >= self._retry_ns or self._end.is_set():
            try:
                self._write(now_ns)
                self._recovered()
                return
            except StoreError as error:
                self._failed(error)
                if error.trouble == "damaged" and self._failures == 1:
                    self._retry_ns = None  # the disk is well: go on in a new file at once
                elif self._end.is_set():
                    return

    def _write(self, now_ns: int) -> None:
        if not self._folder.is_open:
            self._open()
        purged = self._purge()
        while True:
            room = self._make_room(self._ledger.due(now_ns, everything=self._end.is_set()))
            everything = self._end.is_set() or bool(purged)
            batch = self._ledger.collect(room, now_ns, everything=everything)
            boot = self._boot_news(batch)
            if not batch and boot is None:
                break
            self._commit(batch, boot)
        if self._pressed or not self._ledger.is_any_on_disk:
            self._folder.current.shrink()
        for purge in purged:
            purge.done.set()

    def _open(self) -> None:
        opened = self._folder.open()
        self._boot_written = None
        for found in opened:
            self._wall.learn(found.offsets)
            counts = {name: max(0, found.left[name]) for name in PRIORITIES}
            self._ledger.opened(counts, found.runs, found.gaps)
        for found in reversed(opened):  # of a topic, the newest state is in the newest file
            self._ledger.found_states(found.states)
        self.dead = self._folder.current.dead_count

    def _commit(self, batch: Batch, boot: tuple[str, Offset | None] | None) -> None:
        try:
            self._write_batch(batch, boot)
        except BaseException:
            self._ledger.not_written(batch)
            raise
        self._folder.current.tidy()

    def _write_batch(self, batch: Batch, boot: tuple[str, Offset | None] | None) -> None:
        first = self._folder.next_ids(len(batch.items))
        change = Change(dead=batch.dead, boot=boot)
        change.added = [
            Stored(row, item.key, item.message, item.message.priority, disk_size(item.message))
            for row, item in enumerate(batch.items, first)
        ]
        gap_rows = self._folder.write(change, batch.deleted, batch.gaps_then, batch.gaps_deleted)
        if boot is not None:
            self._boot_written = boot
        self.dead = self._folder.current.dead_count
        self._ledger.written(batch, first, gap_rows)

    def _boot_news(self, batch: Batch) -> tuple[str, Offset | None] | None:
        """What is to be noted of this boot, if messages of it are on the disk."""
        if self._boot_written is None and not (batch.items or batch.gaps or batch.dead):
            return None
        offset = self._wall.offset()
        boot = self._wall.boot, offset if offset.synced else None
        return None if boot == self._boot_written else boot

    def _make_room(self, due: dict[Priority, int]) -> dict[Priority, int]:
        """Of each class, the bytes that may be written; evicts the oldest where there is no room."""
        if not due:
            return due
        due = {
            priority: min(size, self._limits.of(priority) // 4) for priority, size in due.items()
        }
        disk = self._statvfs(self._folder.path)
        there = disk.f_bavail * disk.f_frsize
        free = there - self._limits.min_free_bytes
        self._pressed = free < 0
        if there < sum(due.values()) + _COMMIT_BYTES:
            # To evict would be in vain: a deletion takes room, too.
            raise StoreError("full", _NO_ROOM)
        for priority, size in due.items():
            quota = self._limits.of(priority)
            over = self._folder.size(priority) - self._ledger.deleting(priority) + size - quota
            if over > 0:  # by more than that only where the quota was larger before
                self._evict(priority, min(over + quota // _SLACK, _EVICT_BYTES))
        room = max(free, -_DEFICIT_BYTES) + self._folder.current.spare_bytes()
        allowed: dict[Priority, int] = {}
        for priority, size in due.items():
            for victim in reversed(PRIORITIES[PRIORITIES.index(priority) :]):
                if room < size:
                    room += self._evict(victim, size - room)
            if room >= size or free >= size:
                allowed[priority] = size
                room -= size
        if due and not allowed:
            raise StoreError("full", _NO_ROOM)
        return allowed

    def _evict(self, priority: Priority, size: int, reason: Reason = "full") -> int:
        """Let the oldest of a class go, of those that are on the disk alone; returns their size."""
        freed = after = 0
        while freed < size:
            wanted = min(_SLOTS, (size - freed) // _LEAST_BYTES + 1)
            try:
                page = self._folder.oldest(priority, after, wanted)
            except StoreError as error:
                if not self._give_up_older(error):
                    raise
                continue
            if not page:
                if after == 0 or not self._ledger.spill(priority, _SLOTS):
                    break
                after = 0
                continue
            after = page[-1].id
            slots: list[Slot] = []
            for slot in page:
                if freed < size and not self._ledger.is_held(slot.id):
                    slots.append(slot)
                    freed += slot.size
            self._ledger.evict(priority, slots, reason)
        return freed

    def _purge(self) -> "list[_Purge]":
        """Remove what is to go; it is gone for good with the next commit."""
        purges: list[_Purge] = []
        while self._purges:
            purge = self._purges.popleft()
            purges.append(purge)
            for priority in purge.priorities:
                purge.count += self._ledger.purge_memory(priority)
                purge.count += self._evict_all(priority)
            if purge.dead:
                purge.count += self.dead
                self._folder.current.write(Change(clear_dead=True))
                self.dead = self._folder.current.dead_count
        return purges

    def _evict_all(self, priority: Priority) -> int:
        count = 0
        while True:
            before = self._ledger.on_disk(priority)
            if not self._evict(priority, _EVICT_BYTES, "purged"):
                return count
            count += before - self._ledger.on_disk(priority)
            self._commit(self._ledger.collect({}, 0, everything=True), None)

    def _read(self) -> None:
        while wanted := self._ledger.pages_wanted():
            for priority, after in wanted:
                try:
                    page = self._folder.page(priority, after, PAGE, PAGE_BYTES)
                except StoreError as error:
                    if not self._give_up_older(error):
                        self._failed(error)
                    return
                self._ledger.loaded(priority, after, page)

    def _give_up_older(self, error: StoreError) -> bool:
        """A file could not be read: do without it; False: it is no older one, or it may pass."""
        if error.older is None or error.trouble == "full":
            return False
        left = self._folder.drop_unreadable(error.older, error)
        count = self._ledger.lost(error.older, {name: left[name] for name in PRIORITIES})
        self._log.warning("messages on the disk cannot be read", problem=str(error), count=count)
        return True

    def _crashed(self, error: Exception) -> None:
        """A bug: say it, keep messages in memory for a while, and go on in a new file."""
        self._log.error("crashed", what="outbox", exc_info=True)
        self._failed(StoreError("failed", f"{type(error).__name__}: {error}"))

    def _failed(self, error: StoreError) -> None:
        self._folder.fail(error)
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_ns = self._clock.now_ns() + round(pause_s * NS)
        if self._failures == 1:
            self._log.warning(
                "messages are kept in memory alone: the disk does not take them", problem=str(error)
            )
        self._ledger.trouble(str(error))

    def _recovered(self) -> None:
        if self._failures:
            self._log.info("messages are kept on the disk again")
            self._ledger.trouble("")
        self._failures, self._retry_ns = 0, None


class _Purge:
    def __init__(self, priorities: tuple[Priority, ...], dead: bool) -> None:
        self.priorities = priorities
        self.dead = dead
        self.count = 0
        self.done = threading.Event()


def _written_by_this_thread() -> int:
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/io", "rb") as lines:  # noqa: PTH123  no Path for each step
            for line in lines:
                if line.startswith(b"write_bytes:"):
                    return int(line[12:])
    except OSError:
        pass
    return 0
