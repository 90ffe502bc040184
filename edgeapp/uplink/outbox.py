"""Messages that the broker does not have yet: the port, and the store in bounded memory."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
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

_OVERHEAD_BYTES = 256
"""Counted for each message beside topic and body: what its objects take in memory."""


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

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from any thread, when there is something to take that no `put` announced.

        A page of the backlog was read, or a message about a gap is ready. It must not block.
        """

    def close(self) -> int:
        """Refuse what comes, write what can be kept; returns how many messages are lost.

        The one call that waits for the disk, for some seconds at most.
        """

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""


class MemoryOutbox:
    """An outbox in memory, bounded in messages and bytes.

    When full, the oldest waiting message of the lowest priority goes, which may be the one that
    comes. What is in flight is never dropped. Nothing outlives the process.
    """

    def __init__(
        self,
        *,
        max_messages: int = 20_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_message_bytes: int = 1024 * 1024,
        run: int = 1,
    ) -> None:
        """Set the bounds.

        `max_bytes`: of topics and bodies together, with an allowance for each message's objects.
        `max_message_bytes`: a larger body is dropped at once; it must fit into `max_bytes`.
        """
        if max_messages < 1 or max_bytes < max_message_bytes + _OVERHEAD_BYTES:
            raise ValueError("an outbox must have room for one message of the greatest size")
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_message_bytes = max_message_bytes
        self._run = run
        self._lock = threading.Lock()
        self._waiting: dict[Priority, deque[Entry]] = {p: deque() for p in PRIORITIES}
        self._in_flight: dict[Key, Entry] = {}
        self._number = 0
        self._count = 0
        self._bytes = 0
        self._closed = False
        self._offered = 0
        self._settled = 0
        self._dropped: Counter[Reason] = Counter()

    def next_number(self) -> int:
        """A number that no other message of this run has."""
        with self._lock:
            self._number += 1
            return self._number

    def put(self, message: Message) -> bool:
        """Keep a message; False when it was dropped instead."""
        with self._lock:
            self._offered += 1
            if self._closed:
                self._dropped["stopped"] += 1
                return False
            if len(message.body) > self._max_message_bytes:
                self._dropped["too_large"] += 1
                return False
            self._number += 1
            self._waiting[message.priority].append(Entry(Key(self._run, self._number), message))
            self._count += 1
            self._bytes += _size(message)
            kept = True
            while self._count > self._max_messages or self._bytes > self._max_bytes:
                kept = self._evict().key.number != self._number and kept
            return kept

    def take(self, limit: int) -> list[Entry]:
        """Up to `limit` messages to send now, by priority, oldest first within one."""
        if not self._count:
            return []  # read without the lock: whoever puts will wake the sender
        taken: list[Entry] = []
        with self._lock:
            for waiting in self._waiting.values():
                while waiting and len(taken) < limit:
                    taken.append(waiting.popleft())
            for entry in taken:
                self._in_flight[entry.key] = entry
                self._bytes -= _size(entry.message)
            self._count -= len(taken)
        return taken

    def take_backlog(self, limit: int) -> list[Entry]:
        """Nothing: all that waits here is live."""
        return []

    def settle(self, key: Key) -> None:
        """The broker has this message: forget it."""
        with self._lock:
            if self._in_flight.pop(key, None):
                self._settled += 1

    def refuse(self, key: Key, reason: str) -> None:
        """The broker will never take this message: drop it."""
        with self._lock:
            if self._in_flight.pop(key, None):
                self._dropped["refused"] += 1

    def retry(self, key: Key) -> None:
        """The broker did not take this message now: it waits again, before all others."""
        with self._lock:
            entry = self._in_flight.pop(key, None)
            if entry is not None:
                self._waiting[entry.message.priority].appendleft(entry)
                self._bytes += _size(entry.message)
                self._count += 1

    def divide(self) -> None:
        """Nothing: all that waits here is live."""

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Nothing: all that can be taken was put."""

    def give_back(self) -> None:
        """Whatever was taken and has not settled waits again, before all others.

        The window in flight may then exceed the bounds for a moment; the next `put` restores them.
        """
        with self._lock:
            for entry in reversed(self._in_flight.values()):
                self._waiting[entry.message.priority].appendleft(entry)
                self._bytes += _size(entry.message)
            self._count += len(self._in_flight)
            self._in_flight.clear()

    def close(self) -> int:
        """Drop what is left, in flight or waiting; refuse what comes. Idempotent."""
        with self._lock:
            self._closed = True
            left = self._count + len(self._in_flight)
            self._dropped["stopped"] += left
            for waiting in self._waiting.values():
                waiting.clear()
            self._in_flight.clear()
            self._count = self._bytes = 0
            return left

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""
        with self._lock:
            return OutboxStatistics(
                self._offered,
                self._settled,
                {reason: count for reason, count in self._dropped.items() if count},
                self._count,
                len(self._in_flight),
                self._bytes,
            )

    def _evict(self) -> Entry:
        lowest = next(w for w in reversed(self._waiting.values()) if w)
        entry = lowest.popleft()
        self._count -= 1
        self._bytes -= _size(entry.message)
        self._dropped["full"] += 1
        return entry


def _size(message: Message) -> int:
    return len(message.body) + len(message.topic) + _OVERHEAD_BYTES
