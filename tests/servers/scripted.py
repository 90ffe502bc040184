"""A broker that does exactly what a test tells it to, packet by packet."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14


class Packet(NamedTuple):
    """A packet as it came."""

    kind: int
    flags: int
    body: bytes

    @property
    def version(self) -> int:
        """Of a CONNECT: 4 for MQTT 3.1.1, 5."""
        return self.body[6]

    @property
    def qos(self) -> int:
        """Of a PUBLISH."""
        return self.flags >> 1 & 3

    @property
    def packet_id(self) -> int:
        """Of a SUBSCRIBE, or of a PUBLISH at QoS 1."""
        start = 0
        if self.kind == PUBLISH:
            start = 2 + int.from_bytes(self.body[:2])
        return int.from_bytes(self.body[start : start + 2])


class Peer:
    """The broker's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def read(self) -> Packet:
        """The next packet.

        Raises:
            asyncio.IncompleteReadError: the client has hung up.
        """
        head = (await self._reader.readexactly(1))[0]
        size, shift = 0, 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return Packet(head >> 4, head & 15, await self._reader.readexactly(size))

    async def read_until(self, kind: int) -> Packet:
        """The next packet of this kind; others are passed over."""
        while (packet := await self.read()).kind != kind:
            pass
        return packet

    async def welcome(self, properties: bytes = b"") -> Packet:
        """Take whichever version comes; returns the CONNECT."""
        connect = await self.read()
        if connect.version == 5:
            self.send(framed(0x20, b"\x00\x00" + length(len(properties)) + properties))
        else:
            self.send(CONNACK_311)
        return connect

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    async def until_closed(self) -> None:
        """Read on until the client hangs up."""
        while await self._reader.read(65_536):
            pass


Handler = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def scripted(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A broker at a port of the loopback: `handler` is called for each connection.

    With `context` it speaks TLS.

    It hangs up when the handler returns. That a client hangs up is no error of the handler; other
    errors are raised at the end.
    """
    errors: list[BaseException] = []
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(Peer(reader, writer))
        except asyncio.CancelledError:
            pass  # the test is over
        except Exception as error:  # noqa: BLE001 - it is raised at the end
            errors.append(error)
        finally:
            tasks.discard(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in [task for task in tasks if task]:
            task.cancel()
        while tasks:
            await asyncio.sleep(0)
    if errors:
        raise errors[0]


def framed(first_byte: int, body: bytes) -> bytes:
    """A packet with its length."""
    return bytes((first_byte,)) + length(len(body)) + body


def length(count: int) -> bytes:
    """A length as MQTT writes it."""
    packed = b""
    while True:
        count, seven = divmod(count, 128)
        packed += bytes((seven | (0x80 if count else 0),))
        if not count:
            return packed


def field(text: bytes) -> bytes:
    """A text or binary field: two bytes of length before it."""
    return struct.pack("!H", len(text)) + text


def puback(packet_id: int, code: int | None = None) -> bytes:
    """An acknowledgement; with a reason code in MQTT 5 alone."""
    body = struct.pack("!H", packet_id) + (b"" if code is None else bytes((code,)))
    return framed(0x40, body)


def suback(packet_id: int, code: int, *, v5: bool = True) -> bytes:
    """The answer to a SUBSCRIBE for one filter."""
    return framed(0x90, struct.pack("!H", packet_id) + (b"\x00" if v5 else b"") + bytes((code,)))


def publish(
    topic: bytes,
    payload: bytes,
    *,
    packet_id: int = 1,
    retain: bool = False,
    properties: bytes | None = b"",
) -> bytes:
    """A PUBLISH at QoS 1; `properties=None` in MQTT 3.1.1."""
    extra = b"" if properties is None else length(len(properties)) + properties
    body = field(topic) + struct.pack("!H", packet_id) + extra + payload
    return framed(0x32 | retain, body)
