"""The durable outbox where trouble comes at a bad moment: failed files, bugs, a memory too small."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock, MonotonicClock
from edgeapp.uplink.disk.journal import FIRST_PAUSE_S
from edgeapp.uplink.disk.ledger import Ledger
from edgeapp.uplink.disk.sqlite_store import SqliteStore
from edgeapp.uplink.disk.store import Change, Stored, StoreError
from edgeapp.uplink.outbox import Entry
from edgeapp.uplink.wall_clock import WallClock
from tests.uplink.outboxes import check_sum, drain, message, number_of, outbox, wall
from tests.uplink.parts import ListLog


class Fragile(SqliteStore):
    """Its disk fails when told to, for writing or for reading."""

    no_write = no_read = False

    def write(self, change: Change) -> None:
        self.at_write(change)
        if self.no_write:
            raise StoreError("failed", "cannot be written")
        super().write(change)

    def at_write(self, change: Change) -> None:
        """Whatever a test wants to see or do then."""

    def page(self, *arguments: object) -> list[Stored]:
        if self.no_read:
            raise StoreError("failed", "cannot be read")
        return super().page(*arguments)  # type: ignore[arg-type]  # passed through


class Files:
    """Opens the files of an outbox, and knows them."""

    def __init__(self, run: int = 1) -> None:
        self.run = run
        self.opened: list[Fragile] = []

    def __call__(self, path: Path) -> Fragile:
        self.opened.append(Fragile(path, self.run))
        return self.opened[-1]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(10**12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


def numbers(entries: list[Entry]) -> list[int]:
    return [number_of(entry) for entry in entries if entry.message.topic != "gap"]


def fail(files: Files, clock: FakeClock, step: Callable[[], object]) -> None:
    """The file that is written takes no more, and a new one takes its place."""
    files.opened[-1].no_write = True
    step()
    clock.advance(FIRST_PAUSE_S)
    step()


def test_what_was_settled_of_a_failed_file_is_not_sent_again(
    folder: Path, clock: FakeClock
) -> None:
    """Also where one before it was not, so that the file is read from there once more."""
    files = Files()
    box = outbox(folder, clock, open_store=files)
    for n in range(30):
        box.put(message(n, clock, "critical"))
    box.step()
    box.put(message(30, clock, "critical"))
    fail(files, clock, box.step)
    clock.advance(6)
    box.divide()
    box.take_backlog(1)
    box.step()
    first, *others = box.take_backlog(20)
    for entry in others:
        box.settle(entry.key)
    clock.advance(1.0)
    box.step()  # by now the disk knows that they are settled
    box.give_back()
    assert numbers(drain(box, clock)) == [number_of(first), *range(20, 31)]
    check_sum(box.statistics())
    assert box.statistics().waiting == 0
    box.close()
    assert numbers(drain(outbox(folder, clock, run=2), clock)) == []


def test_what_a_failed_file_knows_of_an_older_one_is_not_forgotten(
    folder: Path, clock: FakeClock
) -> None:
    files = Files()
    box = outbox(folder, clock, open_store=files)
    for n in range(20):
        box.put(message(n, clock, "critical"))
    box.step()
    box.put(message(20, clock, "critical"))
    fail(files, clock, box.step)
    for entry in box.take(10):
        box.settle(entry.key)
    clock.advance(1.0)
    box.step()  # noted in the second file
    box.put(message(21, clock, "critical"))
    fail(files, clock, box.step)
    box.close()
    for run in (2, 3):
        box = outbox(folder, clock, run=run)
        box.step()
        assert box.statistics().waiting == 12
        box.close()
    assert numbers(drain(outbox(folder, clock, run=4), clock)) == list(range(10, 22))


def test_of_a_topic_in_two_files_the_newest_state_is_the_one_that_stays_live(
    folder: Path, clock: FakeClock
) -> None:
    files = Files()
    box = outbox(folder, clock, open_store=files)
    for n in range(2):
        box.put(message(n, clock, "critical", topic="door", retain=True))
        if n == 0:
            box.step()
    fail(files, clock, box.step)
    box.close()
    box = outbox(folder, clock, run=2)
    box.step()
    box.divide()
    assert numbers(box.take(10)) == [1]
    box.close()


def test_the_file_that_cannot_be_read_is_given_up_and_no_other(
    folder: Path, clock: FakeClock
) -> None:
    """What of it is in memory is written anew; only what was there alone is lost, and counted."""
    files = Files()
    box = outbox(folder, clock, open_store=files)
    for n in range(10):
        box.put(message(n, clock, "bulk"))
    clock.advance(6)
    box.step()
    box.put(message(10, clock, "critical"))
    fail(files, clock, box.step)
    for n in range(11, 20):
        box.put(message(n, clock, "critical"))
    box.step()
    box.put(message(20, clock, "critical"))
    fail(files, clock, box.step)
    clock.advance(10)
    box.divide()
    files.opened[1].no_read = True
    assert sorted(numbers(drain(box, clock))) == [*range(10), 20]
    check_sum(box.statistics())
    assert box.statistics().dropped == {"disk": 10}
    box.close()


def test_what_is_in_memory_of_a_file_that_cannot_be_read_is_not_lost(
    folder: Path, clock: FakeClock
) -> None:
    files = Files()
    box = outbox(folder, clock, open_store=files, max_messages=8)
    for n in range(20):
        box.put(message(n, clock, "critical"))
        box.step()
    fail(files, clock, box.step)
    box.put(message(20, clock, "critical"))
    box.step()
    in_flight = box.take(3)
    files.opened[0].no_read = True
    lost = 21 - len(in_flight) - len(numbers(drain(box, clock)))
    for entry in in_flight:
        box.settle(entry.key)
    now = box.statistics()
    check_sum(now)
    assert now.dropped == {"disk": lost}
    assert 0 < lost < 18
    assert now.waiting == now.in_flight == 0
    box.close()


def test_a_bug_in_the_journal_is_said_and_ends_nothing(folder: Path) -> None:
    """Whatever of it fails: here, reading."""

    class Buggy(SqliteStore):
        pages = 0

        def page(self, *arguments: object) -> list[Stored]:
            Buggy.pages += 1
            if Buggy.pages == 1:
                raise ZeroDivisionError("a bug")
            return super().page(*arguments)  # type: ignore[arg-type]  # passed through

    log = ListLog()
    waited = threading.Event()

    class NoPauses(MonotonicClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            waited.set()
            return super().wait(event, min(timeout_s, 0.01))

    clock = NoPauses()
    first = outbox(folder, clock, wall=WallClock(clock, boot="b"))  # type: ignore[arg-type]
    for n in range(5):
        first.put(message(n, clock, "critical"))  # type: ignore[arg-type]
    first.close()
    box = outbox(
        folder,
        clock,  # type: ignore[arg-type]
        run=2,
        wall=WallClock(clock, boot="b"),
        log=log,
        open_store=lambda path: Buggy(path, 2),
    )
    box.start()
    came: list[int] = []
    while len(came) < 5:
        for entry in box.take_backlog(10):
            came.append(number_of(entry))
            box.settle(entry.key)
        waited.clear()
        waited.wait(1.0)
    assert came == list(range(5))
    assert ("crashed", "outbox") in [(event, facts.get("what")) for event, facts in log.events]
    assert box.close() == 0


def ledger(clock: FakeClock, max_messages: int) -> Ledger:
    return Ledger(
        boot="b", device="dev", clock=clock, max_messages=max_messages, max_message_bytes=100
    )


def test_memory_that_fills_while_the_journal_is_about_to_sleep_keeps_it_awake(
    clock: FakeClock,
) -> None:
    box = ledger(clock, 8)
    box.put(message(0, clock, "bulk"))
    clock.advance(6)
    box.written(box.collect({"bulk": 1000}, clock.now_ns()), 1, [])
    for n in range(3):
        box.put(message(n, clock, "bulk"))
    assert box.sleep_until() <= clock.now_ns()


def test_a_commit_tells_of_no_drop_that_comes_while_it_is_made(clock: FakeClock) -> None:
    """What is dropped then is deleted by the next commit only, which tells of it, too."""
    box = ledger(clock, 2)
    for n in range(3):
        box.put(message(n, clock, "bulk"))
    batch = box.collect({"bulk": 1000}, clock.now_ns(), everything=True)
    box.put(message(4, clock, "bulk"))
    assert [gap.count for gap in batch.gaps_then] == [1]
    box.written(batch, 1, [7])
    again = box.collect({}, clock.now_ns(), everything=True)
    assert [(gap.id, gap.count) for gap in again.gaps_then] == [(7, 2)]


def test_every_message_is_counted_in_the_midst_of_a_commit_too(
    folder: Path, clock: FakeClock
) -> None:
    """Also the one that tells of a gap, which can be sent once it is written."""
    sums: list[int] = []

    class Asking(SqliteStore):
        def write(self, change: Change) -> None:
            now = box.statistics()
            check_sum(now)
            sums.append(now.offered)
            super().write(change)

    box = outbox(folder, clock, open_store=lambda path: Asking(path, 1), max_messages=2)
    for n in range(5):
        box.put(message(n, clock, "bulk"))
    box.take(1)
    box.step()
    box.step()
    assert sums[-1] == 5
    assert box.statistics().offered == 6
    box.close()


def test_states_that_do_not_fit_into_memory_are_left_to_the_disk(
    folder: Path, clock: FakeClock
) -> None:
    bounds = {"max_messages": 1000, "max_bytes": 8000, "max_message_bytes": 2000}
    box = outbox(folder, clock, **bounds)
    for n in range(40):
        box.put(message(n, clock, "critical", 1500, topic=f"state/{n}", retain=True))
        box.step()
    assert box.statistics().waiting_bytes <= 8000
    assert sorted(numbers(drain(box, clock))) == list(range(40))
    assert not box.statistics().dropped
    box.close()


def test_a_purge_of_many_takes_several_commits(folder: Path, clock: FakeClock) -> None:
    """So that memory holds a part of them at a time, and each commit ends soon."""
    deleted: list[int] = []

    class Watched(SqliteStore):
        def write(self, change: Change) -> None:
            deleted.append(len(change.deleted))
            super().write(change)

    box = outbox(folder, clock, open_store=lambda path: Watched(path, 1), max_messages=20)
    for n in range(400):
        box.put(message(n, clock, "bulk", 25_000))
        if n % 10 == 9:
            clock.advance(5)
            box.step()
    deleted.clear()
    assert box.purge(["bulk"]) == 400
    assert sum(deleted) >= 380
    assert max(deleted) < 200
    assert box.statistics().waiting == 0
    check_sum(box.statistics())
    box.close()


def test_a_disk_that_takes_no_changes_is_read_no_further_than_memory_may_note(
    folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent has to be remembered until it can be deleted."""
    monkeypatch.setattr("edgeapp.uplink.disk.ledger._MAX_DELETED", 300)
    first = outbox(folder, clock)
    for n in range(2000):
        first.put(message(n, clock, "critical"))
    first.close()
    files = Files(2)
    box = outbox(folder, clock, run=2, open_store=files)
    box.step()
    files.opened[0].no_write = True
    box.put(message(2000, clock, "critical"))
    box.step()
    assert 300 <= len(drain(box, clock)) < 1200
    check_sum(box.statistics())
    clock.advance(400)
    box.step()
    drain(box, clock)
    assert box.statistics().waiting == 0
    box.close()


def test_what_is_surely_too_old_is_dropped_where_its_boot_is_unknown(
    folder: Path, clock: FakeClock
) -> None:
    """It is older than this boot: as sure as the wire says it, too."""
    first = outbox(folder, clock, wall=wall(clock, synced=False))
    first.put(message(0, clock, "critical", ttl_s=900.0))
    first.put(message(1, clock, "critical", ttl_s=1100.0))
    first.close()
    box = outbox(folder, clock, run=2, wall=wall(clock, "boot-2", synced=False))
    assert numbers(drain(box, clock)) == [1]
    assert box.statistics().dropped == {"expired": 1}
    box.close()
