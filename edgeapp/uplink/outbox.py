"""Messages that the broker does not have yet: the port, and what passes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from edgeapp.core.message import Message, Priority

Reason = Literal["full", "too_large", "expired", "disk", "stopped", "refused", "purged"]
"""Why a message was dropped: the outbox was full; it is larger than a broker takes; it outlived its
time; the disk that kept it was lost; the device stopped before it could be sent or written; the
broker refused it for good; somebody had it removed."""

PRIORITIES: tuple[Priority, ...] = ("critical", "normal", "bulk")
"""Sent in this order, dropped in the opposite one."""

FRESH_S = 5.0
"""What has waited for longer when a connection is made is backlog, and replayed beside the rest."""


class Key(NamedTuple):
    """What names a message on this device, for ever: the last two parts of its id."""

    run: int
    number: int


class Entry(NamedTuple):
    """A message on its way out."""

    key: Key
    message: Message
    boot: str | None = None
    """Boot in which its `taken_ns` counts; None: this one."""
    replay: bool = False
    """It waited, and goes in the lane beside the live one."""


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    """An outbox at one moment.

    `offered` + `found` = `settled` + all `dropped` + `waiting` + `in_flight`.
    """

    offered: int
    """Messages of this run."""
    settled: int
    """Messages that the broker has acknowledged."""
    dropped: Mapping[Reason, int]
    waiting: int
    """In memory and on the disk."""
    in_flight: int
    """Taken to be sent, not yet settled."""
    waiting_bytes: int
    found: int = 0
    """Messages of earlier runs that were on the disk at the start."""
    backlog: int = 0
    """Of `waiting`, those that will be replayed."""
    committed: int = 0
    """Messages of this run that were made durable, in the order of each class."""
    oldest_s: float = 0.0
    """How long the oldest one waits; of what earlier boots left, since this start."""
    bytes_written: int = 0
    """To the disk, since the start."""
    dead: int = 0
    """Refused for good by the broker, and kept aside."""
    problem: str = ""
    """Why messages are in memory alone though there should be a store; empty: all is well."""


class Outbox(Protocol):
    """Keeps messages until they settle. Safe from any thread, except that one thread takes.

    No call waits for the disk. A message is settled once the broker has acknowledged it; it is safe
    from then, or from when it was committed, whichever is first.
    """

    @property
    def lasts(self) -> bool:
        """Whether what waits outlives this process, as far as is known now."""

    def next_number(self) -> int:
        """A number that no other message of this run has."""

    def put(self, message: Message) -> bool:
        """Keep a message; False when it was dropped instead. Never blocks."""

    def take(self, limit: int) -> list[Entry]:
        """Up to `limit` live messages to send now: by priority, oldest first within one."""

    def take_backlog(self, limit: int) -> list[Entry]:
        """Up to `limit` messages to replay, ditto; fewer when the disk has yet to be read."""

    def settle(self, key: Key) -> None:
        """The broker has this message: forget it. Unknown keys are ignored."""

    def refuse(self, key: Key, reason: str) -> None:
        """The broker will never take this message: keep it aside. Unknown keys are ignored."""

    def retry(self, key: Key) -> None:
        """The broker did not take this message now: it waits again, before all others."""

    def divide(self) -> None:
        """A connection is made: what has waited for longer than FRESH_S is backlog from now on.

        But for the newest retained message of each topic, which says how things are.
        """

    def give_back(self) -> None:
        """Whatever was taken and has not settled waits again, before all others."""

    def close(self) -> int:
        """Refuse what comes, write what can be kept; returns how many messages are lost.

        The one call that waits for the disk, for some seconds at most.
        """

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""
