"""The uplink: takes messages from every thread, and gets them to the broker.

Lanes `offer`; the event loop runs `run`. Between them stands the outbox. A lane wakes the loop at
most once however many messages it offers, and the loop sends what waits in one batch.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.message import Message
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Connect, Connection, Publication, Refusal
from edgeapp.uplink.outbox import Entry, Key, Outbox, OutboxStatistics
from edgeapp.uplink.wire import Sealer, Topics

WINDOW = 20
"""Messages in flight at most, the broker permitting."""
LINGER_S = 0.005
"""Above 1 / LINGER_S messages a second they go in batches, each at most this much later."""
DRAIN_S = 5.0
"""How long a stop waits: for a connection that is being made, and for acknowledgements."""
STABLE_S = 10.0
"""A connection that held this long is tried again at once, or nearly, when it is lost."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

_PACKET_OVERHEAD = 16  # bytes around topic and payload in a PUBLISH, at most

Pause = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits until the event is set, at most so many seconds."""


@dataclass(frozen=True, slots=True)
class UplinkStatistics:
    """The uplink at one moment."""

    outbox: OutboxStatistics
    connected: bool
    since_ns: int
    """Monotonic time since when it is or is not connected."""
    protocol: str
    """MQTT version spoken; empty while not connected."""
    problem: str
    """Why it is not connected; empty while it is, or before the first attempt."""


class NullUplink:
    """The uplink where no output needs a broker: it only seals, and never opens a connection."""

    def __init__(self, sealer: Sealer, outbox: Outbox, clock: Clock) -> None:
        self._sealer = sealer
        self._outbox = outbox
        self._since_ns = clock.now_ns()
        outbox.close()

    def offer(self, message: Message) -> bool:
        """Drop the message, counted."""
        return self._outbox.put(message)

    def seal(self, message: Message) -> bytes:
        """Put the envelope around a message's body."""
        return self._sealer.seal(message, Key(self._sealer.run, self._outbox.next_number()))

    def statistics(self) -> UplinkStatistics:
        """The uplink at this moment: never connected."""
        return UplinkStatistics(self._outbox.statistics(), False, self._since_ns, "", "")

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the stop."""
        await stop.wait()


class MqttUplink:
    """The one way out of the device. `offer` and `seal` are safe from any thread."""

    def __init__(
        self,
        topics: Topics,
        sealer: Sealer,
        outbox: Outbox,
        connect: Connect,
        *,
        log: Log,
        clock: Clock,
        chance: random.Random,
        pause: Pause | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`.

        `connect` must set the last will to «offline» on `topics.status`. `chance`: for the jitter
        of reconnecting.
        """
        self._topics = topics
        self._sealer = sealer
        self._outbox = outbox
        self._connect = connect
        self._log = log
        self._clock = clock
        self._chance = chance
        self._pause = pause or _pause
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._window = WINDOW
        self._keys: dict[int, Key | None] = {}  # in flight, by packet id; None: not of the outbox
        self._asleep = False  # whoever offers next must wake the loop
        self._pump_planned = False
        self._sent_s = 0.0  # loop time of the last batch
        self._held_ns = 0  # how long the last connection held
        self._stop_by_ns: int | None = None
        self._idle = asyncio.Event()
        self._problem = ""
        self._since_ns = clock.now_ns()

    def offer(self, message: Message) -> bool:
        """Take a message for the broker without blocking; False when it had to be dropped."""
        kept = self._outbox.put(message)
        if self._asleep:
            self._asleep = False
            loop = self._loop
            if loop is not None:
                # The loop may have been closed since: the message is counted by then.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._wake)
        return kept

    def seal(self, message: Message) -> bytes:
        """Put the envelope around a message's body, for outputs that deliver on their own."""
        return self._sealer.seal(message, Key(self._sealer.run, self._outbox.next_number()))

    def statistics(self) -> UplinkStatistics:
        """The uplink at this moment, as a frozen snapshot."""
        connection = self._connection
        return UplinkStatistics(
            self._outbox.statistics(),
            connection is not None,
            self._since_ns,
            connection.protocol if connection else "",
            self._problem,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, send, reconnect, until `stop` is set; then drain and say goodbye.

        Set `stop` after the last message was offered. Call once.
        """
        self._loop = asyncio.get_running_loop()
        stopping = asyncio.ensure_future(stop.wait())
        failures = 0
        try:
            while True:
                self._held_ns = 0
                problem = await self._connect_and_serve(stopping)
                if stop.is_set():
                    return
                failures = 1 if self._held_ns >= STABLE_S * NS else failures + 1
                if problem != self._problem:
                    self._log.warning("no connection to the broker, trying again", problem=problem)
                    self._problem = problem
                longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
                await self._pause(stop, self._chance.uniform(0.0, longest_s))
                if stop.is_set():
                    return
        finally:
            stopping.cancel()
            left = self._outbox.close()
            if left:
                self._log.warning("messages dropped: not sent before the stop", count=left)

    async def _connect_and_serve(self, stopping: "asyncio.Task[Literal[True]]") -> str:
        """One connection from first to last; returns why it ended."""
        connecting = asyncio.ensure_future(self._connect(self._acknowledged))
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done() and self._outbox.statistics().waiting:
            await asyncio.wait((connecting,), timeout=self._left_s())  # a short run: not yet up
        if not connecting.done():
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Unavailable):
                await connecting
            return "stopped"
        try:
            connection = connecting.result()
        except Unavailable as error:
            return str(error)
        self._begin(connection)
        try:
            await asyncio.wait((connection.lost, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not connection.lost.done():
                await self._drain(connection)
        finally:
            self._end()
            await connection.close()
        return f"connection lost: {connection.lost.result()}"

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        self._window = max(1, min(WINDOW, connection.receive_maximum))
        self._problem = ""
        self._since_ns = self._clock.now_ns()
        self._log.info("broker reached", protocol=connection.protocol)
        self._say("online")
        self._pump()

    def _end(self) -> None:
        self._connection = None
        self._asleep = False
        now_ns = self._clock.now_ns()
        self._held_ns = now_ns - self._since_ns
        self._since_ns = now_ns
        self._keys.clear()
        self._outbox.give_back()

    async def _drain(self, connection: Connection) -> None:
        """Wait until all is acknowledged, then state the stop; both within the deadline."""
        connection.lost.add_done_callback(lambda _: self._idle.set())
        await self._until_idle()
        if not connection.lost.done():
            self._say("stopped")
            await self._until_idle()

    async def _until_idle(self) -> None:
        """Wait until nothing is in flight or waiting, the connection is lost, or time is up."""
        while self._keys or self._outbox.statistics().waiting:
            left_s = self._left_s()
            connection = self._connection
            if left_s <= 0 or connection is None or connection.lost.done():
                return
            self._idle.clear()
            await self._pause(self._idle, left_s)

    def _left_s(self) -> float:
        """What is left of the time for stopping, which the first call begins."""
        now_ns = self._clock.now_ns()
        if self._stop_by_ns is None:
            self._stop_by_ns = now_ns + round(DRAIN_S * NS)
        return max(0.0, (self._stop_by_ns - now_ns) / NS)

    def _say(self, status: str) -> None:
        assert self._connection is not None
        said = Publication(self._topics.status, status.encode(), retain=True)
        self._keys[self._connection.send([said])[0]] = None

    def _wake(self) -> None:
        """On the event loop: something was offered while nothing was planned."""
        assert self._loop is not None
        if self._pump_planned:
            return
        due_s = self._sent_s + LINGER_S
        if self._loop.time() < due_s:
            self._pump_planned = True
            self._loop.call_at(due_s, self._planned_pump)
        else:
            self._pump()

    def _planned_pump(self) -> None:
        self._pump_planned = False
        self._pump()

    def _pump(self) -> None:
        """Send what waits, as far as the window allows."""
        connection = self._connection
        if connection is None:
            return
        room = self._window - len(self._keys)
        # Set before looking, so that no offer falls between. With a full window nobody needs to
        # wake us: an acknowledgement will.
        self._asleep = room > 0
        entries = self._outbox.take(room) if room > 0 else []
        if not entries:
            return
        batch, kept = self._sealed(connection, entries)
        for packet_id, entry in zip(connection.send(batch), kept, strict=True):
            self._keys[packet_id] = entry.key
        assert self._loop is not None
        self._sent_s = self._loop.time()
        if len(self._keys) >= self._window:
            self._asleep = False

    def _sealed(
        self, connection: Connection, entries: list[Entry]
    ) -> tuple[list[Publication], list[Entry]]:
        batch: list[Publication] = []
        kept: list[Entry] = []
        below, seal = self._topics.below, self._sealer.seal
        for entry in entries:
            message = entry.message
            payload = seal(message, entry.key, boot=entry.boot, replay=entry.replay)
            topic = below + message.topic
            if len(payload) + len(topic) + _PACKET_OVERHEAD > connection.max_packet_bytes:
                self._refuse(entry.key, "larger than the broker takes")
                continue
            batch.append(Publication(topic, payload, message.retain))
            kept.append(entry)
        return batch, kept

    def _acknowledged(self, packet_id: int, refusal: Refusal | None) -> None:
        """On the event loop: the broker has answered one packet."""
        if packet_id not in self._keys:
            return
        key = self._keys.pop(packet_id)
        if key is not None:
            if refusal is not None:
                self._refuse(key, refusal.reason)
            else:
                self._outbox.settle(key)
        if not self._keys:
            self._idle.set()
        if not self._asleep and not self._pump_planned and self._loop is not None:
            # The window was full. Other acknowledgements may follow in this read: send once.
            self._pump_planned = True
            self._loop.call_soon(self._planned_pump)

    def _refuse(self, key: Key, reason: str) -> None:
        self._outbox.refuse(key, reason)
        self._idle.set()
        self._log.warning(
            "message dropped: the broker refused it", number=key.number, reason=reason
        )


async def _pause(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
