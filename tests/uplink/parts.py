"""A broker that exists only in the test, and a log that can be read."""

import asyncio
from collections.abc import Callable, Sequence

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import OnAck, OnMessage, Publication, Refusal


class ListLog:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def bind(self, **_facts: object) -> "ListLog":
        return self

    def info(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    debug = warning = error = info


class FakeConnection:
    """Keeps what was sent; acknowledges when the test says so."""

    protocol = "5"

    def __init__(self, on_ack: OnAck, *, receive_maximum: int, max_packet_bytes: int) -> None:
        self.receive_maximum = receive_maximum
        self.max_packet_bytes = max_packet_bytes
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.on_ack = on_ack
        self.unacknowledged: dict[int, Publication] = {}
        self.sent: list[Publication] = []
        self.batches: list[int] = []
        self.on_send: Callable[[], object] = lambda: None
        self.filters: list[str] = []
        self.on_message: OnMessage | None = None
        self._last_id = 0

    def send(self, batch: Sequence[Publication]) -> list[int]:
        ids = []
        for publication in batch:
            self._last_id += 1
            if publication.qos:
                self.unacknowledged[self._last_id] = publication
            ids.append(self._last_id)
        self.sent += batch
        self.batches.append(len(batch))
        self.on_send()
        return ids

    def subscribe(self, filters: Sequence[str]) -> None:
        self.filters += filters

    def acknowledge(
        self, count: int | None = None, refused: str | None = None, *, for_good: bool = True
    ) -> None:
        """Answer the oldest `count` packets, or all."""
        for packet_id in list(self.unacknowledged)[:count]:
            del self.unacknowledged[packet_id]
            self.on_ack(packet_id, Refusal(refused, for_good) if refused else None)

    def lose(self) -> None:
        if not self.lost.done():
            self.lost.set_result("cut")

    async def close(self) -> None:
        if not self.lost.done():
            self.lost.set_result("closed")


class FakeBroker:
    """Opens connections, or refuses to; those that were opened are in `connections`."""

    def __init__(
        self,
        *,
        down: int = 0,
        receive_maximum: int = 65_535,
        max_packet_bytes: int = 1 << 20,
        acknowledges: bool = True,
    ) -> None:
        self.down = down
        self.connections: list[FakeConnection] = []
        self.attempts = 0
        self.acknowledges = acknowledges
        self._receive_maximum = receive_maximum
        self._max_packet_bytes = max_packet_bytes

    async def __call__(
        self, on_ack: OnAck, *, filters: Sequence[str] = (), on_message: OnMessage | None = None
    ) -> FakeConnection:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise Unavailable("broker test: connection refused")
        connection = FakeConnection(
            on_ack,
            receive_maximum=self._receive_maximum,
            max_packet_bytes=self._max_packet_bytes,
        )
        connection.filters += filters
        connection.on_message = on_message
        if self.acknowledges:
            loop = asyncio.get_running_loop()
            connection.on_send = lambda: loop.call_soon(connection.acknowledge)
        self.connections.append(connection)
        return connection
