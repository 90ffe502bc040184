"""An outbox in a process of its own: it is offered messages until the power is cut, or recovers."""

import json
import mmap
import random
import shutil
import sqlite3
import struct
import threading
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from edgeapp.core.clock import FakeClock, MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.disk import sqlite_store
from edgeapp.uplink.disk.journal import DiskLimits
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.wall_clock import WallClock
from tests.faults.forks import serve
from tests.uplink.parts import ListLog

HURRY = 100
"""So much faster goes the clock of the outbox: cuts come before, at and after each of its times."""
MARK_BYTES = 8
MOST_AHEAD = 2_000
"""Messages that may wait for their commit; beyond, the outbox would drop some as it must."""
MOST_OFFERED = 8_000
"""In one life: its disk is small, and the cut may be late where the machine is busy."""


class HurriedClock(MonotonicClock):
    """Goes faster than time."""

    @staticmethod
    def now_ns() -> int:
        return time.monotonic_ns() * HURRY

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(max(0.0, timeout_s / HURRY))


class CarelessConnection(sqlite3.Connection):
    """Syncs nothing, whatever it is told."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *values)


def offer(
    folder: str,
    run: int,
    mark: str,
    classes: list[Priority],
    limits: dict[str, int],
    log_bytes: int,
    *,
    careless: bool,
) -> None:
    """Offer messages for ever, and keep in the file `mark` how many are committed.

    `log_bytes`: after so many the log is checkpointed.
    """
    if careless:
        careless_connect: Any = partial(sqlite3.connect, factory=CarelessConnection)
        sqlite3.connect = careless_connect
    sqlite_store._LOG_BYTES = log_bytes
    clock, chance, counts = HurriedClock(), random.Random(run), Counter[Priority]()
    outbox = DurableOutbox(
        Path(folder),
        run=run,
        clock=clock,
        wall=WallClock(clock),
        log=ListLog(),
        device="dev",
        limits=DiskLimits(**limits),
    )
    outbox.start()
    offered = 0
    with Path(mark).open("r+b") as file, mmap.mmap(file.fileno(), MARK_BYTES) as memory:
        while True:
            for _ in range(chance.randrange(1, 50) if offered < MOST_OFFERED else 0):
                priority = chance.choice(classes)
                counts[priority] += 1
                offered += outbox.put(_message(priority, run, counts[priority], chance))
            while (committed := outbox.statistics().committed) < offered - MOST_AHEAD:
                struct.pack_into("Q", memory, 0, committed)
                time.sleep(0.0005)
            struct.pack_into("Q", memory, 0, committed)
            if offered >= MOST_OFFERED:
                time.sleep(0.0005)


def _message(priority: Priority, run: int, n: int, chance: random.Random) -> Message:
    pad = chance.randrange(400) if chance.random() < 0.97 else chance.randrange(4_000, 40_000)
    body = {"run": run, "n": n, "pad": "x" * pad}
    topic = f"{priority}/{chance.randrange(3)}"
    return Message(
        topic,
        json.dumps(body).encode(),
        time.monotonic_ns() * HURRY,
        priority,
        retain=chance.random() < 0.1,
    )


def recover(folder: str, run: int, found: str) -> None:
    """Write to the file `found` what another start finds; all of it then counts as sent."""
    damaged = _damaged(Path(folder), Path(found).with_name("copy"))
    clock, log = FakeClock(time.monotonic_ns() * HURRY), ListLog()
    outbox = DurableOutbox(
        Path(folder),
        run=run,
        clock=clock,
        wall=WallClock(clock),
        log=log,
        device="dev",
        limits=DiskLimits(min_free_bytes=0),
    )
    entries = []
    idle = 0
    while idle < 10:
        outbox.step()
        taken = [*outbox.take(500), *outbox.take_backlog(500)]
        for key, message, _, replay in taken:
            entries.append([*key, message.topic, message.body.decode(), replay])
            outbox.settle(key)
        clock.advance(10)
        idle = 0 if taken else idle + 1
    outbox.close()
    damaged += [file.name for file in Path(folder).glob("*.damaged")]
    what = {"entries": entries, "damaged": damaged, "log": log.events}
    Path(found).write_text(json.dumps(what))


def _damaged(folder: Path, copy: Path) -> list[str]:
    """What SQLite finds wrong with each file: of copies, so that only the outbox repairs them."""
    shutil.rmtree(copy, ignore_errors=True)
    if not folder.exists():
        return []
    shutil.copytree(folder, copy)
    found = []
    for file in copy.glob("*.db"):
        with closing(sqlite3.connect(file)) as database:
            found += [row[0] for row in database.execute("PRAGMA integrity_check")]
    return [line for line in found if line != "ok"]


def work(order: str, **details: Any) -> None:
    """Do what is asked."""
    (offer if order == "offer" else recover)(**details)


if __name__ == "__main__":
    serve(work)
