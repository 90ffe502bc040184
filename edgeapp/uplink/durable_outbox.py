"""The outbox whose messages outlive the process and the power: lanes in memory, a store on disk."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeapp.core.clock import Clock
from edgeapp.core.context import Log
from edgeapp.uplink.outbox import MemoryOutbox
from edgeapp.uplink.wall_clock import WallClock

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How much of the disk messages may take, by class."""

    critical_bytes: int = 64 * _MB
    normal_bytes: int = 128 * _MB
    bulk_bytes: int = 64 * _MB
    min_free_bytes: int = 64 * _MB
    """Left to others of the disk, whatever the quotas say."""


class DurableOutbox(MemoryOutbox):
    """An outbox that keeps on disk what the broker has not acknowledged within its linger.

    `committed` of its statistics counts the messages of this run that are durable, in the order of
    each class: where all are of one class, the first `committed` ones are on the disk.
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
        max_messages: int = 20_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_message_bytes: int = 1024 * 1024,
    ) -> None:
        """Prepare; the disk is not touched before `start` or `step`."""
        super().__init__(
            run=run,
            max_messages=max_messages,
            max_bytes=max_bytes,
            max_message_bytes=max_message_bytes,
        )

    def start(self) -> None:
        """Start the thread that writes and reads the store. Call once, unless `step` is called."""

    def step(self) -> None:
        """Do what is due by the clock, on the calling thread: for tests with a fake clock."""
