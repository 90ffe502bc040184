"""Time that passes at once: an event loop whose clock jumps to whatever is due next.

And a broker, with the network before it, that lives on such a loop: days go by in seconds, the same
ones every time.
"""

import asyncio
import random
import selectors
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from edgeapp.core.clock import NS
from edgeapp.core.context import Log
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import OnAck, OnMessage, Publication, Refusal
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.uplink.parts import ListLog

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where a real one would sleep, this one moves its clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now_s


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everyone waits, and nothing is due")
        ready = super().select(0)
        if not ready:
            self._loop.now_s += timeout
        return ready


class LoopClock:
    """The clock of a loop, as the uplink wants it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return round(self._loop.now_s * NS)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise NotImplementedError


def play(story: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a story to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(story(loop))


class Link:
    """One connection: each message arrives, and each answer, after half a round trip."""

    protocol = "3.1.1"
    receive_maximum = 65_535

    def __init__(self, broker: "SimulatedBroker", on_ack: OnAck) -> None:
        self.max_packet_bytes = broker.max_packet_bytes
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._broker = broker
        self._on_ack = on_ack
        self._last_id = 0
        self._busy_until_s = 0.0
        self._deaf = False
        self.in_flight = 0

    def send(self, batch: Sequence[Publication]) -> list[int]:
        loop = asyncio.get_running_loop()
        ids = []
        for publication in batch:
            self._last_id += 1
            ids.append(self._last_id)
            self.in_flight += 1
            arrives_s = loop.time() + self._broker.round_trip_s / 2
            self._busy_until_s = max(self._busy_until_s, arrives_s) + self._broker.each_s
            loop.call_at(self._busy_until_s, self._arrive, self._last_id, publication)
        self._broker.most_in_flight = max(self._broker.most_in_flight, self.in_flight)
        return ids

    def subscribe(self, filters: Sequence[str]) -> None:
        self._broker.filters += filters

    def cut(self) -> None:
        if not self.lost.done():
            self.lost.set_result("cut")

    async def close(self) -> None:
        if not self.lost.done():
            self.lost.set_result("closed")

    def _arrive(self, packet_id: int, publication: Publication) -> None:
        if self.lost.done() or self._deaf:
            return
        loop = asyncio.get_running_loop()
        if self._broker.hangs_up_on(publication):
            self._deaf = True
            loop.call_later(self._broker.round_trip_s / 2, self.cut)
            return
        refusal = self._broker.refuses(publication)
        if refusal is None:
            self._broker.got.append((loop.time(), publication))
        loop.call_later(self._broker.round_trip_s / 2, self._answer, packet_id, refusal)

    def _answer(self, packet_id: int, refusal: Refusal | None) -> None:
        if not self.lost.done():
            self.in_flight -= 1
            self._on_ack(packet_id, refusal)


class SimulatedBroker:
    """Takes one message at a time, `each_s` for each, at the far end of a network."""

    def __init__(self, *, round_trip_s: float = 0.05, each_s: float = 0.001) -> None:
        self.round_trip_s = round_trip_s
        self.each_s = each_s
        self.max_packet_bytes = 1 << 20
        self.up = True
        self.got: list[tuple[float, Publication]] = []
        self.links: list[Link] = []
        self.filters: list[str] = []
        self.on_message: OnMessage | None = None
        self.most_in_flight = 0
        self.hangs_up_on: Callable[[Publication], bool] = lambda _: False
        self.refuses: Callable[[Publication], Refusal | None] = lambda _: None

    async def __call__(
        self, on_ack: OnAck, *, filters: Sequence[str] = (), on_message: OnMessage | None = None
    ) -> Link:
        await asyncio.sleep(self.round_trip_s)
        if not self.up:
            raise Unavailable("broker test: connection refused")
        self.filters += filters
        self.on_message = on_message
        self.links.append(Link(self, on_ack))
        return self.links[-1]

    def cut(self) -> None:
        """Cut the connection, if there is one."""
        for link in self.links[-1:]:
            link.cut()

    def payloads(self, topic: str) -> list[bytes]:
        """What came to a topic below the device's, in order."""
        return [p.payload for _, p in self.got if p.topic == f"edgeapp/dev/{topic}"]


def make_uplink(loop: VirtualLoop, broker: SimulatedBroker, log: Log | None = None) -> MqttUplink:
    """An uplink that lives on the loop's time."""
    clock = LoopClock(loop)
    wall = WallClock(clock, boot="b", wall_ns=clock.now_ns, synchronised=lambda: False)
    return MqttUplink(
        Topics("dev"),
        Sealer("dev", 1, wall),
        MemoryOutbox(clock=clock),
        broker,
        log=log or ListLog(),
        clock=clock,
        chance=random.Random(1),
    )
