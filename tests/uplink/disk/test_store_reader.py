"""A look into the files of an outbox."""

from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message
from edgeapp.uplink.disk.sqlite_store import SqliteStore
from edgeapp.uplink.disk.store import FILE_BITS, Change, Stored, disk_size
from edgeapp.uplink.disk.store_reader import StoreReader
from edgeapp.uplink.outbox import PRIORITIES, Key
from tests.uplink.outboxes import message, outbox


def write(folder: Path, number: int, run: int, count: int, *gone: int) -> None:
    """A file with so many messages of a run; `gone`: what is deleted of the first file."""
    store = SqliteStore(folder / f"outbox-{number}.db", run)
    added = []
    for n in range(1, count + 1):
        message = Message("p/s", b'{"n": %d}' % n, n)
        row = (number << FILE_BITS) + n
        added.append(Stored(row, Key(run, n), message, "normal", disk_size(message)))
    rows = [("normal", (1 << FILE_BITS) + n) for n in gone]
    store.write(Change(added=added, gone=rows))  # type: ignore[arg-type]  # a class is a str here
    store.close()


def keys(found: list[Stored]) -> list[tuple[int, int]]:
    return [tuple(stored.key) for stored in found]  # type: ignore[misc]  # a Key is a pair


def test_files_are_read_in_order_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    """After a disk failed, older files are only read; what is deleted of them is noted in the newest."""
    write(tmp_path, 1, 1, 4)
    write(tmp_path, 2, 2, 2, 1, 3)
    with StoreReader(tmp_path) as reader:
        assert keys(reader.messages("normal", 9)) == [(1, 2), (1, 4), (2, 1), (2, 2)]
        assert keys(reader.messages("normal", 3)) == [(1, 2), (1, 4), (2, 1)]
        assert keys(reader.messages("normal", 3, newest=True)) == [(1, 4), (2, 1), (2, 2)]
        whole = reader.waiting("normal")
        assert whole.count == 4
        assert whole.bytes == 4 * disk_size(Message("p/s", b'{"n": 1}', 1))
        assert reader.waiting("bulk").count == reader.dead_count() == 0


def test_what_each_file_knows_of_those_before_it_counts(tmp_path: Path) -> None:
    """A file that took the place of a failed one, and failed as well, is not written any more."""
    write(tmp_path, 1, 1, 4)
    write(tmp_path, 2, 2, 1, 1)
    write(tmp_path, 3, 3, 1, 3)
    with StoreReader(tmp_path) as reader:
        assert keys(reader.messages("normal", 9)) == [(1, 2), (1, 4), (2, 1), (3, 1)]
        assert reader.waiting("normal").count == 4


def test_an_outbox_in_use_is_seen_as_it_is(tmp_path: Path) -> None:
    clock = FakeClock(10**12)
    for run in (1, 2):
        box = outbox(tmp_path / "o", clock, run=run)
        for n in range(6):
            box.put(message(n, clock, PRIORITIES[n % 3]))
        box.put(message(9, clock, "critical", topic="refused/t"))
        for entry in box.take(3):
            if entry.message.topic == "refused/t":
                box.refuse(entry.key, "not authorised")
        clock.advance(6)
        box.step()
        if run == 1:
            box.close()
    with StoreReader(tmp_path / "o") as reader:
        assert [reader.waiting(name).count for name in PRIORITIES] == [4, 4, 4]
        assert keys(reader.messages("normal", 1)) == [(1, 2)]
        assert keys(reader.messages("normal", 1, newest=True)) == [(2, 5)]
        assert reader.dead_count() == 2
        (dead,) = reader.dead(1, newest=True)
        assert (dead.key.run, dead.message.topic, dead.reason) == (2, "refused/t", "not authorised")
        runs, offsets = reader.boots()
        assert runs == {1: "boot-1", 2: "boot-1"}
        assert offsets["boot-1"].synced
    box.close()


def test_files_that_cannot_be_used_are_named_and_the_others_read(tmp_path: Path) -> None:
    write(tmp_path, 1, 1, 2)
    (tmp_path / "outbox-2.db").write_bytes(b"x" * 4096)
    (tmp_path / "outbox-3.db").mkdir()
    (tmp_path / "outbox-0.damaged").write_bytes(b"y" * 10)
    (tmp_path / "notes.txt").write_text("not ours")
    with StoreReader(tmp_path) as reader:
        assert [(file.name, file.problem) for file in reader.files] == [
            ("outbox-1.db", ""),
            ("outbox-2.db", "file is not a database"),
            ("outbox-3.db", "Is a directory"),
            ("outbox-0.damaged", "set aside, as it is damaged"),
        ]
        assert len(reader.messages("normal", 9)) == 2


def test_a_folder_that_is_read_only_can_be_read(tmp_path: Path) -> None:
    """As root, who is not held up by modes, this shows the ordinary way."""
    write(tmp_path, 1, 1, 2)
    (tmp_path / "outbox-1.db").chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with StoreReader(tmp_path) as reader:
            assert len(reader.messages("normal", 9)) == 2
    finally:
        tmp_path.chmod(0o700)


def test_where_there_is_no_folder_that_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StoreReader(tmp_path / "none")
