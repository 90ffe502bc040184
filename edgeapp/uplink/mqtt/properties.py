"""MQTT 5 properties of a PUBLISH, packed as MQTT says (section 3.3.2.3 of its specification).

paho's `Properties` builds its tables anew for each object, which takes longer than all the rest of
sending a message. It asks its argument for nothing but `pack`.
"""

import struct

from edgeapp.uplink.connection import Extra

_EXPIRY, _CONTENT_TYPE, _CORRELATION, _USER = 0x02, 0x03, 0x09, 0x26
_MORE = 0x80  # of a length: another seven bits follow


class Properties:
    """What `Extra` says, in bytes."""

    __slots__ = ("_packed",)

    def __init__(self, extra: Extra) -> None:
        parts: list[bytes] = []
        if extra.expiry_s is not None:
            parts.append(struct.pack("!BI", _EXPIRY, extra.expiry_s))
        if extra.content_type:
            parts += (bytes((_CONTENT_TYPE,)), _field(extra.content_type.encode()))
        if extra.correlation is not None:
            parts += (bytes((_CORRELATION,)), _field(extra.correlation))
        for name, value in extra.user:
            parts += (bytes((_USER,)), _field(name.encode()), _field(value.encode()))
        body = b"".join(parts)
        self._packed = _length(len(body)) + body

    def pack(self) -> bytes:
        """Length and properties, as they stand in the packet."""
        return self._packed


def _field(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _length(count: int) -> bytes:
    packed = bytearray()
    while count >= _MORE:
        packed.append(count % _MORE | _MORE)
        count //= _MORE
    packed.append(count)
    return bytes(packed)
