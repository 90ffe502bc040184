"""Durable outboxes on a fake clock: built, killed, drained."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk.journal import DiskLimits
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.outbox import Entry, OutboxStatistics
from edgeapp.uplink.wall_clock import WallClock
from tests.uplink.parts import ListLog

ROOMY = DiskLimits(10**9, 10**9, 10**9, 0)
FAST = Path("/dev/shm")


def wall(clock: FakeClock, boot: str = "boot-1", *, synced: bool = True) -> WallClock:
    """A wall clock of 2026 that moves with the fake one."""
    return WallClock(
        clock,
        boot=boot,
        wall_ns=lambda: 1_790_000_000 * 10**9 + clock.now_ns(),
        synchronised=lambda: synced,
    )


def outbox(folder: Path, clock: FakeClock, *, run: int = 1, **options: Any) -> DurableOutbox:
    """One that is stepped by the test."""
    defaults: dict[str, Any] = {
        "wall": wall(clock),
        "log": ListLog(),
        "device": "dev",
        "limits": ROOMY,
    }
    return DurableOutbox(folder, run=run, clock=clock, **{**defaults, **options})


def message(
    n: int, clock: FakeClock, priority: Priority = "normal", size: int = 10, **facts: Any
) -> Message:
    """The n-th one, which says so."""
    body = b'{"n":%d,"pad":"%b"}' % (n, b"x" * size)
    topic = facts.pop("topic", f"{priority}/t")
    return Message(topic, body, clock.now_ns(), priority, **facts)


def number_of(entry: Entry) -> int:
    """Which one it is, by `message`."""
    number: int = msgspec.json.decode(entry.message.body)["n"]
    return number


def kill(victim: DurableOutbox, folder: Path, there: Path) -> None:
    """What a kill -9 leaves of its folder is `there`; the victim is gone."""
    folder.mkdir(exist_ok=True)
    there.mkdir()
    for file in folder.iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, there / file.name)
    # Only now, as closing tidies up; it has no effect on the copy.
    victim.close()
    shutil.rmtree(folder)


def drain(
    box: DurableOutbox, clock: FakeClock, see: Callable[[Entry], object] = lambda _: None
) -> list[Entry]:
    """Take and settle all there is."""
    box.divide()
    taken: list[Entry] = []
    idle = 0
    while idle < 3:
        batch = box.take(20) + box.take_backlog(20)
        for entry in batch:
            see(entry)
            box.settle(entry.key)
        taken += batch
        idle = 0 if batch else idle + 1
        if not batch:
            clock.advance(1.0)
        box.step()
    return taken


def check_sum(now: OutboxStatistics) -> None:
    """Every message is in one place."""
    assert now.offered + now.found == (
        now.settled + sum(now.dropped.values()) + now.waiting + now.in_flight
    ), now


def space(free_bytes: int) -> os.statvfs_result:
    """Of a disk with so much free space."""
    blocks = free_bytes // 4096
    return os.statvfs_result((4096, 4096, 10**9, blocks, blocks, 0, 0, 0, 0, 255))
