"""MQTT as spoken by aiomqtt: the only module that imports it.

aiomqtt connects, and ties paho-mqtt's socket to the event loop. Publishing goes to paho directly:
aiomqtt's own `publish` creates a future, a timer and a task switch for each message and wakes the
loop by a pipe to write it, which is most of its cost. Here a batch is written at once, and an
acknowledgement is a plain callback.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiomqtt

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import (
    Endpoint,
    OnAck,
    OnMessage,
    Publication,
    Received,
    Refusal,
    Tls,
)

HANDSHAKE_S = 10.0
"""How long the broker may take to answer a CONNECT."""
GOODBYE_S = 2.0
"""How long closing may take where the socket takes no more."""

_V5 = aiomqtt.ProtocolVersion.V5
_V311 = aiomqtt.ProtocolVersion.V311
_NAMES = {_V5: "5", _V311: "3.1.1"}
_UNSUPPORTED_VERSION = (1, 132)  # CONNACK: refused, protocol version; of 3.1.1 and of 5
_REFUSED = 128  # reason codes from here on are failures
_NO_LIMIT = 65_535
_MAX_PACKET = 268_435_455  # what the length field of an MQTT packet can say


class Connector:
    """Connects to one broker; remembers which protocol version it understood."""

    def __init__(
        self, endpoint: Endpoint, *, client_id: str | None = None, will: Publication | None = None
    ) -> None:
        """Prepare; nothing is opened. Without `client_id` the connection gets a random one."""
        self._endpoint = endpoint
        self._client_id = client_id
        self._will = will
        self._version = _V5

    async def __call__(
        self, on_ack: OnAck, *, filters: Sequence[str] = (), on_message: OnMessage | None = None
    ) -> "MqttConnection":
        """Connect by MQTT 5, or by 3.1.1 where the broker cannot, and be it by not answering.

        Raises:
            Unavailable: the broker is not there or refuses; says which and why.
        """
        first = self._version
        try:
            return await self._open(first, on_ack)
        except _NotUnderstoodError:
            other = _V311 if first is _V5 else _V5
        try:
            connection = await self._open(other, on_ack)
        except _NotUnderstoodError as error:
            raise Unavailable(f"{self._endpoint} does not speak MQTT: {error}") from None
        self._version = other
        return connection

    async def _open(self, version: aiomqtt.ProtocolVersion, on_ack: OnAck) -> "MqttConnection":
        endpoint, will = self._endpoint, self._will
        client = aiomqtt.Client(
            endpoint.host,
            endpoint.port,
            username=endpoint.username.reveal() if endpoint.username else None,
            password=endpoint.password.reveal() if endpoint.password else None,
            identifier=self._client_id,
            protocol=version,
            clean_session=True if version is _V311 else None,
            will=aiomqtt.Will(will.topic, will.payload, 1, will.retain) if will else None,
            keepalive=endpoint.keepalive_s,
            timeout=HANDSHAKE_S,
            max_inflight_messages=0,  # the uplink keeps the window
            tls_context=_tls_context(endpoint.tls) if endpoint.tls else None,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )
        connection = MqttConnection(client, _NAMES[version], on_ack)
        try:
            await connection.open()
        except aiomqtt.MqttError as error:
            code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
            code = getattr(code, "value", code)
            if code in _UNSUPPORTED_VERSION:
                raise _NotUnderstoodError("it refuses this version") from None
            raise Unavailable(f"broker {endpoint}: {error}") from None
        except ValueError as error:  # such as a host name that cannot be one
            raise Unavailable(f"broker {endpoint}: {error}") from None
        return connection


class MqttConnection:
    """One connection, from CONNACK until it is lost or closed. For the event loop only."""

    def __init__(self, client: aiomqtt.Client, protocol: str, on_ack: OnAck) -> None:
        self.protocol = protocol
        self.receive_maximum = _NO_LIMIT
        self.max_packet_bytes = _MAX_PACKET
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._client = client
        self._paho: Any = client._client  # noqa: SLF001 - see the module's docstring
        self._on_ack = on_ack
        self._writing = False  # the event loop waits for the socket to take more
        self._sending = False
        self._aiomqtt_on_connect: Any = self._paho.on_connect
        self._aiomqtt_on_disconnect: Any = self._paho.on_disconnect
        self._paho.on_connect = self._connected
        self._paho.on_disconnect = self._disconnected
        self._paho.disable_logger()  # it would be asked about every packet

    async def open(self) -> None:
        """Connect, and wait until the broker has answered.

        Raises:
            aiomqtt.MqttError: the broker is not there or refuses.
            _NotUnderstoodError: it closed the connection, or was silent.
        """
        opening = asyncio.ensure_future(self._client.__aenter__())
        try:
            await self._answered(opening)
        except BaseException:
            self._abandon(opening)
            raise
        paho = self._paho
        paho.on_publish = self._published
        paho.on_socket_register_write = self._want_write
        paho.on_socket_unregister_write = self._no_write

    def send(self, batch: Sequence[Publication]) -> list[int]:
        """Write a batch to the socket, as far as it takes it now; returns the packet ids."""
        paho = self._paho
        self._sending = True
        ids: list[int] = [
            paho.publish(topic, payload, 1, retain).mid for topic, payload, retain, _ in batch
        ]
        self._sending = False
        paho.loop_write()
        if paho.want_write():
            self._want_write(paho, None, paho.socket())
        return ids

    async def messages(self, filters: Sequence[str]) -> AsyncIterator[Received]:
        """Subscribe to topic filters and yield what comes until the connection is lost.

        Raises:
            Unavailable: the broker refused a filter, or the connection was lost.
        """
        try:
            for topic_filter in filters:
                codes = await self._client.subscribe(topic_filter, qos=1)
                if any(getattr(code, "value", code) >= _REFUSED for code in codes):
                    raise Unavailable(f"the broker refuses a subscription to '{topic_filter}'")
            async for message in self._client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                yield Received(str(message.topic), payload, bool(message.retain))
        except aiomqtt.MqttError as error:
            raise Unavailable(f"the connection to the broker was lost: {error}") from None

    async def close(self) -> None:
        """Say goodbye, so that the last will is not published. Never raises; idempotent."""
        with contextlib.suppress(aiomqtt.MqttError, OSError, TimeoutError):
            await asyncio.wait_for(self._client.__aexit__(None, None, None), GOODBYE_S)
        self._lose("closed")

    async def _answered(self, opening: "asyncio.Future[aiomqtt.Client]") -> None:
        await asyncio.wait((opening, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            raise _NotUnderstoodError("it closes the connection")
        try:
            opening.result()
        except aiomqtt.MqttError as error:
            if str(error) == "Operation timed out":
                raise _NotUnderstoodError("it does not answer") from None
            raise

    def _connected(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _NO_LIMIT)
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", _MAX_PACKET)
        self._aiomqtt_on_connect(client, userdata, flags, reason, properties)

    def _disconnected(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self._aiomqtt_on_disconnect(client, userdata, flags, reason, properties)
        noticed = self._client._disconnected  # noqa: SLF001 - or asyncio says nobody looked at it
        if noticed.done():
            noticed.exception()
        self._loop.call_soon_threadsafe(self._lose, str(reason))

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    def _abandon(self, opening: "asyncio.Future[aiomqtt.Client]") -> None:
        opening.cancel()
        paho = self._paho
        paho.on_socket_register_write = paho.on_socket_unregister_write = None
        if paho.socket() is None:
            # A thread may still be connecting. The event loop is not to hear of it: it may be gone.
            paho.on_socket_open = paho.on_socket_close = None
        else:
            paho.disconnect()

    def _published(
        self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        refused = reason.value >= _REFUSED
        self._on_ack(mid, Refusal(str(reason), for_good=True) if refused else None)

    def _want_write(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if not (self._sending or self._writing) and sock is not None:
            self._writing = True
            self._loop.add_writer(sock.fileno(), self._paho.loop_write)

    def _no_write(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(sock.fileno())


class _NotUnderstoodError(Exception):
    """The broker did not answer this CONNECT: perhaps it knows another version."""


def _tls_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:  # SSLError too
        raise Unavailable(f"TLS cannot be set up: {error}") from None
    return context
