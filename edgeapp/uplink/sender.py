"""The uplink: takes messages from every thread, and gets them to the broker.

Lanes `offer`; the event loop runs `run`. Between them stands the outbox. A lane wakes the loop at
most once however many messages it offers, and the loop sends what waits in one batch. What goes over
a connection, and in which order, is `traffic`.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.message import Message, NeverArrives, Watched
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Connect, Connection, Extra, OnMessage, Publication, Refusal
from edgeapp.uplink.held import HeldStates, State
from edgeapp.uplink.mqtt.reasons import CUT
from edgeapp.uplink.outbox import Entry, Key, Outbox, OutboxStatistics
from edgeapp.uplink.refusals import Retries, SeldomLog
from edgeapp.uplink.subscriptions import Subscriptions
from edgeapp.uplink.suspects import Suspects
from edgeapp.uplink.traffic import Lasting, Traffic
from edgeapp.uplink.watched import WatchedTopics
from edgeapp.uplink.wire import Sealer, Topics

DRAIN_S = 5.0
"""How long a stop waits: for a connection that is being made, and for acknowledgements."""
SHORT_S = 1.0
"""So long for the connection where messages are safe on the disk, and only for the first one."""
STABLE_S = 10.0
"""A connection that held this long is tried again at once, or nearly, when it is lost."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

OFTEN_S = 120.0
MOST_CUTS = 4
"""So many connections in a row that were lost within `OFTEN_S` are more than bad luck."""
_CUT_AGAIN = (
    "so it went several times in a row: is there another device of this name, or does the network "
    "cut connections?"
)

