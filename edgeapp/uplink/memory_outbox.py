"""An outbox in bounded memory: two lanes for each class, and what was dropped."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from edgeapp.core.clock import NS, Clock, MonotonicClock
from edgeapp.core.message import Message
from edgeapp.uplink.gaps import Gap, GapBook
from edgeapp.uplink.lanes import OVERHEAD_BYTES, Item, Lane
from edgeapp.uplink.outbox import FRESH_S, PRIORITIES, Entry, Key, OutboxStatistics, Reason

_STATES = 4_096  # topics with a retained message that are known; of others, none is kept live


class Ages(Protocol):
    """What of the wall clock an outbox needs."""

    def least_age_ns(self, mono_ns: int, boot: str | None = None) -> int:
        """How long ago an instant of a boot was, or the least that is certain."""


class MemoryOutbox:
    """An outbox in memory, bounded in messages and bytes.

    When full, the oldest waiting message of the lowest priority goes, which may be the one that
    comes. What is in flight is never dropped. Nothing outlives the process.
    """

    def __init__(
        self,
        *,
        run: int = 1,
        device: str = "",
        clock: Clock | None = None,
        ages: Ages | None = None,
        max_messages: int = 20_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_message_bytes: int = 1024 * 1024,
    ) -> None:
        """Set the bounds.

        `device`: its name, as in ids; without one no message tells of gaps. `clock`: the one that
        stamps `Message.taken_ns`. `ages`: what knows the age of messages of earlier boots.
        `max_bytes`: of topics and bodies together, with an allowance for each message's objects.
        `max_message_bytes`: a larger body is dropped at once; it must fit into `max_bytes`.
        """
        if max_messages < 1 or max_bytes < max_message_bytes + OVERHEAD_BYTES:
            raise ValueError("an outbox must have room for one message of the greatest size")
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_message_bytes = max_message_bytes
        self._run = run
        self._device = device
        self._clock = clock or MonotonicClock()
        self._ages = ages
        self._lock = threading.Lock()
        self._lanes = {priority: Lane(priority) for priority in PRIORITIES}
        self._live = [lane.live for lane in self._lanes.values()]
        self._in_flight: dict[Key, Item] = {}
        self._newest: OrderedDict[str, Key] = OrderedDict()
        self._gaps = GapBook()
        self._telling: deque[Item] = deque()  # messages about gaps, ready to be sent
        self._number = 0
        self._closed = False
        self._offered = 0
        self._found = 0
        self._settled = 0
        self._dropped: Counter[Reason] = Counter()

    @property
    def lasts(self) -> bool:
        """Nothing does."""
        return False

    def next_number(self) -> int:
        """A number that no other message of this run has."""
        with self._lock:
            return self._next_number()

    def put(self, message: Message) -> bool:
        """Keep a message; False when it was dropped instead."""
        now_ns = self._clock.now_ns()
        with self._lock:
            self._offered += 1
            if self._closed:
                self._dropped["stopped"] += 1
                return False
            if len(message.body) > self._max_message_bytes:
                self._dropped["too_large"] += 1
                return False
            item = Item(Key(self._run, self._next_number()), message, now_ns)
            if message.retain:
                self._note_state(message.topic, item.key)
            self._accept(self._lanes[message.priority], item)
            if self._is_full():
                self._make_room()
            return not item.gone

    def take(self, limit: int) -> list[Entry]:
        """Up to `limit` live messages to send now, by priority, oldest first within one."""
        # Read without the lock: whoever puts will wake the sender.
        if not any((self._telling, self._gaps.is_any_open, *self._live)):
            return []
        taken: list[Entry] = []
        with self._lock:
            self._tell_gaps()
            while self._telling and len(taken) < limit:
                taken.append(self._sent(self._telling.popleft()))
            for lane in self._lanes.values():
                self._take(lane.take_live, limit, taken)
        return taken

    def take_backlog(self, limit: int) -> list[Entry]:
        """Up to `limit` messages to replay, ditto; fewer when the disk has yet to be read."""
        taken: list[Entry] = []
        with self._lock:
            for lane in self._lanes.values():
                self._take(lane.take_backlog, limit, taken)
        return taken

    def settle(self, key: Key) -> None:
        """The broker has this message: forget it. Unknown keys are ignored."""
        with self._lock:
            item = self._in_flight.pop(key, None)
            if item is not None:
                self._settled += 1
                self._forget(item)

    def refuse(self, key: Key, reason: str) -> None:
        """The broker will never take this message: keep it aside. Unknown keys are ignored."""
        with self._lock:
            item = self._in_flight.pop(key, None)
            if item is not None:
                self._dropped["refused"] += 1
                self._bury(item, reason)
                self._forget(item)

    def retry(self, key: Key) -> None:
        """The broker did not take this message now: it waits again, before all others."""
        with self._lock:
            item = self._in_flight.pop(key, None)
            if item is not None:
                self._put_back(item)

    def divide(self) -> None:
        """A connection is made: what has waited for longer than FRESH_S is backlog from now on."""
        fresh_ns = self._clock.now_ns() - round(FRESH_S * NS)
        with self._lock:
            for lane in self._lanes.values():
                lane.divide(lambda item: item.since_ns >= fresh_ns or self._is_state(item))

    def give_back(self) -> None:
        """Whatever was taken and has not settled waits again, before all others.

        The window in flight may then exceed the bounds until the next message is taken in.
        """
        with self._lock:
            self._give_back()

    def close(self) -> int:
        """Drop what is left, in flight or waiting; refuse what comes. Idempotent."""
        with self._lock:
            self._closed = True
            self._give_back()
            return self._drop_all("stopped")

    def statistics(self) -> OutboxStatistics:
        """The outbox at this moment, as a frozen snapshot."""
        now_ns = self._clock.now_ns()
        with self._lock:
            lanes = self._lanes.values()
            return OutboxStatistics(
                self._offered,
                self._settled,
                {reason: count for reason, count in self._dropped.items() if count},
                sum(lane.count + lane.on_disk for lane in lanes) + len(self._telling),
                len(self._in_flight),
                sum(lane.bytes for lane in lanes),
                found=self._found,
                backlog=sum(lane.backlog() for lane in lanes),
                oldest_s=max(0, now_ns - min(lane.oldest_ns(now_ns) for lane in lanes)) / NS,
            )

    # What an outbox with a store does otherwise. All of it under the lock.

    def _accept(self, lane: Lane, item: Item) -> None:
        """A new message is to wait."""
        lane.add(item)

    def _make_room(self) -> None:
        """There is more in memory than may be."""
        while self._is_full():
            lane = next(lane for lane in reversed(self._lanes.values()) if lane.count)
            item = lane.take_oldest()
            assert item is not None
            self._drop(item, "full")

    def _bury(self, item: Item, reason: str) -> None:
        """A message was refused for good."""

    def _forget(self, item: Item) -> None:
        """A message has settled or was dropped."""
        item.gone = True
        if item.gap:
            self._gaps.finish(item.key)

    def _tell_gaps(self) -> None:
        """There is a connection: tell what has not been told."""
        if self._device:
            gaps = self._gaps.ripe()
            self._freeze(gaps)
            self._tell(gaps)

    def _give_back(self) -> None:
        for item in reversed(self._in_flight.values()):
            self._put_back(item)
        self._in_flight.clear()

    # What they share.

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _is_full(self) -> bool:
        count = size = 0
        for lane in self._lanes.values():
            count += lane.count
            size += lane.bytes
        return count > self._max_messages or size > self._max_bytes

    def _take(self, take: Callable[[], Item | None], limit: int, taken: list[Entry]) -> None:
        while len(taken) < limit:
            item = take()
            if item is None:
                return
            if item.message.ttl_s is not None and self._is_expired(item):
                self._drop(item, "expired")
            else:
                taken.append(self._sent(item))

    def _sent(self, item: Item) -> Entry:
        self._in_flight[item.key] = item
        return item.entry()

    def _put_back(self, item: Item) -> None:
        if item.gap:
            self._telling.appendleft(item)
        else:
            self._lanes[item.message.priority].put_back(item)

    def _is_expired(self, item: Item) -> bool:
        message = item.message
        assert message.ttl_s is not None
        if self._ages is not None:
            age_ns = self._ages.least_age_ns(message.taken_ns, item.boot)
        else:
            age_ns = self._clock.now_ns() - message.taken_ns
        return age_ns >= message.ttl_s * NS

    def _drop(self, item: Item, reason: Reason) -> None:
        self._dropped[reason] += 1
        self._gaps.add(item.message.priority, reason, item.key, item.key, 1)
        self._forget(item)

    def _drop_all(self, reason: Reason) -> int:
        count = len(self._telling)
        for lane in self._lanes.values():
            count += self._drop_lane(lane, reason)
        self._dropped[reason] += len(self._telling)
        self._telling.clear()
        return count

    def _drop_lane(self, lane: Lane, reason: Reason) -> int:
        count = 0
        while (item := lane.take_oldest()) is not None:
            self._drop(item, reason)
            count += 1
        return count

    def _freeze(self, gaps: list[Gap]) -> None:
        for gap in gaps:
            self._gaps.freeze(gap, Key(self._run, self._next_number()), self._clock.now_ns())

    def _tell(self, gaps: list[Gap]) -> None:
        self._offered += len(gaps)
        self._telling += [self._telling_of(gap) for gap in gaps]

    def _telling_of(self, gap: Gap, boot: str | None = None) -> Item:
        message = gap.message(self._device)
        item = Item(Key(gap.run, gap.number), message, self._clock.now_ns(), boot=boot)
        item.gap = True
        return item

    def _note_state(self, topic: str, key: Key) -> None:
        self._newest[topic] = key
        self._newest.move_to_end(topic)
        if len(self._newest) > _STATES:
            self._newest.popitem(last=False)

    def _is_state(self, item: Item) -> bool:
        """Whether it is the newest retained message of its topic, which says how things are."""
        return item.message.retain and self._newest.get(item.message.topic) == item.key
