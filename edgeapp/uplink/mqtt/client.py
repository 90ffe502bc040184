"""MQTT as spoken by aiomqtt: the only module that imports it.

It builds the client and connects it. From then on paho-mqtt, which aiomqtt stands on, is tied to
the event loop by `session`.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeapp.core.clock import Clock, MonotonicClock
from edgeapp.core.context import Log
from edgeapp.core.secret import Secret
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, OnAck, OnMessage, Publication
from edgeapp.uplink.mqtt.expiry import ExpiryWatch
from edgeapp.uplink.mqtt.session import MOST_INBOUND_BYTES, MqttConnection
from edgeapp.uplink.mqtt.tcp import dial
from edgeapp.uplink.mqtt.versions import Version, Versions
from edgeapp.uplink.mqtt.welcome import NotUnderstoodError

_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_LONGEST_FIELD = 65_535
_INBOUND_WINDOW = 100  # messages that the broker may send before one is acknowledged


class Connector:
    """Connects to one broker; remembers which protocol version it understood."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client_id: str | None = None,
        will: Publication | None = None,
        log: Log | None = None,
        clock: Clock | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is opened. Without `client_id` the connection gets a random one.

        `wall_s`: seconds since 1970, to judge by when this device's certificate expires.
        """
        self._endpoint = endpoint
        self._client_id = client_id
        self._will = will
        self._log = log
        self._versions = Versions(clock or MonotonicClock())
        cert = endpoint.tls.cert if endpoint.tls else None
        self._expiry = ExpiryWatch(cert, log, wall_s) if cert and log else None

    async def __call__(
        self, on_ack: OnAck, *, filters: Sequence[str] = (), on_message: OnMessage | None = None
    ) -> "MqttConnection":
        """Connect by MQTT 5, or by 3.1.1 where the broker cannot, and be it by not answering.

        Raises:
            Unavailable: the broker is not there or refuses; says which and why.
        """
        version = self._versions.first()
        try:
            connection = await self._open(version, on_ack, on_message)
        except NotUnderstoodError as error:
            other = self._versions.instead(version, said_so=error.said_so)
            if other is None:
                raise self._unavailable(error) from None
            version = other
            try:
                connection = await self._open(version, on_ack, on_message)
            except NotUnderstoodError as again:
                more = "" if str(again) == str(error) else f"; in {version}: {again}"
                raise self._unavailable(f"{error}{more}") from None
        self._versions.worked(version)
        connection.subscribe(filters)
        if self._expiry is not None:
            self._watching = asyncio.ensure_future(self._expiry.until(connection.lost))
        return connection

    async def _open(
        self, version: Version, on_ack: OnAck, on_message: OnMessage | None
    ) -> "MqttConnection":
        endpoint, will = self._endpoint, self._will
        # Read each time: they may have been renewed. Before dialling, which takes longer.
        try:
            username = _revealed("username", endpoint.username)
            password = _revealed("password", endpoint.password)
        except Unavailable as error:
            raise self._unavailable(error) from None
        client = aiomqtt.Client(
            endpoint.host,
            endpoint.port,
            username=username,
            password=password,
            identifier=self._client_id,
            protocol=_PROTOCOLS[version],
            clean_session=True if version == "3.1.1" else None,
            will=aiomqtt.Will(will.topic, will.payload, 1, will.retain) if will else None,
            keepalive=endpoint.keepalive_s,
            timeout=math.inf,  # how long it takes is decided below
            max_inflight_messages=0,  # the uplink keeps the window
            properties=_connect_properties() if version == "5" else None,
        )
        sock = await dial(endpoint)
        connection = MqttConnection(
            client, sock, version, endpoint, on_ack=on_ack, on_message=on_message, log=self._log
        )
        try:
            await connection.open()
        except aiomqtt.MqttError as error:
            raise self._unavailable(error) from None
        return connection

    def _unavailable(self, problem: object) -> Unavailable:
        return Unavailable(f"broker {self._endpoint}: {problem}")


def _revealed(option: str, secret: Secret | None) -> str | None:
    """A secret as a field of a CONNECT. What is wrong is said without it.

    Raises:
        Unavailable: it is not there, or is more or other than such a field can hold.
    """
    if secret is None:
        return None
    text = secret.reveal(hide=option != "username")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Unavailable(f"what mqtt.{option} refers to is not UTF-8 text") from None
    if size > _LONGEST_FIELD:
        raise Unavailable(
            f"what mqtt.{option} refers to has {size:,} bytes: MQTT takes {_LONGEST_FIELD:,}"
        )
    if any(ord(char) < ord(" ") for char in text):
        raise Unavailable(
            f"what mqtt.{option} refers to has a line break or control character in it: "
            "store it in one line, and nothing else"
        )
    return text


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types
    properties.ReceiveMaximum = _INBOUND_WINDOW
    properties.MaximumPacketSize = MOST_INBOUND_BYTES
    return properties
