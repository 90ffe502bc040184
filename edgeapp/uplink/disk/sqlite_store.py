"""Messages in an SQLite file: a write-ahead log that is synced at every commit.

The log is checkpointed by us, not by SQLite: it would ignore an error of the disk there, sync
again, and take the success of that for the truth.
"""

import contextlib
import ctypes
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edgeapp.core.message import Priority
from edgeapp.uplink.disk.sqlite_rows import COLUMNS, row_of, stored_of, text_or_similar, told
from edgeapp.uplink.disk.store import (
    MAX_DEAD,
    MAX_DEAD_BYTES,
    PAGE_BYTES,
    Change,
    Kind,
    Slot,
    Stored,
    StoreError,
    Tally,
    stored_size,
)
from edgeapp.uplink.gaps import Gap
from edgeapp.uplink.outbox import PRIORITIES, Key
from edgeapp.uplink.wall_clock import Offset

APPLICATION_ID = 0x45444745  # "EDGE"
VERSION = 1

_LOG_BYTES = 4 * 1024 * 1024
_SHRINK_PAGES = 1024  # so few at a time that a commit need not wait for long
_SPARE_PAGES = 2048  # left in the file for what comes next
_CHANGE_BYTES = 8 * 1024  # beside the messages, in pages that each commit changes

_MESSAGE = """
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, number INTEGER NOT NULL,
    retain INTEGER NOT NULL, binary INTEGER NOT NULL, taken_ns INTEGER NOT NULL, ttl_s REAL,
    crc INTEGER NOT NULL, content_type TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL
"""
_SCHEMA = [
    *(f"CREATE TABLE {name}({_MESSAGE})" for name in PRIORITIES),
    *(f"CREATE INDEX {name}_retained ON {name}(topic, id) WHERE retain" for name in PRIORITIES),
    "CREATE TABLE tally(class TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "CREATE TABLE run(run INTEGER PRIMARY KEY, boot TEXT NOT NULL)",
    "CREATE TABLE boot(boot TEXT PRIMARY KEY, offset_ns INTEGER NOT NULL, synced INTEGER NOT NULL)",
    """CREATE TABLE gap(
    id INTEGER PRIMARY KEY, class TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    first_run INTEGER NOT NULL, first_number INTEGER NOT NULL,
    last_run INTEGER NOT NULL, last_number INTEGER NOT NULL,
    run INTEGER NOT NULL, number INTEGER NOT NULL, taken_ns INTEGER NOT NULL)""",
    """CREATE TABLE dead(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, number INTEGER NOT NULL, class TEXT NOT NULL,
    taken_ns INTEGER NOT NULL, content_type TEXT NOT NULL, topic TEXT NOT NULL,
    reason TEXT NOT NULL, body BLOB NOT NULL)""",
    "CREATE TABLE gone(id INTEGER PRIMARY KEY, class TEXT NOT NULL)",
    *(f"INSERT INTO tally VALUES ('{name}', 0, 0)" for name in PRIORITIES),  # noqa: S608  a constant
]
_SIZE = "length(topic) + length(content_type) + length(body)"

_NO_CHECKPOINT_ON_CLOSE = 1006  # sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, as of Python 3.12


