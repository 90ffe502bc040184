"""Messages on the disk: the port that the journal writes to, and what travels through it."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from edgeapp.core.message import Message, Priority
from edgeapp.uplink.gaps import Gap
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import Offset

FILE_BITS = 44
"""An id is the number of its file, and below it so many bits that count within the file."""

MAX_DEAD = 1_000
MAX_DEAD_BYTES = 8 * 1024 * 1024
"""Of what the broker refused for good; the oldest go."""

Trouble = Literal["full", "failed", "damaged", "foreign"]
"""What is wrong with a file: no room, which may pass; it cannot be written any more, or no longer
trusted to be; what is in it makes no sense; it is of another program or of a later version."""


Kind = Priority | Literal["gap"]
"""What has an id of its own in a file."""


class StoreError(Exception):
    """A file did not do what was asked; nothing of the change is in it."""

    def __init__(self, trouble: Trouble, problem: str) -> None:
        super().__init__(problem)
        self.trouble = trouble
        self.older: int | None = None
        """Number of the file, where it is one that is only read."""


class Stored(NamedTuple):
    """A message as it is on the disk."""

    id: int
    key: Key
    message: Message | None
    """None: it was damaged there."""
    priority: Priority
    size: int


class Slot(NamedTuple):
    """Where a message is on the disk, and what it takes there; all that is needed to delete it."""

    id: int
    key: Key
    size: int


class Dead(NamedTuple):
    """A message that the broker refused for good."""

    key: Key
    message: Message
    reason: str


@dataclass(slots=True)
class Tally:
    """What waits of one class."""

    count: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Change:
    """What one commit does; all of it or nothing."""

    added: list[Stored] = field(default_factory=list)
    deleted: list[tuple[Priority, Slot]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    """New, or as they are by now."""
    gaps_deleted: list[int] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    clear_dead: bool = False
    gone: list[tuple[Kind, int]] = field(default_factory=list)
    """Deleted messages and gaps of older files, which are not written to any more."""
    gone_done: tuple[int, int] | None = None
    """The first and the last of the ids that such a file could have: it is no longer there."""
    boot: tuple[str, Offset | None] | None = None
    """The boot of this run, and its offset where it is known; None: nothing new of it."""

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(
            self.added
            or self.deleted
            or self.gaps
            or self.gaps_deleted
            or self.dead
            or self.clear_dead
            or self.gone
            or self.gone_done
            or self.boot
        )


class Store(Protocol):
    """One file of messages, for one thread. Every call may wait for the disk.

    Raises `StoreError` from all but `close` and `abandon`.
    """

    dead_count: int
    """Messages that the broker refused."""

    @property
    def tallies(self) -> Mapping[Priority, Tally]:
        """What waits in it."""

    def write(self, change: Change) -> None:
        """Commit a change; it is durable when this returns."""

    def page(self, priority: Priority, after: int, limit: int, max_bytes: int) -> list[Stored]:
        """The oldest messages with an id above `after`: up to a number and, but for one, size."""

    def oldest(self, priority: Priority, after: int, limit: int) -> list[Slot]:
        """Where the oldest messages with an id above `after` are."""

    def last_id(self) -> int:
        """The highest id in it; 0: it is empty."""

    def newest_retained(self, priority: Priority, limit: int, max_bytes: int) -> list[Stored]:
        """The newest retained message of each topic: up to a number and, but for one, size."""

    def boots(self) -> tuple[dict[int, str], dict[str, Offset]]:
        """The boot of each run, and the offsets of boots as far as they are known."""

    def gaps(self) -> list[Gap]:
        """All that is not yet told."""

    def gone(self) -> list[tuple[Kind, int]]:
        """What `Change.gone` named."""

    def gone_between(self, first: int, last: int) -> set[int]:
        """The ids of it from `first` to `last`."""

    def tidy(self) -> None:
        """Move what was committed to where it stays, when there is enough of it."""

    def shrink(self) -> bool:
        """Give some of the room that is not used back to the disk; False: there is none."""

    def spare_bytes(self) -> int:
        """Room in the file that is not used."""

    def file_bytes(self) -> int:
        """What it takes on the disk."""

    def close(self) -> None:
        """Close it in good order. Never raises."""

    def abandon(self) -> None:
        """Let go of a file that failed, without writing to it. Never raises."""


def checksum(topic: str, body: bytes) -> int:
    """What is stored beside a message, to know it again: a database does not check its rows."""
    return zlib.crc32(body, zlib.crc32(topic.encode()))


PAGE_BYTES = 1024
"""Of the file: the fewest bytes written for messages of some hundred bytes; measured."""

_RECORD_BYTES = 48  # the other columns, header and pointer
_WHOLE_BYTES = PAGE_BYTES - 35  # the longest record that a page keeps whole, by the file format


def stored_size(payload: int) -> int:
    """What a message takes on the disk, by the length of its topic, content type and body.

    Pages hold whole records, and what does not fit into one has pages of its own.
    """
    record = payload + _RECORD_BYTES
    if record <= _WHOLE_BYTES:
        return PAGE_BYTES // (PAGE_BYTES // record)
    return record + record // PAGE_BYTES * 8 + PAGE_BYTES // 2


def disk_size(message: Message) -> int:
    """The same, of a message."""
    return stored_size(len(message.topic) + len(message.content_type) + len(message.body))
