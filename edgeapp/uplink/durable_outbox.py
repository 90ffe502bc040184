"""The outbox whose messages outlive the process and the power: lanes in memory, a store on disk."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgeapp.core.clock import Clock
from edgeapp.core.context import Log
from edgeapp.core.message import Priority
from edgeapp.uplink.disk.journal import DiskLimits, Journal
from edgeapp.uplink.disk.ledger import Ledger
from edgeapp.uplink.disk.store import Store
from edgeapp.uplink.disk.store_folder import OpenStore, StoreFolder
from edgeapp.uplink.outbox import OutboxStatistics
from edgeapp.uplink.wall_clock import WallClock

CLOSE_S = 5.0
"""How long `close` waits for the disk."""
PURGE_S = 10.0


class DurableOutbox(Ledger):
    """An outbox that keeps on disk what the broker has not acknowledged within its linger.

    `committed` of its statistics counts the messages of this run that are durable, in the order of
    each class: where all are of one class, the first `committed` ones are on the disk.

    Ids are made of the device's present name: the store keeps run and number alone. A device that
    is renamed sends what it kept under its new name, in topics and ids alike.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run: int,
        clock: Clock,
        wall: WallClock,
        log: Log,
        device: str = "",
        limits: DiskLimits | None = None,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
        open_store: OpenStore | None = None,
        max_messages: int = 20_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_message_bytes: int = 1024 * 1024,
    ) -> None:
        """Prepare; the disk is not touched before `start` or `step`.

        `limits`: of the disk. The bounds are those of the memory, as of a `MemoryOutbox`.
        `statvfs`: asks for the free space. `open_store`: an SQLite file unless given.
        """
        super().__init__(
            boot=wall.boot,
            run=run,
            device=device,
            clock=clock,
            ages=wall,
            max_messages=max_messages,
            max_bytes=max_bytes,
            max_message_bytes=max_message_bytes,
        )
        self._journal = Journal(
            self,
            StoreFolder(folder, open_store or _opener(run), log),
            clock=clock,
            wall=wall,
            log=log,
            limits=limits or DiskLimits(),
            statvfs=statvfs,
        )

    def start(self) -> None:
        """Start the thread that writes and reads the store. Call once, unless `step` is called."""
        self._journal.start()

    def step(self) -> None:
        """Do what is due by the clock, on the calling thread: for tests with a fake clock."""
        self._journal.step()

    def purge(self, priorities: Sequence[Priority], *, dead: bool = False) -> int:
        """Remove what waits of these classes, and what was refused; returns how many messages.

        What is in flight stays. Waits for the disk: not for the event loop.

        Raises:
            TimeoutError: the disk did not do it in time.
        """
        return self._journal.purge(tuple(priorities), dead=dead, timeout_s=PURGE_S)

    def close(self) -> int:
        """Refuse what comes, write what there is; returns how many messages are lost. Idempotent.

        Waits for the disk, for CLOSE_S at most. Only what could not be written is lost.
        """
        with self._lock:
            if self._closed:
                return 0
            self._closed = True
            self._give_back()
        self._journal.stop(CLOSE_S)
        return self._lose_unwritten()

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""
        return replace(
            super().statistics(),
            bytes_written=self._journal.bytes_written,
            dead=self._journal.dead,
        )


def _opener(run: int) -> OpenStore:
    def open_store(path: Path) -> Store:
        from edgeapp.uplink.disk.sqlite_store import SqliteStore

        return SqliteStore(path, run)

    return open_store