class SqliteStore:
    """One file. `max_pages` bounds it, for tests."""

    def __init__(self, path: Path, run: int, *, max_pages: int | None = None) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: it cannot be opened, is damaged, or is not ours.
        """
        self.path = path
        self._run = run
        self._log_bytes = 0
        self.tallies = {name: Tally() for name in PRIORITIES}
        self._dead_bytes = 0
        self.dead_count = 0
        with told():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        self._db.text_factory = text_or_similar
        try:
            with told():
                self._open(max_pages)
        except BaseException:
            self.abandon()
            raise

    def _open(self, max_pages: int | None) -> None:
        run = self._db.execute
        if self._number("schema_version") == 0:  # new, or the power failed while it was made
            run(f"PRAGMA page_size={PAGE_BYTES}")
            run("PRAGMA auto_vacuum=INCREMENTAL")
        elif self._number("application_id") != APPLICATION_ID:
            raise StoreError("foreign", f"'{self.path.name}' is no outbox")
        elif self._number("user_version") != VERSION:
            raise StoreError("foreign", f"'{self.path.name}' is of another version of edgeapp")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA wal_autocheckpoint=0")
        run("PRAGMA cache_size=-1024")
        run("PRAGMA temp_store=MEMORY")
        run("PRAGMA trusted_schema=OFF")
        if max_pages is not None:
            run(f"PRAGMA max_page_count={max_pages}")
        if self._number("user_version") == 0:
            with self._transaction():
                for statement in _SCHEMA:
                    run(statement)
                run(f"PRAGMA application_id={APPLICATION_ID}")
                run(f"PRAGMA user_version={VERSION}")
        for name, count, size in run("SELECT class, count, bytes FROM tally"):
            tally = self.tallies[name]
            tally.count, tally.bytes = int(count), int(size)
        row = run(f"SELECT count(*), total({_SIZE}) FROM dead").fetchone()  # noqa: S608  a constant
        self.dead_count, self._dead_bytes = row[0], int(row[1])

    def write(self, change: Change) -> None:
        """Commit a change; it is durable when this returns."""
        before = {name: (tally.count, tally.bytes) for name, tally in self.tallies.items()}
        dead = self.dead_count, self._dead_bytes
        try:
            with told(), self._transaction():
                self._write(change)
        except BaseException:
            for name, (count, size) in before.items():
                self.tallies[name] = Tally(count, size)
            self.dead_count, self._dead_bytes = dead
            raise
        self._log_bytes += _CHANGE_BYTES + 2 * sum(stored.size for stored in change.added)
        self._log_bytes += sum(len(dead.message.body) for dead in change.dead)
        self._log_bytes += 64 * len(change.deleted)

    def _write(self, change: Change) -> None:
        many = self._db.executemany
        boot = change.boot
        if boot is not None:
            self._forget_runs()
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (self._run, boot[0]))
            if boot[1] is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO boot VALUES (?, ?, ?)", (boot[0], *boot[1])
                )
        self._write_messages(change)
        many(
            "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    g.id,
                    g.priority,
                    g.reason,
                    g.count,
                    *g.first,
                    *g.last,
                    g.run,
                    g.number,
                    g.taken_ns,
                )
                for g in change.gaps
            ],
        )
        many("DELETE FROM gap WHERE id = ?", [(gap,) for gap in change.gaps_deleted])
        many("INSERT OR IGNORE INTO gone(class, id) VALUES (?, ?)", change.gone)
        if change.gone_done is not None:
            self._db.execute("DELETE FROM gone WHERE id BETWEEN ? AND ?", change.gone_done)
        if change.clear_dead:
            self._db.execute("DELETE FROM dead")
            self.dead_count = self._dead_bytes = 0
        if change.dead:
            self._bury(change)

    def _forget_runs(self) -> None:
        """Those of which nothing is left: a device may be started without end."""
        run = self._db.execute
        firsts = [
            "SELECT min(run) FROM gap WHERE number",
            *(f"SELECT run FROM {name} ORDER BY id LIMIT 1" for name in PRIORITIES),  # noqa: S608  a constant
        ]
        found = [run(query).fetchone() for query in firsts]
        oldest = min((row[0] for row in found if row and row[0] is not None), default=self._run)
        run("DELETE FROM run WHERE run < ? AND run NOT IN (SELECT run FROM dead)", (oldest,))
        run("DELETE FROM boot WHERE boot NOT IN (SELECT boot FROM run)")

    def _write_messages(self, change: Change) -> None:
        many = self._db.executemany
        # What goes makes room for what comes.
        for priority, slot in change.deleted:
            self.tallies[priority].count -= 1
            self.tallies[priority].bytes -= slot.size
        for name in PRIORITIES:
            rows = [(slot.id,) for priority, slot in change.deleted if priority == name]
            many(f"DELETE FROM {name} WHERE id = ?", rows)  # noqa: S608  a constant
        for stored in change.added:
            self.tallies[stored.priority].count += 1
            self.tallies[stored.priority].bytes += stored.size
        for name in PRIORITIES:
            added = map(row_of, (stored for stored in change.added if stored.priority == name))
            many(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", added)  # noqa: S608  a constant
        changed = {stored.priority for stored in change.added}
        changed |= {priority for priority, _ in change.deleted}
        for name in changed:
            tally = self.tallies[name]
            self._db.execute(
                "UPDATE tally SET count = ?, bytes = ? WHERE class = ?",
                (tally.count, tally.bytes, name),
            )

    def _bury(self, change: Change) -> None:
        self._db.executemany(
            "INSERT INTO dead VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (*key, m.priority, m.taken_ns, m.content_type, m.topic, reason, m.body)
                for key, m, reason in change.dead
            ],
        )
        self.dead_count += len(change.dead)
        self._dead_bytes += sum(len(dead.message.body) for dead in change.dead)
        if self.dead_count <= MAX_DEAD and self._dead_bytes <= MAX_DEAD_BYTES:
            return
        doomed = []
        for row, size in self._db.execute(f"SELECT id, {_SIZE} FROM dead ORDER BY id"):  # noqa: S608  a constant
            if self.dead_count <= MAX_DEAD and self._dead_bytes <= MAX_DEAD_BYTES:
                break
            doomed.append((row,))
            self.dead_count -= 1
            self._dead_bytes -= size
        self._db.executemany("DELETE FROM dead WHERE id = ?", doomed)

    def page(self, priority: Priority, after: int, limit: int, max_bytes: int) -> list[Stored]:
        """The oldest messages with an id above `after`: up to a number and, but for one, size."""
        found: list[Stored] = []
        size = 0
        with told():
            rows = self._db.execute(
                f"SELECT {COLUMNS} FROM {priority} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  a constant
                (after, limit),
            )
            for row in rows:
                found.append(stored_of(priority, row))
                size += found[-1].size
                if size >= max_bytes:
                    break
            rows.close()
        return found

    def oldest(self, priority: Priority, after: int, limit: int) -> list[Slot]:
        """Where the oldest messages with an id above `after` are."""
        with told():
            rows = self._db.execute(
                f"SELECT id, run, number, {_SIZE} FROM {priority} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  a constant
                (after, limit),
            ).fetchall()
        return [Slot(row[0], Key(row[1], row[2]), stored_size(int(row[3] or 0))) for row in rows]

    def last_id(self) -> int:
        """The highest id in it; 0: it is empty."""
        tables = (*PRIORITIES, "gap")
        with told():
            return max(
                self._db.execute(f"SELECT max(id) FROM {name}").fetchone()[0] or 0  # noqa: S608  a constant
                for name in tables
            )

    def newest_retained(self, priority: Priority, limit: int, max_bytes: int) -> list[Stored]:
        """The newest retained message of each topic: up to a number and, but for one, size."""
        found: list[Stored] = []
        size = 0
        topic: str | None = ""
        with told():
            # From topic to topic by the index, as there may be very many messages of each.
            while len(found) < limit and size < max_bytes:
                topic = self._db.execute(
                    f"SELECT min(topic) FROM {priority} WHERE retain AND topic > ?",  # noqa: S608  a constant
                    (topic,),
                ).fetchone()[0]
                if not isinstance(topic, str):
                    break
                row = self._db.execute(
                    f"SELECT {COLUMNS} FROM {priority} WHERE retain AND topic = ?"  # noqa: S608  a constant
                    " ORDER BY id DESC LIMIT 1",
                    (topic,),
                ).fetchone()
                found.append(stored_of(priority, row))
                size += found[-1].size
        return sorted(found)

    def boots(self) -> tuple[dict[int, str], dict[str, Offset]]:
        """The boot of each run, and the offsets of boots as far as they are known."""
        with told():
            runs = dict(self._db.execute("SELECT run, boot FROM run").fetchall())
            rows = self._db.execute("SELECT boot, offset_ns, synced FROM boot").fetchall()
        return runs, {boot: Offset(offset, bool(synced)) for boot, offset, synced in rows}

    def gaps(self) -> list[Gap]:
        """All that is not yet told."""
        with told():
            return [
                Gap(row[1], row[2], row[3], Key(*row[4:6]), Key(*row[6:8]), row[0], *row[8:])
                for row in self._db.execute("SELECT * FROM gap ORDER BY id")
            ]

    def gone(self) -> list[tuple[Kind, int]]:
        """What `Change.gone` named."""
        with told():
            return self._db.execute("SELECT class, id FROM gone ORDER BY id").fetchall()

    def gone_between(self, first: int, last: int) -> set[int]:
        """The ids of it from `first` to `last`."""
        with told():
            rows = self._db.execute("SELECT id FROM gone WHERE id BETWEEN ? AND ?", (first, last))
            return {row[0] for row in rows}

    def tidy(self) -> None:
        """Move what was committed to where it stays, when there is enough of it."""
        if self._log_bytes >= _LOG_BYTES:
            self._checkpoint()

    def shrink(self) -> bool:
        """Give some of the room that is not used back to the disk; False: there is none."""
        with told():
            spare = self._number("freelist_count") - _SPARE_PAGES
            if spare <= 0:
                return False
            # Each row that is fetched is a page given back.
            self._db.execute(f"PRAGMA incremental_vacuum({min(spare, _SHRINK_PAGES)})").fetchall()
            self._checkpoint()
            return spare > _SHRINK_PAGES

    def spare_bytes(self) -> int:
        """Room in the file that is not used."""
        with told():
            return self._number("freelist_count") * PAGE_BYTES

    def file_bytes(self) -> int:
        """What it takes on the disk."""
        return sum(_size_of(self.path.with_name(self.path.name + end)) for end in ("", "-wal"))

    def close(self) -> None:
        """Close it in good order. Never raises."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def abandon(self) -> None:
        """Let go of a file that failed, without writing to it. Never raises."""
        if hasattr(self._db, "setconfig"):  # Python 3.12
            with contextlib.suppress(sqlite3.Error):
                self._db.setconfig(_NO_CHECKPOINT_ON_CLOSE)
                self._db.close()
        else:
            _immortal(self._db)

    def _checkpoint(self) -> None:
        with told():
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._log_bytes = 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise

    def _number(self, pragma: str) -> int:
        number: int = self._db.execute(f"PRAGMA {pragma}").fetchone()[0]
        return number


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _immortal(connection: sqlite3.Connection) -> None:
    """Keep it from ever being closed, which would sync the file again."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
