"""The folder of the store: one file is written, older ones are only read until they are empty.

A file that failed is not written again by this process, as nobody can know what of it is on the
disk after a failed sync: a new one takes its place. What is deleted of an older file is noted in
the one that is written, in one commit with all else.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn, TypeVar

from edgeapp.core.context import Log
from edgeapp.core.message import Priority
from edgeapp.core.whole_file import sync_folder
from edgeapp.uplink.disk.store import FILE_BITS, Change, Kind, Slot, Store, Stored, StoreError
from edgeapp.uplink.gaps import Gap
from edgeapp.uplink.outbox import PRIORITIES
from edgeapp.uplink.wall_clock import Offset

LOCK = "lock"
"""File of the folder that whoever writes to it has locked."""

_FILE = re.compile(r"outbox-([0-9]{1,6})\.db")
_ASIDE = "damaged"
_MAX_ASIDE = 2
_MAX_FAILED = 8
_UNKNOWN = 1 << 30
_STATES = 1_000  # topics of a class of which the newest state is looked for
_STATES_BYTES = 2 * 1024 * 1024
_ENDS = ("", "-wal", "-shm")

OpenStore = Callable[[Path], Store]
"""Opens a file, or makes it. Raises `StoreError`."""

_T = TypeVar("_T")
_Row = TypeVar("_Row", Stored, Slot)


def store_files(folder: Path) -> dict[int, Path]:
    """The files of a folder by their numbers, oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    found = ((_FILE.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in found if match))


@dataclass(slots=True)
class Found:
    """A file that was opened, and what it says of itself, without what other files know better."""

    store: Store
    runs: dict[int, str]
    """The boot of each run."""
    offsets: dict[str, Offset]
    gaps: list[Gap]
    states: list[Stored]
    """The newest retained message of each topic."""
    gone: list[tuple[Kind, int]]
    """Of older files."""
    last_id: int
    left: dict[Kind, int]
    """What is in it."""


def _examine(store: Store) -> Found:
    states = [
        state
        for name in PRIORITIES
        for state in store.newest_retained(name, _STATES, _STATES_BYTES)
    ]
    gaps = store.gaps()
    left: dict[Kind, int] = {name: tally.count for name, tally in store.tallies.items()}
    left["gap"] = len(gaps)
    return Found(store, *store.boots(), gaps, states, store.gone(), store.last_id(), left)


@dataclass(slots=True)
class _Older:
    number: int
    store: Store
    left: dict[Kind, int]
    passed: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(PRIORITIES, 0))
    """All rows of a class up to this one are gone."""

    @property
    def is_empty(self) -> bool:
        return not any(self.left.values())


