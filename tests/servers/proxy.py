"""A bad network: a TCP proxy that cuts, stalls, delays, slows and corrupts when told to."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeVar

Direction = Literal["up", "down", "both"]
"""`up` is from the client to the server."""

_CHUNK_BYTES = 65_536
_QUEUED_CHUNKS = 64
_SLICES_PER_S = 50  # how finely what is slow is cut up
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says RST, and throws away what waits

T = TypeVar("T")


class Told(NamedTuple):
    """What went through the proxy so far."""

    connections: int
    cuts: int
    corrupted: int
    """Bytes that were changed."""
    up: int
    """Bytes from clients to the server."""
    down: int


@dataclass(slots=True)
class _Way:
    """How one direction of every connection is treated, and what went through it."""

    flows: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    corrupt_every_bytes: float = 0.0
    corrupted: int = 0
    passed: int = 0

    def heal(self) -> None:
        self.flows.set()
        self.delay_s = self.bytes_per_s = self.corrupt_every_bytes = 0.0


class Proxy:
    """Passes TCP connections on to a port of the loopback, and does what a network may do.

        with Proxy(broker.port, seed=7) as network:
            connect_to(network.port)
            network.cut_every(0.2, 1.0)
            ...
            network.heal()

    It runs on an event loop in a thread of its own. Controls are safe from every other thread, and
    have taken effect when they return. Whatever is random comes from the seed.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.port = 0
        self._target_port = target_port
        self._chance = random.Random(seed)
        self._ways = {"up": _Way(), "down": _Way()}
        self._passing: set[asyncio.Task[None]] = set()
        self._cutting: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._connections = self._cuts = 0

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(started),))
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def cut(self) -> None:
        """Cut every connection now; what is on its way is lost."""
        self._do(self._cut)

    def cut_every(self, low_s: float, high_s: float) -> None:
        """Cut every connection again and again, after random times between these, until `heal`."""

        def begin() -> None:
            self._stop_cutting()
            self._cutting = self._loop.create_task(self._cut_again(low_s, high_s))

        self._do(begin)

    def stall(self, direction: Direction = "both") -> None:
        """Become a black hole: connections stay open and can be made, but nothing goes through.

        What is held comes through after `heal`, on connections that were not cut meanwhile.
        """
        self._change(direction, lambda way: way.flows.clear())

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Let everything arrive so much later, in order; as many bytes per second as before."""
        self._change(direction, lambda way: setattr(way, "delay_s", seconds))

    def slow(self, bytes_per_s: float, direction: Direction = "both") -> None:
        """Let no more than so much through each connection."""
        self._change(direction, lambda way: setattr(way, "bytes_per_s", bytes_per_s))

    def corrupt(self, every_bytes: float, direction: Direction = "both") -> None:
        """Change bytes at random, one out of so many on average."""
        self._change(direction, lambda way: setattr(way, "corrupt_every_bytes", every_bytes))

    def refuse(self) -> None:
        """Refuse new connections, as a machine on which nobody listens, until `heal`."""
        self._do(self._close)

    def heal(self) -> None:
        """Be a good network again. Connections that are open stay open."""

        def heal() -> None:
            self._stop_cutting()
            for way in self._ways.values():
                way.heal()

        self._do(heal)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def told(self) -> Told:
        """What went through so far."""
        up, down = self._ways["up"], self._ways["down"]
        return Told(
            self._connections, self._cuts, up.corrupted + down.corrupted, up.passed, down.passed
        )

    def _change(self, direction: Direction, change: Callable[[_Way], None]) -> None:
        def each() -> None:
            for name, way in self._ways.items():
                if direction in {name, "both"}:
                    change(way)

        self._do(each)

    def _do(self, control: Callable[[], T]) -> T:
        async def run() -> T:
            return control()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _main(self, started: "Future[None]") -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        for way in self._ways.values():
            way.heal()
        await self._listen()
        started.set_result(None)
        await self._over.wait()
        self._stop_cutting()
        self._close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._pass_on, "127.0.0.1", self.port, limit=_CHUNK_BYTES
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _cut(self) -> None:
        self._cuts += len(self._passing)
        for task in self._passing:
            task.cancel()

    async def _cut_again(self, low_s: float, high_s: float) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(low_s, high_s))
            self._cut()

    def _stop_cutting(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    async def _pass_on(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it or it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        self._connections += 1
        writers = [back]
        try:
            server, forth = await asyncio.open_connection(
                "127.0.0.1", self._target_port, limit=_CHUNK_BYTES
            )
            writers.append(forth)
            pumps = [
                asyncio.create_task(self._pump(client, forth, self._ways["up"])),
                asyncio.create_task(self._pump(server, back, self._ways["down"])),
            ]
            try:
                await asyncio.wait(pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:  # the server is not there
            writers.clear()
            back.close()
        except asyncio.CancelledError:
            pass  # cut; whoever waits for this task does so until it has ended
        finally:
            self._passing.discard(task)
            for writer in writers:
                _reset(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        """Read ahead as far as a network would; deliver in order, when it is due."""
        arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
        delivering = asyncio.create_task(self._deliver(arrived, writer, way))
        try:
            while True:
                try:
                    data = await reader.read(_CHUNK_BYTES)
                except OSError:
                    data = b""
                await arrived.put((self._loop.time() + way.delay_s, data))
                if not data:
                    break
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, arrived: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                due_s, data = await arrived.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                if not data:
                    await way.flows.wait()
                    writer.write_eof()
                    return
                rate = way.bytes_per_s
                step = max(1, int(rate / _SLICES_PER_S)) if rate else len(data)
                for start in range(0, len(data), step):
                    await way.flows.wait()
                    piece = self._perhaps_corrupted(data[start : start + step], way)
                    way.passed += len(piece)  # before anybody can have got it
                    writer.write(piece)
                    await writer.drain()
                    if rate:
                        await asyncio.sleep(len(piece) / rate)

    def _perhaps_corrupted(self, piece: bytes, way: _Way) -> bytes:
        every = way.corrupt_every_bytes
        if not every:
            return piece
        changed = bytearray(piece)
        at = int(self._chance.expovariate(1 / every))
        while at < len(changed):
            changed[at] ^= self._chance.randrange(1, 256)
            way.corrupted += 1
            at += 1 + int(self._chance.expovariate(1 / every))
        return bytes(changed)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
