"""A look into the outbox on the disk, beside whoever writes it, or while nobody does.

Nothing is changed: files are opened for reading alone, each question is one short transaction, and
what a crash left in the write-ahead log is read from there.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk.sqlite_rows import COLUMNS, stored_of, text_or_similar, told
from edgeapp.uplink.disk.sqlite_store import APPLICATION_ID, VERSION
from edgeapp.uplink.disk.store import Dead, Stored, StoreError, Tally
from edgeapp.uplink.disk.store_folder import store_files
from edgeapp.uplink.outbox import PRIORITIES, Key
from edgeapp.uplink.wall_clock import Offset

_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of the folder."""

    name: str
    size_bytes: int
    problem: str
    """Why it cannot be read; empty: it can."""


class _File(NamedTuple):
    number: int
    db: sqlite3.Connection


class StoreReader:
    """The outbox in a folder, as far as it can be read. A context manager; for one thread."""

    def __init__(self, folder: Path) -> None:
        """Open all files.

        Raises:
            OSError: the folder cannot be read; FileNotFoundError: there is none.
        """
        self.files: list[FileFacts] = []
        self._open_files: list[_File] = []
        self._gone: set[int] = set()
        for number, path in store_files(folder).items():
            self._open(number, path)
        for path in sorted(folder.glob("*.damaged")):
            self.files.append(FileFacts(path.name, _bytes(path), "set aside, as it is damaged"))
        for file in self._open_files:  # each knows of those before it
            with contextlib.suppress(StoreError), told():
                self._gone.update(row for (row,) in file.db.execute("SELECT id FROM gone"))

    def __enter__(self) -> Self:
        """Read."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        for file in self._open_files:
            file.db.close()

    def _open(self, number: int, path: Path) -> None:
        problem = ""
        try:
            self._open_files.append(_File(number, _connected(path)))
        except StoreError as error:
            problem = str(error)
        except OSError as error:
            problem = error.strerror or str(error)
        size_bytes = _bytes(path) + _bytes(path.with_name(path.name + "-wal"))
        self.files.append(FileFacts(path.name, size_bytes, problem))

    def waiting(self, priority: Priority) -> Tally:
        """How many messages of a class there are, and what they take."""
        whole = Tally()
        with told():
            for _, db in self._open_files:
                row = db.execute(
                    "SELECT count, bytes FROM tally WHERE class = ?", (priority,)
                ).fetchone()
                whole.count += int(row[0])
                whole.bytes += int(row[1])
            for _, stored in self._deleted(priority):
                whole.count -= 1
                whole.bytes -= stored.size
        return whole

    def messages(self, priority: Priority, limit: int, *, newest: bool = False) -> list[Stored]:
        """Up to so many messages of a class: the oldest, or the newest ones, oldest first."""
        order = "DESC" if newest else "ASC"
        found: list[Stored] = []
        with told():
            for _, db in reversed(self._open_files) if newest else self._open_files:
                rows = db.execute(f"SELECT {COLUMNS} FROM {priority} ORDER BY id {order}")  # noqa: S608  constants
                for row in rows:
                    if len(found) >= limit:
                        break
                    if row[0] not in self._gone:
                        found.append(stored_of(priority, row))
                rows.close()
        return found[::-1] if newest else found

    def dead(self, limit: int, *, newest: bool = False) -> list[Dead]:
        """Up to so many of those that the broker refused for good, in the order of refusal."""
        order = "DESC" if newest else "ASC"
        found: list[Dead] = []
        with told():
            for _, db in reversed(self._open_files) if newest else self._open_files:
                rows = db.execute(
                    "SELECT run, number, class, taken_ns, content_type, topic, reason, body"  # noqa: S608  constants
                    f" FROM dead ORDER BY id {order} LIMIT ?",
                    (limit - len(found),),
                ).fetchall()
                found += [_dead(row) for row in rows]
        return found[::-1] if newest else found

    def dead_count(self) -> int:
        """How many were refused."""
        with told():
            return sum(
                int(db.execute("SELECT count(*) FROM dead").fetchone()[0])
                for _, db in self._open_files
            )

    def boots(self) -> tuple[Mapping[int, str], Mapping[str, Offset]]:
        """The boot of each run, and the offsets of boots as far as they are known."""
        runs: dict[int, str] = {}
        offsets: dict[str, Offset] = {}
        with told():
            for _, db in self._open_files:
                runs |= dict(db.execute("SELECT run, boot FROM run").fetchall())
                for boot, offset_ns, synced in db.execute("SELECT * FROM boot"):
                    offsets[boot] = Offset(offset_ns, bool(synced))
        return runs, offsets

    def _deleted(self, priority: Priority) -> Iterator[tuple[int, Stored]]:
        """What is still in older files of a class, though it is deleted in fact."""
        for row in self._gone:
            for _, db in self._open_files[:-1]:
                found = db.execute(
                    f"SELECT {COLUMNS} FROM {priority} WHERE id = ?",  # noqa: S608  constants
                    (row,),
                ).fetchone()
                if found is not None:
                    yield row, stored_of(priority, found)


def _connected(path: Path) -> sqlite3.Connection:
    """A file, opened for reading.

    Raises:
        OSError: it cannot be read.
        StoreError: it is damaged, or no outbox.
    """
    path.open("rb").close()  # says more than SQLite does
    last = ""
    for how in _ways(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_PATIENCE_S, isolation_level=None
        )
        db.text_factory = text_or_similar
        try:
            with told():
                _check(db, path)
        except StoreError as error:
            db.close()
            if error.trouble != "failed":
                raise
            last = str(error)
        else:
            return db
    raise StoreError("failed", last)


def _ways(path: Path) -> Sequence[str]:
    """Without a log there is nobody who writes, and a folder that is read-only can be read so."""
    has_log = _bytes(path.with_name(path.name + "-wal")) > 0
    return ["mode=ro"] if has_log else ["mode=ro", "mode=ro&immutable=1"]


def _check(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError("foreign", f"'{path.name}' is no outbox")
    if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        raise StoreError("foreign", f"'{path.name}' is of another version of edgeapp")
    db.execute("PRAGMA trusted_schema=OFF")
    tallied = {name for (name,) in db.execute("SELECT class FROM tally")}
    if not tallied.issuperset(PRIORITIES):
        raise StoreError("damaged", f"'{path.name}' has lost its tallies")


def _dead(row: Sequence[Any]) -> Dead:
    run, number, priority, taken_ns, content_type, topic, reason, body = row
    message = Message(
        topic, bytes(body), taken_ns, priority, bool(content_type), content_type=content_type
    )
    return Dead(Key(run, number), message, reason)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
