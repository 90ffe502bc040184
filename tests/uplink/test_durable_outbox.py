import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Priority
from edgeapp.uplink.disk.journal import FIRST_PAUSE_S, DiskLimits
from edgeapp.uplink.disk.sqlite_store import SqliteStore
from edgeapp.uplink.disk.store import Change, Stored, StoreError
from edgeapp.uplink.disk.store_reader import StoreReader
from edgeapp.uplink.outbox import Entry, Key
from tests.uplink.outboxes import (
    check_sum,
    drain,
    kill,
    message,
    number_of,
    outbox,
    space,
    wall,
)
from tests.uplink.parts import ListLog


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(10**12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


def numbers(entries: list[Entry]) -> list[int]:
    return [number_of(entry) for entry in entries if entry.message.topic != "gap"]


def gaps(entries: list[Entry]) -> list[dict[str, object]]:
    return [msgspec.json.decode(e.message.body) for e in entries if e.message.topic == "gap"]


@pytest.mark.parametrize(("priority", "linger_s"), [("critical", 0), ("normal", 1), ("bulk", 5)])
def test_a_message_is_written_once_it_has_lingered(
    folder: Path, clock: FakeClock, priority: Priority, linger_s: float
) -> None:
    box = outbox(folder, clock)
    box.put(message(1, clock, priority))
    if linger_s:
        clock.advance(linger_s - 0.01)
        box.step()
        assert box.statistics().committed == 0
        clock.advance(0.01)
    box.step()
    assert box.statistics().committed == 1
    box.close()


def test_what_is_acknowledged_in_time_is_never_written(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock)
    for n in range(1000):
        box.put(message(n, clock))
        (entry,) = box.take(1)
        clock.advance(0.5)
        box.step()
        box.settle(entry.key)
    clock.advance(10)
    box.step()
    box.close()
    assert (box.statistics().committed, box.statistics().settled) == (0, 1000)


def test_what_was_written_is_replayed_by_the_next_run_with_its_id(
    folder: Path, clock: FakeClock, tmp_path: Path
) -> None:
    box = outbox(folder, clock, run=7)
    for n in range(600):
        box.put(message(n, clock))
    clock.advance(1)
    box.step()
    box.put(message(600, clock))  # not yet written
    there = tmp_path / "after"
    kill(box, folder, there)
    box = outbox(there, clock, run=8)
    taken = drain(box, clock)
    assert numbers(taken) == list(range(600))
    assert [entry.key for entry in taken] == [Key(7, n + 1) for n in range(600)]
    assert all(entry.replay for entry in taken)
    now = box.statistics()
    assert (now.found, now.settled, now.waiting) == (600, 600, 0)
    box.close()


def test_a_stop_loses_nothing(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock)
    for n in range(10):
        box.put(message(n, clock))
    box.take(3)
    assert box.close() == 0
    assert box.statistics().dropped == {}
    assert not box.put(message(11, clock))
    again = outbox(folder, clock, run=2)
    assert sorted(numbers(drain(again, clock))) == list(range(10))
    again.close()


def test_what_is_settled_does_not_come_back(folder: Path, clock: FakeClock, tmp_path: Path) -> None:
    box = outbox(folder, clock)
    for n in range(50):
        box.put(message(n, clock))
    clock.advance(1)
    box.step()
    for entry in box.take(20):
        box.settle(entry.key)
    clock.advance(1)
    box.step()
    kill(box, folder, tmp_path / "after")
    box = outbox(tmp_path / "after", clock, run=2)
    assert numbers(drain(box, clock)) == list(range(20, 50))
    box.close()


def test_a_full_quota_evicts_the_oldest_and_one_message_says_which(
    folder: Path, clock: FakeClock, tmp_path: Path
) -> None:
    limits = DiskLimits(10**9, 100_000, 10**9, 0)
    box = outbox(folder, clock, limits=limits)
    for n in range(1000):
        box.put(message(n, clock, size=200))
        clock.advance(0.1)
        box.step()
    # Neither a kill nor a stop makes it forget.
    kill(box, folder, tmp_path / "a")
    box = outbox(tmp_path / "a", clock, run=2, limits=limits)
    box.step()
    box.close()
    box = outbox(tmp_path / "a", clock, run=3, limits=limits)
    taken = drain(box, clock)
    kept = numbers(taken)
    assert kept == list(range(kept[0], 1000))
    assert gaps(taken) == [
        {
            "schema": "edgeapp/gap/1",
            "reason": "full",
            "priority": "normal",
            "count": kept[0],
            "first": "dev/1/1",
            "last": f"dev/1/{kept[0]}",
        }
    ]
    assert 300 * len(kept) < 100_000 + 10_000
    box.close()


def test_a_disk_short_of_space_loses_the_lowest_class_first(folder: Path, clock: FakeClock) -> None:
    free = 10**9
    box = outbox(folder, clock, statvfs=lambda _: space(free), limits=DiskLimits())
    for n in range(300):
        box.put(message(n, clock, ("bulk", "normal", "critical")[n % 3], size=3000))
    clock.advance(5)
    box.step()
    box.divide()  # to the disk
    box.give_back()
    free = 64_000_000  # all the room that is to be left
    for n in range(300, 330):
        box.put(message(n, clock, "critical", size=3000))
    box.step()
    assert set(box.statistics().dropped) == {"full"}
    taken = drain(box, clock)
    assert {gap["priority"] for gap in gaps(taken)} == {"bulk"}
    assert [n for n in numbers(taken) if n % 3 == 2 or n >= 300] == sorted(
        n for n in range(330) if n % 3 == 2 or n >= 300
    )
    box.close()


def test_without_room_messages_stay_in_memory_and_are_written_later(
    folder: Path, clock: FakeClock
) -> None:
    free = 0
    log = ListLog()
    box = outbox(
        folder,
        clock,
        statvfs=lambda _: space(free),
        limits=DiskLimits(),
        log=log,
    )
    for n in range(10):
        box.put(message(n, clock, "critical"))
    box.step()
    now = box.statistics()
    assert (now.committed, now.waiting, now.dropped) == (0, 10, {})
    assert "less room" in now.problem
    free = 10**9
    clock.advance(FIRST_PAUSE_S)
    box.step()
    assert (box.statistics().committed, box.statistics().problem) == (10, "")
    assert [event for event, _ in log.events] == [
        "messages are kept in memory alone: the disk does not take them",
        "messages are kept on the disk again",
    ]
    box.close()


def test_a_file_that_is_full_is_a_problem_and_no_loss(folder: Path, clock: FakeClock) -> None:
    """SQLITE_FULL, by a bound on its pages: the same file is written again when there is room."""
    pages = 64
    box = outbox(folder, clock, open_store=lambda path: SqliteStore(path, 1, max_pages=pages))
    for n in range(100):
        box.put(message(n, clock, "critical", size=900))
        box.step()
        clock.advance(400)
    now = box.statistics()
    assert "full" in now.problem
    assert 0 < now.committed < 100
    check_sum(now)
    taken = []
    box.divide()
    for _ in range(20):
        for entry in box.take(20) + box.take_backlog(20):
            taken.append(number_of(entry))
            box.settle(entry.key)
        clock.advance(400)
        box.step()
    assert sorted(taken) == list(range(100))
    assert box.statistics().problem == ""
    assert [path.name for path in folder.glob("*.db")] == ["outbox-1.db"]
    box.close()


class Brittle(SqliteStore):
    """Its disk fails when told to."""

    broken = False

    def write(self, change: Change) -> None:
        if self.broken:
            raise StoreError("failed", "disk I/O error")
        super().write(change)


def test_after_an_error_of_the_disk_a_new_file_is_begun_and_the_old_one_only_read(
    folder: Path, clock: FakeClock, tmp_path: Path
) -> None:
    opened: list[Brittle] = []

    def open_store(path: Path) -> Brittle:
        opened.append(Brittle(path, 1))
        return opened[-1]

    box = outbox(folder, clock, open_store=open_store)
    for n in range(10):
        box.put(message(n, clock, "critical"))
    box.step()
    box.give_back()
    box.divide()
    clock.advance(6)
    box.divide()  # the ten are on the disk alone
    opened[0].broken = True
    for n in range(10, 20):
        box.put(message(n, clock, "critical"))
    box.step()
    assert "I/O" in box.statistics().problem
    assert box.statistics().waiting == 20
    before = (folder / "outbox-1.db").read_bytes(), (folder / "outbox-1.db-wal").read_bytes()
    clock.advance(FIRST_PAUSE_S)
    box.step()
    assert box.statistics().problem == ""
    assert box.statistics().committed == 20
    assert [entry.key.number for entry in box.take_backlog(3)] == []
    box.step()
    for entry in box.take_backlog(3):
        box.settle(entry.key)
    clock.advance(1)
    box.step()
    assert before == (
        (folder / "outbox-1.db").read_bytes(),
        (folder / "outbox-1.db-wal").read_bytes(),
    )
    kill(box, folder, tmp_path / "after")
    box = outbox(tmp_path / "after", clock, run=2)
    assert numbers(drain(box, clock)) == list(range(3, 20))
    assert [path.name for path in (tmp_path / "after").glob("*.db")] == ["outbox-2.db"]
    assert box.statistics().waiting == 0
    box.close()


def test_a_closed_outbox_does_not_touch_a_file_that_failed(folder: Path, clock: FakeClock) -> None:
    opened: list[Brittle] = []

    def open_store(path: Path) -> Brittle:
        opened.append(Brittle(path, 1))
        opened[-1].broken = len(opened) > 1
        return opened[-1]

    box = outbox(folder, clock, open_store=open_store)
    box.put(message(1, clock, "critical"))
    box.step()
    before = (folder / "outbox-1.db").read_bytes(), (folder / "outbox-1.db-wal").read_bytes()
    opened[0].broken = True
    box.put(message(2, clock, "critical"))
    box.step()
    assert box.close() == 1
    assert box.statistics().dropped == {"stopped": 1}
    check_sum(box.statistics())
    assert before == (
        (folder / "outbox-1.db").read_bytes(),
        (folder / "outbox-1.db-wal").read_bytes(),
    )


def test_a_second_process_with_the_same_folder_keeps_messages_in_memory(
    folder: Path, clock: FakeClock
) -> None:
    first, second = outbox(folder, clock), outbox(folder, clock, run=2)
    first.step()
    second.put(message(1, clock, "critical"))
    second.step()
    assert "another process" in second.statistics().problem
    assert second.statistics().committed == 0
    first.close()
    clock.advance(FIRST_PAUSE_S)
    second.step()
    assert second.statistics().committed == 1
    second.close()


@pytest.mark.parametrize("kind", ["nonsense", "foreign", "newer"])
def test_a_file_that_is_not_ours_is_set_aside(folder: Path, clock: FakeClock, kind: str) -> None:
    folder.mkdir()
    file = folder / "outbox-3.db"
    if kind == "nonsense":
        file.write_bytes(b"no database at all" * 1000)
    else:
        db = sqlite3.connect(file)
        db.execute("CREATE TABLE t(x)")
        if kind == "newer":
            db.execute("PRAGMA application_id=0x45444745")
            db.execute("PRAGMA user_version=99")
        db.commit()
        db.close()
    log = ListLog()
    box = outbox(folder, clock, log=log)
    box.put(message(1, clock, "critical"))
    box.step()
    assert box.statistics().committed == 1
    assert box.statistics().problem == ""
    assert "set aside" in log.events[0][0]
    assert (folder / "outbox-3.damaged").is_file()
    box.close()


def test_what_outlives_its_time_is_dropped_and_told(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock)
    box.put(message(1, clock, ttl_s=60.0))
    box.put(message(2, clock))
    clock.advance(6)
    box.step()
    box.divide()
    clock.advance(60)
    taken = drain(box, clock)
    assert numbers(taken) == [2]
    (gap,) = gaps(taken)
    assert (gap["reason"], gap["count"], gap["first"]) == ("expired", 1, "dev/1/1")
    box.close()


@pytest.mark.parametrize("synced", [True, False])
def test_time_to_live_spans_boots_where_time_is_known(
    folder: Path, clock: FakeClock, synced: bool
) -> None:
    """A later boot: its monotonic clock begins anew, its wall clock is an hour later."""
    box = outbox(folder, clock, wall=wall(clock, synced=synced))
    box.put(message(1, clock, "critical", ttl_s=60.0))
    box.step()
    box.close()
    later = FakeClock(10**9)
    then = wall(later, "boot-2")
    then._wall_ns = lambda: 1_790_000_000 * 10**9 + 10**12 + 3600 * 10**9 + later.now_ns()
    box = outbox(folder, later, run=2, wall=then)
    taken = drain(box, later)
    assert numbers(taken) == ([] if synced else [1])
    assert all(entry.boot == "boot-1" for entry in taken if entry.message.topic != "gap")
    box.close()


def test_what_is_refused_is_kept_aside_with_its_reason(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock)
    for n in range(3):
        box.put(message(n, clock, "critical"))
    for entry in box.take(2):
        box.refuse(entry.key, "quota exceeded")
    clock.advance(1)
    box.step()
    assert box.statistics().dead == 2
    assert box.statistics().dropped == {"refused": 2}
    box.close()
    again = outbox(folder, clock, run=2)
    again.step()
    assert again.statistics().dead == 2
    assert again.statistics().waiting == 1
    again.close()


def test_the_newest_state_of_each_topic_stays_live_the_older_ones_are_replayed(
    folder: Path, clock: FakeClock
) -> None:
    box = outbox(folder, clock)
    for n in range(6):
        box.put(message(n, clock, topic=f"state/{n % 2}", retain=True))
    clock.advance(6)
    box.step()
    box.close()
    again = outbox(folder, clock, run=2)
    again.step()
    again.divide()
    live = again.take(10)
    assert numbers(live) == [4, 5]
    assert not any(entry.replay for entry in live)
    again.give_back()
    again.put(message(6, clock, topic="state/0", retain=True))
    clock.advance(6)
    again.divide()
    assert numbers(again.take(10)) == [5, 6]
    again.step()
    again.take_backlog(10)
    again.step()
    assert numbers(again.take_backlog(10)) == [0, 1, 2, 3, 4]
    again.close()


def test_live_messages_that_do_not_fit_into_memory_become_backlog(
    folder: Path, clock: FakeClock
) -> None:
    box = outbox(folder, clock, max_messages=100)
    for n in range(1000):
        box.put(message(n, clock))
        box.step()
    now = box.statistics()
    assert now.dropped == {}
    assert now.backlog >= 900
    assert sorted(numbers(drain(box, clock))) == list(range(1000))
    box.close()


def test_purging_removes_what_waits_of_a_class(folder: Path, clock: FakeClock) -> None:
    box = outbox(folder, clock, max_messages=50)
    for n in range(300):
        box.put(message(n, clock, ("bulk", "normal")[n % 2]))
        clock.advance(0.1)
        box.step()
    assert box.purge(["bulk"]) == 150
    check_sum(box.statistics())
    assert box.statistics().dropped == {"purged": 150}
    taken = drain(box, clock)
    assert sorted(numbers(taken)) == list(range(1, 300, 2))
    assert gaps(taken) == []
    box.close()


def test_a_damaged_message_is_dropped_and_told_and_the_others_are_sent(
    folder: Path, clock: FakeClock
) -> None:
    box = outbox(folder, clock)
    for n in range(10):
        box.put(message(n, clock, "critical"))
    box.step()
    box.close()
    db = sqlite3.connect(folder / "outbox-1.db")
    db.execute('UPDATE critical SET body = CAST(\'{"n":77,"pad":""}\' AS BLOB) WHERE number = 5')
    db.commit()
    db.close()
    box = outbox(folder, clock, run=2)
    taken = drain(box, clock)
    assert numbers(taken) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    (gap,) = gaps(taken)
    assert (gap["reason"], gap["count"], gap["first"]) == ("disk", 1, "dev/1/5")
    box.close()


def test_runs_of_which_nothing_is_left_are_forgotten(folder: Path, clock: FakeClock) -> None:
    """But for those of which a message waits, or was refused."""
    for run in range(1, 30):
        box = outbox(folder, clock, run=run, wall=wall(clock, f"boot-{run}"))
        box.put(message(run, clock, "critical"))
        box.step()
        for entry in box.take(1) + (drain(box, clock) if run < 20 else []):
            if run == 5:
                box.refuse(entry.key, "no")
            else:
                box.settle(entry.key)
        if run >= 20:
            box.put(message(run, clock, "critical"))
        box.close()
    with StoreReader(folder) as reader:
        runs, offsets = reader.boots()
    assert sorted(runs) == [5, *range(20, 30)]
    assert offsets.keys() == set(runs.values())


def test_the_thread_does_it_too(folder: Path) -> None:
    from edgeapp.core.clock import MonotonicClock

    clock = MonotonicClock()
    fake = FakeClock()
    box = outbox(folder, clock, wall=wall(fake))  # type: ignore[arg-type]  # a real one
    box.start()
    for n in range(100):
        box.put(message(n, fake, "bulk"))
    assert box.close() == 0
    assert box.statistics().committed == 100


def test_a_store_counts_and_sizes_what_is_in_it(folder: Path, clock: FakeClock) -> None:
    folder.mkdir()
    store = SqliteStore(folder / "outbox-1.db", 1)
    store.write(
        Change(
            added=[
                Stored(n, Key(1, n), message(n, clock, size=5000), "normal", 6000)
                for n in range(1, 11)
            ]
        )
    )
    assert store.tallies["normal"].count == 10
    assert len(store.page("normal", 0, 100, 20_000)) < 10
    assert [slot.id for slot in store.oldest("normal", 7, 2)] == [8, 9]
    store.close()


def test_a_gap_that_was_being_told_is_told_again_by_the_same_message(
    folder: Path, clock: FakeClock
) -> None:
    limits = DiskLimits(10**9, 12_000, 10**9, 0)
    box = outbox(folder, clock, limits=limits)
    for n in range(20):
        box.put(message(n, clock, size=3000))
    clock.advance(1)
    box.step()
    box.take(0)
    box.step()
    (gap, *_) = box.take(1)
    assert gap.message.topic == "gap"
    box.close()
    again = outbox(folder, clock, run=2, limits=limits)
    again.step()
    (same, *_) = again.take(1)
    assert (same.key, same.message) == (gap.key, gap.message)
    again.close()


def test_sqlite_is_loaded_when_a_file_is_opened() -> None:
    code = "import sys, edgeapp.uplink.durable_outbox; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
