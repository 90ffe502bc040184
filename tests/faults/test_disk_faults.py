"""The disk below the outbox is full, fails, hangs: messages stay in memory, and nobody waits."""

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.clock import Clock, FakeClock, MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk.journal import DiskLimits
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.outbox import Entry
from edgeapp.uplink.wall_clock import WallClock
from tests.faults.forks import Forks
from tests.servers.disk import Disk
from tests.servers.mosquitto import PATIENCE_S, wait_until
from tests.uplink.parts import ListLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MEMORY = 1_000
"""Messages that the outboxes here keep in memory."""
SMALL_MB = 8

TROUBLES: dict[str, Callable[[Disk], object]] = {
    "full": Disk.fill,
    "read-only": Disk.become_read_only,
    "failing": Disk.cut_power,
}

MakeDisk = Callable[..., Disk]
MakeOutbox = Callable[..., DurableOutbox]


class Numbered:
    """Messages that count themselves."""

    def __init__(self) -> None:
        self.offered = 0

    def offer(self, outbox: DurableOutbox, count: int, priority: Priority = "normal") -> None:
        for _ in range(count):
            self.offered += 1
            body = json.dumps({"n": self.offered, "pad": "x" * 200}).encode()
            outbox.put(Message("p/s", body, 0, priority))


@pytest.fixture
def make_outbox(clock: FakeClock) -> Iterator[MakeOutbox]:
    """Opens outboxes, with a memory for MEMORY messages."""
    with ExitStack() as outboxes:

        def make(disk: Disk, run: int = 1, clock: Clock = clock) -> DurableOutbox:
            outbox = DurableOutbox(
                disk.folder / "outbox",
                run=run,
                clock=clock,
                wall=WallClock(clock),
                log=ListLog(),
                device="dev",
                limits=DiskLimits(min_free_bytes=0),
                max_messages=MEMORY,
            )
            outboxes.callback(outbox.close)
            return outbox

        yield make


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(10**12)


def go_on(outbox: DurableOutbox, clock: FakeClock, steps: int = 5) -> None:
    """Let the time pass that the outbox lets a failed disk rest."""
    for _ in range(steps):
        clock.advance(400)
        outbox.step()


def drain(outbox: DurableOutbox, clock: FakeClock) -> list[Entry]:
    """All that waits, in the order in which it would be sent."""
    found: list[Entry] = []
    idle = 0
    while idle < 5:
        outbox.step()
        taken = [*outbox.take(100), *outbox.take_backlog(100)]
        for entry in taken:
            outbox.settle(entry.key)
        clock.advance(10)
        found += taken
        idle = 0 if taken else idle + 1
    return found


def check_all_is_there(found: list[Entry], offered: int) -> int:
    """Each message is there, in order, or told in a gap; returns how many were told."""
    said: list[dict[str, Any]] = [json.loads(entry.message.body) for entry in found]
    told: int = sum(gap["count"] for gap in said if "count" in gap)
    ns = [body["n"] for body in said if "n" in body]
    assert ns == sorted(set(ns))
    assert len(ns) + told == offered
    return told


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_in_memory_outlives_the_trouble(
    make_disk: MakeDisk, make_outbox: MakeOutbox, clock: FakeClock, trouble: str
) -> None:
    """It is said, memory is used alone, and what is in it goes to the disk that comes next."""
    disk = make_disk(size_mb=SMALL_MB)
    outbox, messages = make_outbox(disk), Numbered()
    messages.offer(outbox, 100)
    go_on(outbox, clock)
    assert outbox.statistics().committed == 100
    TROUBLES[trouble](disk)
    while not outbox.statistics().problem:  # a file may have some room left on a full disk
        messages.offer(outbox, 10)
        go_on(outbox, clock, 1)
    safe = outbox.statistics().committed
    messages.offer(outbox, 100)
    go_on(outbox, clock)
    assert outbox.statistics().problem
    assert outbox.statistics().committed == safe
    if trouble == "full":
        disk.empty()
    else:
        disk.replace_with(make_disk("b"))
    go_on(outbox, clock)
    assert not outbox.statistics().problem
    assert outbox.statistics().committed == messages.offered
    assert outbox.close() == 0
    found = drain(make_outbox(disk, run=2), clock)
    if trouble == "full":
        assert check_all_is_there(found, messages.offered) == 0
    else:  # the first ones were on the other disk, and are in this one if they were in memory
        ns = [json.loads(entry.message.body)["n"] for entry in found]
        assert ns[-1] == messages.offered
        assert ns == list(range(ns[0], messages.offered + 1))
        assert ns[0] <= safe + 1


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_in_memory_is_sent_though_the_disk_is_in_trouble(
    make_disk: MakeDisk, make_outbox: MakeOutbox, clock: FakeClock, trouble: str
) -> None:
    """Also what is on that disk as well: nobody knows whether it can be read again."""
    disk = make_disk(size_mb=SMALL_MB)
    outbox, messages = make_outbox(disk), Numbered()
    messages.offer(outbox, 300)
    go_on(outbox, clock)
    assert outbox.statistics().committed == 300
    TROUBLES[trouble](disk)
    while not outbox.statistics().problem:
        messages.offer(outbox, 10)
        go_on(outbox, clock, 1)
    clock.advance(10)
    outbox.divide()  # the broker is back
    found = drain(outbox, clock)
    assert check_all_is_there(found, messages.offered) == 0
    assert not outbox.statistics().dropped