class StoreFolder:
    """The files of one folder, which nobody else has. For the journal thread alone."""

    def __init__(self, path: Path, open_store: OpenStore, log: Log) -> None:
        """Prepare; nothing is opened before `open`."""
        self.path = path
        self._open_store = open_store
        self._log = log
        self._lock = -1
        self._failed: set[int] = set()  # not to be written by this process
        self._older: dict[int, _Older] = {}
        self._current: Store | None = None
        self._number = 0
        self._next_id = 0
        self._finished: list[int] = []  # numbers of files that are no longer there

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to."""
        return self._current is not None

    @property
    def current(self) -> Store:
        """The file that is written."""
        assert self._current is not None
        return self._current

    def open(self) -> list[Found]:
        """Open what is there, and a file to write to; returns those that are new to us.

        Raises:
            StoreError: nothing can be written here, now.
        """
        fresh: dict[int, Found] = {}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for number, file in store_files(self.path).items():
                if number not in self._older and number not in self._failed:
                    found = self._try(file)
                    if found is not None:
                        fresh[number] = found
            self._choose(fresh)
        except OSError as error:
            self._give_up(fresh, StoreError("failed", str(error)))
        except StoreError as error:
            self._give_up(fresh, error)
        return list(fresh.values())

    def next_ids(self, count: int) -> int:
        """The first of so many ids that nothing else has."""
        first = self._next_id
        self._next_id += count
        return first

    def write(
        self,
        change: Change,
        deleted: list[tuple[Priority, Slot]],
        gaps: list[Gap],
        gaps_deleted: list[int],
    ) -> list[int]:
        """Commit a change, with what is deleted of whatever file; returns the ids of the gaps."""
        floor = self._number << FILE_BITS
        for kind, slot in deleted:
            if slot.id >= floor:
                change.deleted.append((kind, slot))
            else:
                change.gone.append((kind, slot.id))
        for row in gaps_deleted + [gap.id for gap in gaps if 0 < gap.id < floor]:
            if row >= floor:
                change.gaps_deleted.append(row)
            else:
                change.gone.append(("gap", row))
        change.gaps = [
            gap if gap.id >= floor else replace(gap, id=self.next_ids(1)) for gap in gaps
        ]
        if self._finished:
            number = self._finished[0]
            change.gone_done = number << FILE_BITS, ((number + 1) << FILE_BITS) - 1
        self.current.write(change)
        if self._finished:
            del self._finished[0]
        for gone, row in change.gone:
            older = self._older.get(row >> FILE_BITS)
            if older is not None:
                older.left[gone] -= 1
                if older.is_empty:
                    self._remove(older)
        return [gap.id for gap in change.gaps]

    def page(self, priority: Priority, after: int, limit: int, max_bytes: int) -> list[Stored]:
        """The oldest messages above `after`, of the oldest file that has any."""
        return self._first(
            priority, after, lambda store, above: store.page(priority, above, limit, max_bytes)
        )

    def oldest(self, priority: Priority, after: int, limit: int) -> list[Slot]:
        """Where the oldest messages above `after` are, ditto."""
        return self._first(
            priority, after, lambda store, above: store.oldest(priority, above, limit)
        )

    def size(self, priority: Priority) -> int:
        """What messages of a class take, also those of older files."""
        stores = [self.current, *(older.store for older in self._older.values())]
        return sum(store.tallies[priority].bytes for store in stores)

    def fail(self, error: StoreError) -> None:
        """The file that is written is not to be written any more, but can perhaps be read."""
        if self._current is None or error.trouble == "full":
            return
        self._failed.add(self._number)
        left: dict[Kind, int] = {name: t.count for name, t in self._current.tallies.items()}
        left["gap"] = _UNKNOWN  # it stays as long as this process
        self._older[self._number] = _Older(self._number, self._current, left)
        self._current = None

    def drop_unreadable(self, number: int, error: StoreError) -> dict[Kind, int]:
        """Give up one of the older files: it cannot be read. Returns what was in it."""
        older = self._older.pop(number)
        older.store.abandon()
        self._failed.add(older.number)
        if error.trouble == "damaged":
            with contextlib.suppress(OSError):  # nor renamed: the disk itself has failed
                self._set_aside(self.path / f"outbox-{older.number}.db", error)
        return older.left

    def close(self) -> None:
        """Close all. Never raises."""
        if self._current is not None:
            self._current.close()
            self._current = None
        for older in self._older.values():
            older.store.abandon()
        self._older.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _choose(self, fresh: dict[int, Found]) -> None:
        """The newest file is written, if it can be; else one more."""
        newest = max(store_files(self.path), default=0)
        if newest in fresh and newest > max(self._older, default=0):
            found = fresh[newest]
            self._number, self._current = newest, found.store
            self._next_id = max(found.last_id, newest << FILE_BITS) + 1
        else:
            if len(self._failed) >= _MAX_FAILED:
                raise StoreError("failed", "too many files failed; restart to try again")
            self._begin(max(newest, *self._failed, *self._older, 0) + 1)
        for number, found in fresh.items():
            if number != self._number:
                self._older[number] = _Older(number, found.store, found.left)
        self._older = dict(sorted(self._older.items()))
        self._leave_out_gone(fresh)
        for older in list(self._older.values()):
            if older.is_empty:
                self._remove(older)

    def _leave_out_gone(self, fresh: dict[int, Found]) -> None:
        """What newer files say of older ones; from now on the one that is written knows all."""
        gone = {row: kind for found in fresh.values() for kind, row in found.gone}
        known: set[int] = set()
        if self._number in fresh:
            known = {row for _, row in fresh[self._number].gone}
        learnt: list[tuple[Kind, int]] = []
        for row, kind in gone.items():
            number = row >> FILE_BITS
            if number in fresh:
                fresh[number].left[kind] = max(0, fresh[number].left[kind] - 1)
                if row not in known:
                    learnt.append((kind, row))
            elif number not in self._older and number not in self._finished:
                self._finished.append(number)
        if learnt:
            self.current.write(Change(gone=learnt))
        for found in fresh.values():
            found.gaps = [gap for gap in found.gaps if gap.id not in gone]
            found.states = [state for state in found.states if state.id not in gone]

    def _first(
        self, priority: Priority, after: int, read: Callable[[Store, int], list[_Row]]
    ) -> list[_Row]:
        """What is read above `after` of the oldest file that has any, without what is gone."""
        for older in self._older.values():
            if older.left[priority] <= 0:
                continue
            above = max(after, older.passed[priority])
            while rows := self._read(older, lambda store: read(store, above)):  # noqa: B023  called at once
                gone = self._gone_of(older.number, rows[0].id, rows[-1].id)
                if there := [row for row in rows if row.id not in gone]:
                    return there
                if above <= older.passed[priority]:
                    older.passed[priority] = rows[-1].id
                above = rows[-1].id
        return [] if self._current is None else read(self._current, after)

    def _gone_of(self, number: int, first: int, last: int) -> set[int]:
        """Rows of an older file that are deleted in fact: the files after it know."""
        gone: set[int] = set() if self._current is None else self._current.gone_between(first, last)
        for older in self._older.values():
            if older.number > number:
                gone |= self._read(older, lambda store: store.gone_between(first, last))
        return gone

    def _read(self, older: _Older, read: Callable[[Store], _T]) -> _T:
        try:
            return read(older.store)
        except StoreError as error:
            error.older = older.number
            raise

    def _begin(self, number: int) -> None:
        file = self.path / f"outbox-{number}.db"
        try:
            self._current = self._open_store(file)
            sync_folder(self.path)
        except (OSError, StoreError):
            if self._current is not None:
                self._current.abandon()
                self._current = None
            _unlink(file)  # nothing is in it yet
            raise
        self._number = number
        self._next_id = (number << FILE_BITS) + 1

    def _try(self, file: Path) -> Found | None:
        store: Store | None = None
        try:
            store = self._open_store(file)
            return _examine(store)
        except StoreError as error:
            if store is not None:
                store.abandon()
            if error.trouble in ("damaged", "foreign"):
                self._set_aside(file, error)
                return None
            raise

    def _give_up(self, fresh: dict[int, Found], error: StoreError) -> NoReturn:
        for number, found in fresh.items():
            found.store.abandon()
            self._older.pop(number, None)
        self._current = None
        raise error

    def _set_aside(self, file: Path, error: StoreError) -> None:
        aside = sorted(self.path.glob(f"*.{_ASIDE}"), key=lambda path: path.stat().st_mtime_ns)
        for old in aside[: len(aside) + 1 - _MAX_ASIDE]:
            _unlink(old)
        there = file.with_suffix(f".{_ASIDE}")
        for end in _ENDS:
            with contextlib.suppress(FileNotFoundError):
                file.with_name(file.name + end).rename(there.with_name(there.name + end))
        self._log.warning(
            "a file of the outbox was set aside: it cannot be used",
            file=str(there),
            problem=str(error),
        )

    def _remove(self, older: _Older) -> None:
        older.store.abandon()
        del self._older[older.number]
        _unlink(self.path / f"outbox-{older.number}.db")
        self._finished.append(older.number)

    def _take_lock(self) -> None:
        if self._lock >= 0:
            return
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StoreError("full", f"another process uses '{self.path}'") from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock


def _unlink(file: Path) -> None:
    for end in _ENDS:
        with contextlib.suppress(OSError):
            file.with_name(file.name + end).unlink(missing_ok=True)
