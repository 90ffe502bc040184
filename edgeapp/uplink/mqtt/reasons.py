"""What a broker's reason codes mean, in words, and which refusals are for good.

Codes are those of MQTT 5 (section 2.4 of its specification); answers in 3.1.1 are given as their
likes in 5.
"""

from edgeapp.uplink.connection import Endpoint, Refusal

FAILURE = 0x80
"""Codes from here on are failures."""
UNSUPPORTED_VERSION = 0x84

CUT = "it was cut"

_BAD_CREDENTIALS = frozenset({0x86, 0x87})

_OF_PUBLISH = {
    0x80: Refusal("the broker does not say why", for_good=False),
    0x83: Refusal("the broker cannot take it now", for_good=False),
    0x87: Refusal(
        "not authorised to publish on this topic: see the broker's access rules", for_good=True
    ),
    0x90: Refusal("the broker takes no such topic", for_good=True),
    0x91: Refusal("the number of its packet is in use", for_good=False),
    0x97: Refusal("the broker's quota is exceeded", for_good=False),
    0x99: Refusal("the broker refuses the payload's format", for_good=True),
}

_OF_DISCONNECT = {
    0x00: "the broker ended it",
    0x81: "the broker found a packet malformed",
    0x87: "the broker does not authorise this device any more",
    0x89: "the broker is busy",
    0x8B: "the broker shuts down",
    0x8D: "the broker heard nothing for too long",
    0x8E: "another client with the same id came: give each device a name of its own",
    0x93: "the broker got more messages at a time than it takes",
    0x95: "a packet was larger than the broker takes",
    0x96: "the broker got messages faster than it takes",
    0x97: "the broker's quota is exceeded",
    0x98: "the broker's administrator ended it",
    0x9A: "the broker keeps no retained messages",
    0x9B: "the broker knows no QoS 1",
}

_OF_THIS_SIDE = {
    0x00: "closed",
    0x82: "what the broker sent is not MQTT",
    0x8D: "the broker does not answer any more",
}


def refusal_of_publish(code: int, name: str) -> Refusal | None:
    """What a PUBACK says; None where the broker took the message.

    Not to be tried again is only what will not change by itself.
    """
    if code < FAILURE:
        return None
    return _OF_PUBLISH.get(code) or Refusal(f"the broker says: {name}", for_good=True)


def refusal_of_connect(code: int, name: str, endpoint: Endpoint) -> str:
    """Why a CONNACK refuses the connection, and what to do."""
    if code not in _BAD_CREDENTIALS:
        return f"it refuses the connection: {name}"
    if endpoint.username is None:
        return "it wants a user name and a password: give mqtt.username and mqtt.password"
    return (
        "it refuses this user name and password (not authorised): check what mqtt.username and "
        "mqtt.password refer to"
    )


def end_of_connection(code: int, name: str, *, by_broker: bool) -> str:
    """Why a connection ended."""
    if by_broker:
        return _OF_DISCONNECT.get(code) or f"the broker ended it: {name}"
    return _OF_THIS_SIDE.get(code) or CUT
