"""paho-mqtt tied to the event loop: one connection to a broker.

aiomqtt's own `publish` creates a future, a timer and a task switch for each message and wakes the
loop by a pipe to write it, which is most of its cost; and what it cannot read it passes over in
silence. Here a batch is written at once, an acknowledgement is a plain callback, and whatever a
broker sends that makes no sense ends the connection with a sentence.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeapp.core.context import Log
from edgeapp.uplink.connection import Endpoint, OnAck, OnMessage, Publication, Received
from edgeapp.uplink.mqtt import reasons
from edgeapp.uplink.mqtt.properties import Properties
from edgeapp.uplink.mqtt.silence import SilenceWatch
from edgeapp.uplink.mqtt.versions import Version
from edgeapp.uplink.mqtt.welcome import judge

ANSWER_S = 10.0
"""How long the broker may take to answer a CONNECT."""
GOODBYE_S = 2.0
"""How long closing may take where the socket takes no more."""
MOST_INBOUND_BYTES = 2 * 1024 * 1024
"""The largest packet that a broker may send. One that speaks MQTT 5 is told."""
MOST_UNREAD = 10_000
"""Packets that wait for the broker to read them: beyond, it only ever sends."""

_NO_LIMIT = 65_535
_MAX_PACKET = 268_435_455  # what the length field of an MQTT packet can say
_READS = 16  # packets, or what TLS holds of them, at a time; then others have their turn
_MISC_S = 1.0
_ID_IN_USE = 15  # paho: MQTT_ERR_QUEUE_SIZE, also of the packet ids

OnRefused = Callable[[str, str], None]
"""Called with a topic filter that the broker refused, and why."""


class MqttConnection:
    """One connection, from CONNACK until it is lost or closed. For the event loop only."""

    def __init__(
        self,
        client: Any,
        sock: socket.socket,
        version: Version,
        endpoint: Endpoint,
        *,
        on_ack: OnAck,
        on_message: OnMessage | None,
        log: Log | None,
    ) -> None:
        """Take over a socket that is connected. It is closed with the connection."""
        self.protocol: str = version
        self.receive_maximum = _NO_LIMIT
        self.max_packet_bytes = _MAX_PACKET
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._client = client
        self._sock = sock
        self._endpoint = endpoint
        self._log = log
        self._on_ack = on_ack
        self._on_message = on_message
        self._asked: dict[int, tuple[str, OnRefused]] = {}  # by packet id of the SUBSCRIBE
        self._answer: Any = None  # the reason code of the CONNACK
        self._trouble = ""  # what the socket said while connecting
        self._writing = False  # the event loop waits for the socket to take more
        self._reading_on = False  # more is to be read, whether or not the socket says so
        self._sending = False
        self._misc: asyncio.TimerHandle | None = None
        self._silence = SilenceWatch(endpoint, log, self._loop.time)
        self._paho: Any = client._client  # noqa: SLF001 - see the module's docstring
        self._aiomqtt_on_connect: Any = self._paho.on_connect
        paho = self._paho
        paho._create_socket = lambda: sock  # noqa: SLF001 - it has no other way to be given one
        paho.on_connect = self._connected
        paho.on_disconnect = self._disconnected
        paho.on_publish = self._published
        paho.on_message = self._arrived
        paho.on_subscribe = self._subscribed
        paho.on_socket_open = self._watch
        paho.on_socket_close = self._unwatch
        paho.on_socket_register_write = self._want_write_from_thread
        paho.on_socket_unregister_write = self._no_write
        paho.on_log = self._noted
        paho.disable_logger()  # it would be asked about every packet

    async def open(self) -> None:
        """Say CONNECT, and wait until the broker has answered.

        Raises:
            Unavailable: it refuses; says why.
            NotUnderstoodError: it does not know this version, hung up, or was silent.
        """
        opening = asyncio.ensure_future(self._client.__aenter__())
        opening.add_done_callback(_looked_at)
        try:
            await asyncio.wait(
                (opening, self.lost), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED
            )
            lost = self.lost.result() if self.lost.done() else None
            judge(
                self._answer,
                lost,
                endpoint=self._endpoint,
                version=self.protocol,
                tls=self._trouble,
            )
            await opening
        except BaseException:
            opening.cancel()
            self._hang_up("given up")
            raise
        paho = self._paho
        paho.on_log = None
        paho.on_socket_register_write = self._want_write
        self._tick()

    def send(self, batch: Sequence[Publication]) -> list[int]:
        """Write a batch to the socket, as far as it takes it now; returns the packet ids."""
        self._sending = True
        plain = self.protocol != "5"
        ids = [
            self._publish(
                topic, payload, qos, retain, None if plain or not extra else Properties(extra)
            )
            for topic, payload, retain, extra, qos in batch
        ]
        self._sending = False
        self._silence.sent(len(ids))
        self._write()
        return ids

    def subscribe(self, filters: Sequence[str], on_refused: OnRefused | None = None) -> None:
        """Ask for more topics, to come to `OnMessage`.

        `on_refused` is called for each filter that the broker refuses; without it that is logged.
        """
        # As published: or a command that the broker keeps would look like one that was just given.
        options = {"options": SubscribeOptions(qos=1, retainAsPublished=True)}
        for topic_filter in filters:
            asked = (topic_filter, on_refused or self._log_refused)
            try:
                _, packet_id = self._paho.subscribe(
                    topic_filter, **(options if self.protocol == "5" else {"qos": 1})
                )
            except ValueError as error:
                asked[1](topic_filter, str(error))
            else:
                self._asked[packet_id] = asked
        self._write()

    async def close(self) -> None:
        """Say goodbye, so that the last will is not published. Never raises; idempotent."""
        try:
            if not self.lost.done():
                self._paho.disconnect()
                self._write()
                await asyncio.wait((self.lost,), timeout=GOODBYE_S)
        finally:
            self._hang_up("closed")

    def _publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None
    ) -> int:
        publish = self._paho.publish
        sent = publish(topic, payload, qos, retain, properties)
        while sent.rc == _ID_IN_USE:  # one that was sent 65,535 packets ago is unanswered still
            sent = publish(topic, payload, qos, retain, properties)
        packet_id: int = sent.mid
        return packet_id

    def _connected(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if self._answer is None:
            self._answer = reason
            self.receive_maximum = getattr(properties, "ReceiveMaximum", _NO_LIMIT)
            self.max_packet_bytes = getattr(properties, "MaximumPacketSize", _MAX_PACKET)
        self._aiomqtt_on_connect(client, userdata, flags, reason, properties)

    def _disconnected(
        self, _client: Any, _userdata: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        by_broker = flags.is_disconnect_packet_from_server
        said = reasons.end_of_connection(reason.value, str(reason), by_broker=by_broker)
        # Not at once: `send` promises that nothing is called from within.
        self._loop.call_soon(self._lose, said)

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    def _hang_up(self, reason: str) -> None:
        """Be done with the socket, whatever state it is in."""
        self._lose(reason)
        if self._misc is not None:
            self._misc.cancel()
        self._paho.on_disconnect = None
        self._paho._sock_close()  # noqa: SLF001 - else it says goodbye first, and may wait
        self._sock.close()

    def _published(
        self, _client: Any, _userdata: Any, packet_id: int, reason: Any, _properties: Any
    ) -> None:
        self._silence.heard()
        code = reason.value
        self._on_ack(packet_id, reasons.refusal_of_publish(code, str(reason)) if code else None)

    def _subscribed(
        self, _client: Any, _userdata: Any, packet_id: int, codes: Any, _properties: Any
    ) -> None:
        topic_filter, on_refused = self._asked.pop(packet_id, ("", self._log_refused))
        for reason in codes:
            if topic_filter and reason.value >= reasons.FAILURE:
                on_refused(topic_filter, str(reason))

    def _log_refused(self, topic_filter: str, reason: str) -> None:
        if self._log is not None:
            self._log.warning(
                "the broker refuses a subscription", filter=topic_filter, reason=reason
            )

    def _arrived(self, _client: Any, _userdata: Any, message: Any) -> None:
        if self._on_message is None:
            return
        said = message.properties
        received = Received(
            message.topic,
            bytes(message.payload),
            bool(message.retain),
            getattr(said, "ResponseTopic", ""),
            getattr(said, "CorrelationData", None),
        )
        try:
            self._on_message(received)
        except Exception as error:  # noqa: BLE001 - the connection is not to blame
            if self._log is not None:
                self._log.error(
                    "a message was not handled", topic=received.topic, error=repr(error)
                )

    def _read(self) -> None:
        """The socket has something. Reads a bounded number of packets, so that others have a turn.

        Where TLS has taken more out of the socket than was read, nothing would call again.
        """
        if not self._reading_on:
            self._read_some()

    def _read_on(self) -> None:
        self._reading_on = False
        self._read_some()

    def _read_some(self) -> None:
        paho = self._paho
        try:
            for _ in range(_READS):
                paho.loop_read()
                sock = paho.socket()
                if sock is None:
                    return
                if not (hasattr(sock, "pending") and sock.pending()):
                    break
            else:
                self._reading_on = True
                self._loop.call_soon(self._read_on)
            # Or the kernel holds back what tells the broker's that an answer has arrived, for 40 ms,
            # and that one holds back the next answer until it knows (RFC 896 meets RFC 1122).
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            problem = self._excess()
        except Exception as error:  # noqa: BLE001 - whatever a broker may send
            problem = f"what the broker sent cannot be read: {error!r}"
        if problem:
            self._hang_up(problem)

    def _excess(self) -> str:
        """What the broker overdoes; empty: nothing."""
        paho = self._paho
        size = paho._in_packet["remaining_length"]  # noqa: SLF001 - paho has no bounds of its own
        if size > MOST_INBOUND_BYTES:
            return f"the broker sends a packet of {size:,} bytes, more than {MOST_INBOUND_BYTES:,}"
        if paho._in_messages:  # noqa: SLF001 - ditto
            return "the broker sends by QoS 2, for which nobody asked"
        if len(paho._out_packet) > MOST_UNREAD:  # noqa: SLF001 - ditto
            return "the broker sends, but does not read"
        return ""

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except Exception as error:  # noqa: BLE001 - whatever a socket may say
            self._hang_up(f"nothing can be written: {error!r}")
            return
        if self._paho.want_write():
            self._want_write(None, None, self._paho.socket())

    def _tick(self) -> None:
        """Pings, and notices that they are not answered, or messages are not acknowledged."""
        self._paho.loop_misc()
        if not self.lost.done():
            self._silence.look()
            self._misc = self._loop.call_later(_MISC_S, self._tick)

    def _watch(self, _client: Any, _userdata: Any, sock: Any) -> None:
        """In the thread in which aiomqtt connects."""

        def watch() -> None:
            if not self.lost.done():
                self._loop.add_reader(sock.fileno(), self._read)

        self._loop.call_soon_threadsafe(watch)

    def _want_write_from_thread(self, client: Any, userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._want_write, client, userdata, sock)

    def _unwatch(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._loop.remove_reader(sock.fileno())

    def _want_write(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if not (self._sending or self._writing or self.lost.done()) and sock is not None:
            self._writing = True
            self._loop.add_writer(sock.fileno(), self._write)

    def _no_write(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(sock.fileno())

    def _noted(self, _client: Any, _userdata: Any, _level: Any, text: str) -> None:
        """While connecting: what the socket said, for TLS tells there why it was refused."""
        if "[SSL" in text:
            self._trouble = text


def _looked_at(opening: "asyncio.Future[Any]") -> None:
    """Or asyncio says that nobody did."""
    if not opening.cancelled():
        opening.exception()