_MOST_NOTES = 100  # answers that wait for room in the window

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
    replayed: int = 0
    """Messages that waited and were then acknowledged."""
    replay_per_s: float = 0.0
    """Of these, over the last seconds."""
    retries: int = 0
    """Times that a message was sent again because the broker did not take it."""
    refused: int = 0
    """Messages that it will never take."""
    reconnects: int = 0
    """Connections that were made after the first one."""
    held: int = 0
    """States that are sent again at each of them."""


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

    def hold(self, message: Message) -> None:
        """Nobody is told."""

    def hold_raw(self, topic: str, payload: bytes) -> None:
        """Nobody is told."""

    def let_go(self, topic: str) -> None:
        """Nobody was told."""

    def tell(self, topic: str, payload: bytes, extra: Extra | None = None) -> bool:
        """Nobody is told: False."""
        return False

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        """Nothing will come."""

    def watch(self, topic: str) -> Watched:
        """Nothing will come."""
        return NeverArrives(topic)

    def statistics(self) -> UplinkStatistics:
        """The uplink at this moment: never connected."""
        return UplinkStatistics(self._outbox.statistics(), False, self._since_ns, "", "")

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the stop."""
        await stop.wait()


class MqttUplink:
    """The one way out of the device. Safe from any thread, but for `run`."""

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
        broker: str = "the broker",
    ) -> None:
        """Prepare; nothing is opened before `run`.

        `connect` must set the last will to «offline» on `topics.status`. `chance`: for the jitter
        of reconnecting. `broker`: what it is called where the end of a connection is told.
        """
        self._topics = topics
        self._sealer = sealer
        self._outbox = outbox
        self._connect = connect
        self._log = log
        self._clock = clock
        self._chance = chance
        self._pause = pause or _pause
        self._broker = broker
        self._seldom = SeldomLog(log, clock)
        self._held = HeldStates()
        self._lasting = Lasting(
            topics, sealer, outbox, self._held, Suspects(chance), Retries(), self._seldom
        )
        self._subscriptions = Subscriptions(log)
        self._watched = WatchedTopics(self.subscribe, clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._traffic: Traffic | None = None
        self._connections = 0
        self._failures = 0  # to hold a connection, in a row
        self._cuts = 0  # of connections that held for a short time, in a row
        self._held_ns = 0  # how long the last connection held
        self._stop_by_ns: int | None = None
        self._problem = ""
        self._since_ns = clock.now_ns()

    def offer(self, message: Message) -> bool:
        """Take a message for the broker without blocking; False when it had to be dropped."""
        kept = self._outbox.put(message)
        traffic = self._traffic
        if traffic is not None and traffic.asleep:
            traffic.asleep = False
            self._on_loop(traffic.wake)
        return kept

    def seal(self, message: Message) -> bytes:
        """Put the envelope around a message's body, for outputs that deliver on their own."""
        return self._sealer.seal(message, Key(self._sealer.run, self._outbox.next_number()))

    def hold(self, message: Message) -> None:
        """Let the broker keep a state, and send it again at every reconnect until it is let go.

        Retained, below the device's topics, the newest of each topic alone, sealed with an id of
        its own. It is not stored over restarts.
        """
        key = Key(self._sealer.run, self._outbox.next_number())
        self._hold(self._topics.below + message.topic, Entry(key, message))

    def hold_raw(self, topic: str, payload: bytes) -> None:
        """`hold` for a topic in full and a payload that goes out as it is."""
        self._hold(topic, payload)

    def let_go(self, topic: str) -> None:
        """Make the broker forget what it keeps on a topic, named in full."""
        self._hold(topic, b"")

    def tell(self, topic: str, payload: bytes, extra: Extra | None = None) -> bool:
        """Send something now or never, not retained; False: never. The topic is named in full."""
        traffic, notes = self._traffic, self._lasting.notes
        if traffic is None or len(notes) >= _MOST_NOTES:
            return False
        publication = Publication(topic, payload, retain=False, extra=extra)
        if not traffic.fits(publication):
            return False
        notes.append(publication)
        self._on_loop(traffic.wake)
        return True

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        """Call `handler` on the event loop with what comes, at this connection and all later ones.

        The filter is a whole one. A handler that raises is logged, and ends nothing.
        """
        self._subscriptions.add(topic_filter, handler)
        self._on_loop(lambda: self._subscribe_now(topic_filter))

    def watch(self, topic: str) -> Watched:
        """Follow a topic, named in full, from now on and over reconnects.

        Raises:
            ValueError: it cannot be a topic, or has wildcards.
        """
        return self._watched.watch(topic)

    def statistics(self) -> UplinkStatistics:
        """The uplink at this moment, as a frozen snapshot."""
        connection, lasting, loop = self._connection, self._lasting, self._loop
        return UplinkStatistics(
            self._outbox.statistics(),
            connection is not None,
            self._since_ns,
            connection.protocol if connection else "",
            self._problem,
            lasting.replayed,
            lasting.rate.per_s(loop.time()) if loop else 0.0,
            lasting.retries.count,
            lasting.refused,
            max(0, self._connections - 1),
            len(self._held),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, send, reconnect, until `stop` is set; then drain and say goodbye.

        Set `stop` after the last message was offered. Should it raise, call it again: whatever has
        not settled is still there. Once it has returned, nothing more is taken.
        """
        self._loop = asyncio.get_running_loop()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await self._keep_connected(stop, stopping)
        finally:
            stopping.cancel()
            self._seldom.flush()
            if stop.is_set():
                left = self._outbox.close()
                if left:
                    self._log.warning("messages dropped: not sent before the stop", count=left)

    async def _keep_connected(
        self, stop: asyncio.Event, stopping: "asyncio.Task[Literal[True]]"
    ) -> None:
        while True:
            self._held_ns = 0
            problem = await self._connect_and_serve(stopping)
            if stop.is_set():
                return
            self._failures = 1 if self._held_ns >= STABLE_S * NS else self._failures + 1
            self._cuts = self._cuts + 1 if 0 < self._held_ns < OFTEN_S * NS else 0
            if self._cuts >= MOST_CUTS and problem.endswith(CUT):
                problem = f"{problem}; {_CUT_AGAIN}"
            if problem != self._problem:
                self._log.warning("no connection to the broker, trying again", problem=problem)
                self._problem = problem
            longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 10))
            await self._pause(stop, self._chance.uniform(0.0, longest_s))
            if stop.is_set():
                return

    async def _connect_and_serve(self, stopping: "asyncio.Task[Literal[True]]") -> str:
        """One connection from first to last; returns why it ended."""
        filters = self._subscriptions.filters()
        connecting = asyncio.ensure_future(
            self._connect(
                self._acknowledged, filters=filters, on_message=self._subscriptions.dispatch
            )
        )
        try:
            await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done() and (patience_s := self._patience_s()):
                await asyncio.wait((connecting,), timeout=patience_s)
        finally:
            if not connecting.done():
                connecting.cancel()
                with contextlib.suppress(asyncio.CancelledError, Unavailable):
                    await connecting
        if connecting.cancelled():
            return "stopped"
        try:
            connection = connecting.result()
        except Unavailable as error:
            return str(error)
        try:
            traffic = self._begin(connection)
            # Whoever subscribed while the connection was being made is not among them.
            if late := [one for one in self._subscriptions.filters() if one not in filters]:
                connection.subscribe(late)
            await asyncio.wait(
                (connection.lost, traffic.failed, stopping),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if stopping.done() and not connection.lost.done():
                await self._drain(connection, traffic)
            if traffic.failed.done():
                traffic.failed.result()
        finally:
            self._end(lost=connection.lost.done())
            await connection.close()
        return f"{self._broker}: connection lost: {connection.lost.result()}"

    def _begin(self, connection: Connection) -> Traffic:
        traffic = Traffic(connection, self._lasting)
        self._connection = connection
        self._connections += 1
        self._problem = ""
        self._since_ns = self._clock.now_ns()
        self._log.info("broker reached", protocol=connection.protocol)
        self._traffic = traffic
        traffic.begin()
        return traffic

    def _end(self, *, lost: bool) -> None:
        traffic, self._connection, self._traffic = self._traffic, None, None
        now_ns = self._clock.now_ns()
        self._held_ns = now_ns - self._since_ns
        self._since_ns = now_ns
        if traffic is not None:
            traffic.end(lost=lost)

    async def _drain(self, connection: Connection, traffic: Traffic) -> None:
        """Wait until all is acknowledged, then state the stop; both within the deadline."""
        connection.lost.add_done_callback(lambda _: traffic.idle.set())
        traffic.replays = not self._outbox.lasts
        await self._until_idle(connection, traffic)
        if not connection.lost.done():
            traffic.say_stopped()
            await self._until_idle(connection, traffic)

    async def _until_idle(self, connection: Connection, traffic: Traffic) -> None:
        """Wait until nothing is in flight or waiting, the connection is lost, or time is up."""
        while traffic.unsettled():
            left_s = self._left_s()
            if left_s <= 0 or connection.lost.done() or traffic.failed.done():
                return
            traffic.idle.clear()
            await self._pause(traffic.idle, left_s)

    def _patience_s(self) -> float:
        """How long a stop waits for a connection: that of a short run is not yet made."""
        if not self._outbox.statistics().waiting:
            return 0.0
        if self._outbox.lasts:
            return 0.0 if self._failures else min(SHORT_S, self._left_s())
        return self._left_s()

    def _left_s(self) -> float:
        """What is left of the time for stopping, which the first call begins."""
        now_ns = self._clock.now_ns()
        if self._stop_by_ns is None:
            self._stop_by_ns = now_ns + round(DRAIN_S * NS)
        return max(0.0, (self._stop_by_ns - now_ns) / NS)

    def _acknowledged(self, packet_id: int, refusal: Refusal | None) -> None:
        if self._traffic is not None:
            self._traffic.acknowledged(packet_id, refusal)

    def _hold(self, topic: str, state: State) -> None:
        if not self._held.put(topic, state):
            self._seldom.warning(
                "state not sent: there are too many, or they are too large", topic=topic
            )
            return
        traffic = self._traffic
        if traffic is not None:
            self._on_loop(traffic.wake)

    def _subscribe_now(self, topic_filter: str) -> None:
        if self._connection is not None:
            self._connection.subscribe([topic_filter])

    def _on_loop(self, call: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            # The loop may have been closed since: then there is nothing left to do.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)


async def _pause(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
