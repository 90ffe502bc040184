"""A look at the store of an outbox from outside: also while the application runs.

Files are only read, and what is seen may be a second old. Nothing is changed but by `purge`, which
needs the folder for itself.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeapp.core.message import Priority
from edgeapp.errors import Unavailable
from edgeapp.uplink.outbox import PRIORITIES, Key
from edgeapp.uplink.sqlite_store import APPLICATION_ID, VERSION, open_to_read, text_or_similar
from edgeapp.uplink.store_folder import LOCK, store_files
from edgeapp.uplink.wall_clock import Offset


@dataclass(frozen=True, slots=True)
class ClassView:
    """What waits of one class."""

    count: int = 0
    bytes: int = 0
    """Of the disk, in pages that are used."""
    oldest: "MessageView | None" = None


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message on the disk, with the beginning of its body."""

    priority: Priority
    key: Key
    topic: str
    taken_ns: int
    """Monotonic, in `boot`."""
    boot: str
    """Empty: not known."""
    size: int
    """Of the body, in bytes."""
    body: bytes
    """The beginning of it."""
    reason: str = ""
    """Why the broker refused it, where it did."""


@dataclass(frozen=True, slots=True)
class StoreView:
    """All that is in a folder."""

    classes: dict[Priority, ClassView]
    dead: int
    """Messages that the broker refused for good."""
    runs: tuple[int, ...]
    """Of which there may be messages, oldest first."""
    gaps: int
    """Drops of which the broker is not yet told."""
    file_bytes: int
    in_use: bool
    """An application has the folder."""
    unreadable: tuple[str, ...]
    """Files that could not be read, and those that were set aside as damaged."""
    offsets: dict[str, Offset]
    """Of boots, to turn `taken_ns` into wall time; see `WallClock.learn`."""


def status(folder: Path) -> StoreView:
    """What waits in a folder.

    Raises:
        Unavailable: the folder cannot be read.
    """
    counts = dict.fromkeys(PRIORITIES, 0)
    sizes = dict.fromkeys(PRIORITIES, 0)
    oldest: dict[Priority, MessageView] = {}
    runs: dict[int, str] = {}
    offsets: dict[str, Offset] = {}
    dead = gaps = 0
    unreadable = [path.name for path in folder.glob("*.damaged")]
    gone = _gone(folder)
    for path, db in _databases(folder, unreadable):
        with _reading(path, unreadable):
            runs |= dict(db.execute("SELECT run, boot FROM run").fetchall())
            for boot, offset_ns, synced in db.execute("SELECT boot, offset_ns, synced FROM boot"):
                offsets[boot] = Offset(offset_ns, bool(synced))
            for name, count, size in db.execute("SELECT class, count, bytes FROM tally"):
                counts[name] += count
                sizes[name] += size
            dead += db.execute("SELECT count(*) FROM dead").fetchone()[0]
            gaps += db.execute("SELECT count(*) FROM gap").fetchone()[0]
            for name in PRIORITIES:
                if name not in oldest:
                    found = _messages(db, name, 1, runs, gone, newest=False, head=0)
                    oldest |= dict.fromkeys([name] * len(found), *found)
    for name in PRIORITIES:
        counts[name] -= sum(1 for kind in gone.values() if kind == name)
    return StoreView(
        {name: ClassView(counts[name], sizes[name], oldest.get(name)) for name in PRIORITIES},
        dead,
        tuple(sorted(runs)),
        gaps,
        sum(path.stat().st_size for path in folder.glob("outbox-*.db*")),
        is_in_use(folder),
        tuple(unreadable),
        offsets,
    )