def test_a_file_that_was_only_begun(
    make_disk: MakeDisk, make_outbox: MakeOutbox, clock: FakeClock
) -> None:
    """The power failed while it was made: it is made now, and not taken for somebody else's."""
    disk = make_disk()
    folder = disk.folder / "outbox"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "outbox-1.db")) as begun:
        begun.execute("PRAGMA journal_mode=WAL")
    outbox, messages = make_outbox(disk), Numbered()
    messages.offer(outbox, 10)
    go_on(outbox, clock)
    assert outbox.statistics().committed == 10
    assert not list(folder.glob("*.damaged"))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_memory_is_bounded_meanwhile(
    make_disk: MakeDisk, make_outbox: MakeOutbox, clock: FakeClock, trouble: str
) -> None:
    """The oldest of the lowest class go, and a gap says exactly which, once there is a disk."""
    disk = make_disk(size_mb=SMALL_MB)
    outbox, messages = make_outbox(disk), Numbered()
    go_on(outbox, clock)
    TROUBLES[trouble](disk)
    most = 0
    for _ in range(5 * MEMORY // 100):
        messages.offer(outbox, 100)
        go_on(outbox, clock, 1)
        most = max(most, outbox.statistics().waiting)
    assert outbox.statistics().problem
    assert most <= MEMORY + 100  # a full disk may have taken some
    if trouble == "full":
        disk.empty()
    else:
        disk.replace_with(make_disk("b"))
    go_on(outbox, clock)
    assert not outbox.statistics().problem
    assert outbox.close() == 0
    assert check_all_is_there(drain(make_outbox(disk, run=2), clock), messages.offered) > 0


def test_nobody_waits_for_a_disk_that_hangs(
    make_disk: MakeDisk, make_outbox: MakeOutbox, clock: FakeClock
) -> None:
    """Every call but `close` returns while the disk answers nothing; all is written afterwards."""
    disk = make_disk()
    outbox, messages = make_outbox(disk, clock=MonotonicClock()), Numbered()
    outbox.start()
    messages.offer(outbox, 10, "critical")
    wait_until(lambda: outbox.statistics().committed == 10, "the first ones are committed")
    refused = 0

    def use() -> None:
        nonlocal refused
        for _ in range(20):
            messages.offer(outbox, 10, "critical")
            first, second, *_ = outbox.take(10)
            outbox.settle(first.key)
            outbox.retry(second.key)
            outbox.divide()
            for entry in outbox.take_backlog(1):
                outbox.refuse(entry.key, "not today")
                refused += 1
            outbox.give_back()
            outbox.next_number()

    with disk.frozen():
        user = threading.Thread(target=use, daemon=True)
        user.start()
        user.join(PATIENCE_S)
        assert not user.is_alive(), "a call waits for the disk"
        hung = outbox.statistics()
        assert hung.committed == 10
        assert hung.offered == messages.offered
    wait_until(lambda: outbox.statistics().committed >= messages.offered - 20, "it is written")
    assert outbox.close() == 0
    found = drain(make_outbox(disk, run=2), clock)
    assert len({entry.key for entry in found}) == len(found) == messages.offered - 20 - refused


SYNC = re.compile(r"f(?:data)?sync\(\d+<(?P<file>[^>]+)>\) += (?P<result>-?\d+)")


def test_no_sync_is_tried_again_on_a_file_that_failed(
    make_disk: MakeDisk, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    """The second one may claim success though the data is gone: the kernel dropped it.

    A cut may hit a write first, which leaves nothing to sync: then one more disk is cut off.
    """
    strace = system_program("strace", "strace")
    failed: set[tuple[int, str]] = set()
    for attempt in range(8):
        calls = tmp_path / f"calls-{attempt}"
        cut_off_traced(strace, make_disk(f"a{attempt}"), make_disk(f"b{attempt}"), calls)
        for line in calls.read_text(errors="replace").splitlines():
            if sync := SYNC.search(line):
                assert (attempt, sync["file"]) not in failed, line
                if sync["result"] != "0":
                    failed.add((attempt, sync["file"]))
        if failed:
            return
    pytest.fail("no sync failed")


def cut_off_traced(strace: str, disk: Disk, spare: Disk, calls: Path) -> None:
    """An outbox loses its disk and gets another; what it wrote and synced is in `calls`."""
    mark = calls.with_suffix(".mark")
    mark.write_bytes(bytes(8))

    def committed() -> int:
        return int.from_bytes(mark.read_bytes(), "little")

    what = "trace=fsync,fdatasync,write,pwrite64,ftruncate,openat"
    with Forks(
        "outbox_to_cut.py", under=[strace, "-f", "-y", "-e", what, "-o", str(calls)]
    ) as forks:
        forks.start(
            order="offer",
            folder=str(disk.folder / "outbox"),
            run=1,
            mark=str(mark),
            classes=["critical", "normal"],
            limits={"min_free_bytes": 0},
            log_bytes=32 * 1024,
            careless=False,
        )
        wait_until(lambda: committed() > 500, "commits")
        disk.cut_power()
        wait_until(lambda: "EIO" in calls.read_text(errors="replace"), "the disk fails")
        before = committed()
        time.sleep(0.5)  # 50 s on the clock of the outbox: it tries again
        disk.replace_with(spare)
        wait_until(lambda: committed() > before + 500, "commits to the other disk")
        forks.kill()
