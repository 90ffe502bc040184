"""What the uplink needs of one connection to a broker, and where that broker is."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from edgeapp.core.secret import Secret

_AROUND_PUBLISH = 13  # type, length, length of the topic, packet id, length of the properties
_AROUND_EXTRA = 14  # expiry, and the heads of content type and correlation; a longer length
_AROUND_PAIR = 5


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is protected: TLS 1.2 or later, the broker's certificate checked."""

    ca: Path | None = None
    """Certificates to trust, in PEM; None: those of the system."""
    cert: Path | None = None
    """This device's own certificate, in PEM."""
    key: Path | None = None
    """Its private key; None: it is in the same file as the certificate."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker, and how this device makes itself known to it."""

    host: str
    port: int = 1883
    username: Secret | None = None
    password: Secret | None = None
    tls: Tls | None = None
    keepalive_s: int = 30
    """The broker notices within one and a half times this that the device is gone."""

    def __str__(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Extra:
    """What only MQTT 5 can say of a message; left out where 3.1.1 is spoken."""

    expiry_s: int | None = None
    """After so many seconds the broker need not deliver it any more."""
    content_type: str = ""
    correlation: bytes | None = None
    """Of the request that this answers."""
    user: tuple[tuple[str, str], ...] = ()
    """Names and values for the receiver."""

    def most_bytes(self) -> int:
        """How large it is in a packet at most."""
        texts = self.content_type + "".join(name + value for name, value in self.user)
        return (
            _AROUND_EXTRA
            + len(self.correlation or b"")
            + len(self.user) * _AROUND_PAIR
            + len(texts.encode())
        )


class Publication(NamedTuple):
    """One message as it goes to the broker."""

    topic: str
    payload: bytes
    retain: bool
    extra: Extra | None = None
    qos: Literal[0, 1] = 1
    """0: it is not acknowledged, and takes no part of `Connection.receive_maximum`."""

    def most_bytes(self) -> int:
        """How large its packet is at most, in whichever version of MQTT."""
        size = _AROUND_PUBLISH + len(self.topic.encode()) + len(self.payload)
        return size + (self.extra.most_bytes() if self.extra else 0)


class Received(NamedTuple):
    """A message that came from the broker."""

    topic: str
    payload: bytes
    retain: bool
    """It is kept by the broker; where MQTT 5 is spoken, also if it was kept while we listened."""
    response_topic: str = ""
    """Where the sender wants the answer; empty: it did not say, or speaks 3.1.1."""
    correlation: bytes | None = None
    """To be sent back with the answer."""


OnAck = Callable[[int, "Refusal | None"], None]
"""Called on the event loop with the packet id and, where the broker refused it, why."""


class Refusal(NamedTuple):
    """A broker's answer to a message that it did not take."""

    reason: str
    """In words."""
    for_good: bool
    """It will refuse the same message again; otherwise it may take it later."""


OnMessage = Callable[[Received], None]
"""Called on the event loop with each message of a subscription."""


class Connection(Protocol):
    """One connection, from CONNACK until it is lost or closed. For the event loop only."""

    protocol: str
    """Version spoken: "5" or "3.1.1"."""
    receive_maximum: int
    """How many messages the broker takes before it acknowledges one."""
    max_packet_bytes: int
    """The largest packet that the broker takes."""
    lost: asyncio.Future[str]
    """Done, with the reason, once the connection is gone."""

    def send(self, batch: Sequence[Publication]) -> list[int]:
        """Write a batch to the socket, as far as it takes it now; returns the packet ids.

        Order is kept. Acknowledgements come to `OnAck`, never from within this call.
        """

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for more topics, to come to `OnMessage`. A filter that is refused is logged."""

    async def close(self) -> None:
        """Say goodbye, so that the last will is not published. Never raises; idempotent."""


class Connect(Protocol):
    """Opens connections to one broker, one after the other."""

    async def __call__(
        self, on_ack: OnAck, *, filters: Sequence[str] = (), on_message: OnMessage | None = None
    ) -> Connection:
        """Connect, with the last will set, and subscribe to `filters`.

        A filter that the broker refuses is logged, and does not end the connection.

        Raises:
            Unavailable: the broker is not there or refuses; says which and why.
        """