def peek(
    folder: Path,
    which: Priority | Literal["dead"],
    *,
    count: int = 10,
    newest: bool = False,
    head: int = 200,
) -> list[MessageView]:
    """The oldest or newest messages of a class, or of those that were refused.

    `head`: so many bytes of each body.

    Raises:
        Unavailable: the folder cannot be read.
    """
    found: list[MessageView] = []
    gone = _gone(folder)
    runs: dict[int, str] = {}
    for path, db in _databases(folder, [], newest=newest):
        with _reading(path, []):
            runs |= dict(db.execute("SELECT run, boot FROM run").fetchall())
            left = count - len(found)
            found += _messages(db, which, left, runs, gone, newest=newest, head=head)
    return found


def purge(folder: Path, priorities: tuple[Priority, ...], *, dead: bool = False) -> int:
    """Remove what waits of these classes, and what was refused; returns how many messages.

    Raises:
        Unavailable: an application uses the folder, which has to do it itself; or it failed.
    """
    count = 0
    try:
        with _locked(folder):
            for path in store_files(folder).values():
                with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                    if not _is_ours(db):
                        continue
                    db.execute("PRAGMA synchronous=FULL")
                    db.execute("BEGIN IMMEDIATE")
                    for name in (*priorities, *(("dead",) if dead else ())):
                        count += db.execute(f"DELETE FROM {name}").rowcount  # noqa: S608  a constant
                        db.execute("UPDATE tally SET count = 0, bytes = 0 WHERE class = ?", (name,))
                        db.execute("DELETE FROM gone WHERE class = ?", (name,))
                    db.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"the outbox in '{folder}' cannot be changed: {error}") from None
    return count


def is_in_use(folder: Path) -> bool:
    """Whether an application has the folder."""
    try:
        with _locked(folder):
            return False
    except (OSError, Unavailable):
        return (folder / LOCK).exists()


def _messages(
    db: sqlite3.Connection,
    which: Priority | Literal["dead"],
    count: int,
    runs: dict[int, str],
    gone: dict[int, str],
    *,
    newest: bool,
    head: int,
) -> list[MessageView]:
    name = "class" if which == "dead" else f"'{which}'"
    reason = "reason" if which == "dead" else "''"
    order = "DESC" if newest else "ASC"
    rows = db.execute(
        f"SELECT id, {name}, run, number, topic, taken_ns, length(body), substr(body, 1, ?),"  # noqa: S608  constants
        f" {reason} FROM {which} ORDER BY id {order}",
        (head,),
    )
    found: list[MessageView] = []
    for row, priority, run, number, topic, taken_ns, size, body, why in rows:
        if len(found) >= count:
            break
        if which != "dead" and row in gone:
            continue
        boot = runs.get(run, "")
        key = Key(run, number)
        found.append(MessageView(priority, key, topic, taken_ns, boot, size, bytes(body), why))
    return found


def _gone(folder: Path) -> dict[int, str]:
    """Rows of older files that are deleted in fact."""
    gone: dict[int, str] = {}
    for path, db in _databases(folder, []):
        with _reading(path, []):
            gone |= dict(db.execute("SELECT id, class FROM gone").fetchall())
    return gone


def _databases(
    folder: Path, unreadable: list[str], *, newest: bool = False
) -> Iterator[tuple[Path, sqlite3.Connection]]:
    try:
        files = list(store_files(folder).values())
    except OSError as error:
        raise Unavailable(f"there is no outbox in '{folder}': {error.strerror}") from None
    for path in reversed(files) if newest else files:
        with contextlib.ExitStack() as stack:
            db = None
            with _reading(path, unreadable):
                db = stack.enter_context(contextlib.closing(open_to_read(path)))
                db.text_factory = text_or_similar
                if not _is_ours(db):
                    raise sqlite3.DatabaseError
            if db is not None:
                yield path, db


@contextlib.contextmanager
def _reading(path: Path, unreadable: list[str]) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, TypeError, ValueError, KeyError):
        if path.name not in unreadable:
            unreadable.append(path.name)


def _is_ours(db: sqlite3.Connection) -> bool:
    found = [
        db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("application_id", "user_version")
    ]
    return found == [APPLICATION_ID, VERSION]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"an application uses the outbox in '{folder}'") from None
        yield
    finally:
        os.close(lock)
