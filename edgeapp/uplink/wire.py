"""The envelope around a body.

A body is encoded on a lane; sealing puts `id`, `time`, `clock` and the rest before it by splicing
bytes, which costs a few microseconds and never parses. It happens when a message is sent, so that
what waited gets the best time that is known by then.
"""

import re
import time
from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edgeapp.core.clock import NS
from edgeapp.core.message import Message
from edgeapp.uplink.connection import Extra
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import Instant, WallClock

ROOT = "edgeapp"
"""First level of every topic."""

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MS = 1_000_000
_LAST_SECOND = 253_402_300_799  # of the year 9999


MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}/[0-9]+/[0-9]+$")]
"""<device>/<run>/<n>."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What sealing adds to a body."""

    id: MessageId
    """The same whenever the message is sent again."""
    time: Annotated[
        str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
    ]
    """Wall time at which the packet was taken, RFC 3339 in UTC."""
    clock: Literal["synced", "unsynced"]
    """Whether `time` comes of a synchronised clock; otherwise it is a guess."""
    age_ms: Annotated[float, Meta(ge=0)] | None
    """Time from taking the packet to sealing the message; null where it cannot be known."""
    replay: bool
    """The message waited, and is sent beside those of now."""
    boot: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | UnsetType = UNSET
    """Only where `clock` is "unsynced": names the boot in which `up_ms` counts."""
    up_ms: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    """Ditto: when the packet was taken, in milliseconds since that boot."""


def message_schemas(bodies: Mapping[str, type[msgspec.Struct]]) -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each sealed message, by name, from the types of the bodies."""
    _, parts = msgspec.json.schema_components((Envelope, *bodies.values()))
    schemas = {}
    for name, body in bodies.items():
        schemas[name] = _sealed_schema(name, parts["Envelope"], parts[body.__name__])
        if inner := _inner(body):
            schemas[name]["$defs"] = {one: parts[one] for one in inner}
    return schemas


def _inner(body: type[msgspec.Struct]) -> list[str]:
    """The names of the structs that stand in one, in the order of their names."""
    _, parts = msgspec.json.schema_components((body,))
    return sorted(parts.keys() - {body.__name__})


def _sealed_schema(name: str, envelope: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    return {
        **body,
        "title": f"edgeapp/{name}/1",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {**envelope["properties"], **body["properties"]},
        "required": [*envelope["required"], *body["required"]],
        "if": {"properties": {"clock": {"const": "unsynced"}}},
        "then": {"required": ["boot", "up_ms"]},
        "else": {"properties": {"boot": False, "up_ms": False}},
    }


class Topics:
    """The topics of one device."""

    def __init__(self, device: str, prefix: str = ROOT) -> None:
        """Check the device's name. `prefix`: the levels above it.

        Raises:
            ValueError: it cannot be a level of a topic.
        """
        if not _DEVICE.fullmatch(device):
            raise ValueError(
                f"'{device}' cannot be a device's name: use 1 to 64 letters, digits, '_', '.', '-'"
            )
        self.device = device
        self.below = f"{prefix}/{device}/"
        self.status = f"{self.below}status"
        self.all = f"{self.below}#"


class Sealer:
    """Puts the envelope around bodies. Safe from any thread: it only reads clocks."""

    def __init__(self, device: str, run: int, wall: WallClock) -> None:
        """Begin to seal. `wall` counts on the clock that stamps `Message.taken_ns`."""
        self.run = run
        """The run of this device that messages which never wait are numbered in."""
        self._device = device
        self._prefix = f'{{"id":"{device}/'.encode()
        self._wall = wall
        self._boot = wall.boot.encode()
        self._second: tuple[int | None, bytes] = (None, b"")

    def seal(
        self, message: Message, key: Key, *, boot: str | None = None, replay: bool = False
    ) -> bytes:
        """A message as it leaves the device; a binary body is returned as it is.

        `boot`: in which `message.taken_ns` counts; None: this one. `replay`: the message waited,
        and is sent beside those of now.
        """
        if message.binary:
            return message.body
        taken_ns = message.taken_ns
        if boot is None:
            now_ns, (offset_ns, synced) = self._wall.now()
            wall_ns = taken_ns + offset_ns
            age = b"%.1f" % ((now_ns - taken_ns) / _MS) if now_ns > taken_ns else b"0.0"
        else:
            wall_ns, synced = self._wall.time_of(taken_ns, boot)
            age_ns = self._wall.age_ns(taken_ns, boot)
            age = b"null" if age_ns is None else b"%.1f" % (age_ns / _MS)
        return b'%b%d/%d","time":"%b","clock":"%b","age_ms":%b,"replay":%b,%b' % (
            self._prefix,
            *key,
            self._text(wall_ns),
            b"synced" if synced else b"unsynced",
            age,
            b"true" if replay else b"false",
            message.body[1:] if synced else self._of_boot(message, boot),
        )

    def extra(
        self, message: Message, key: Key, *, boot: str | None = None, replay: bool = False
    ) -> Extra | None:
        """What goes beside a message where MQTT 5 is spoken; None: nothing.

        What is left of its time to live, at least a second; and of a binary body its content type
        and the fields of the envelope, in words.
        """
        if message.ttl_s is None and not message.binary:
            return None
        expiry_s = None
        if message.ttl_s is not None:
            left_s = message.ttl_s - self._wall.least_age_ns(message.taken_ns, boot) / NS
            expiry_s = max(1, ceil(left_s))
        if not message.binary:
            return Extra(expiry_s)
        return Extra(
            expiry_s, message.content_type, user=self._words(message.taken_ns, key, boot, replay)
        )

    def _words(
        self, taken_ns: int, key: Key, boot: str | None, replay: bool
    ) -> tuple[tuple[str, str], ...]:
        instant: Instant = self._wall.time_of(taken_ns, boot)
        age_ns = self._wall.age_ns(taken_ns, boot)
        words = [
            ("id", f"{self._device}/{key.run}/{key.number}"),
            ("time", self._text(instant.wall_ns).decode()),
            ("clock", "synced" if instant.synced else "unsynced"),
            ("replay", "true" if replay else "false"),
        ]
        if age_ns is not None:
            words.append(("age_ms", f"{age_ns / _MS:.1f}"))
        if not instant.synced:
            words += [("boot", boot or self._wall.boot), ("up_ms", f"{max(0, taken_ns) / _MS:.1f}")]
        return tuple(words)

    def _of_boot(self, message: Message, boot: str | None) -> bytes:
        return b'"boot":"%b","up_ms":%.1f,%b' % (
            boot.encode() if boot else self._boot,
            max(0, message.taken_ns) / _MS,
            message.body[1:],
        )

    def _text(self, wall_ns: int) -> bytes:
        """Wall time in words; what is before 1970 or after the year 9999 is moved there."""
        seconds, rest_ns = divmod(wall_ns, NS)
        known, text = self._second
        if known != seconds:
            shown = min(max(0, seconds), _LAST_SECOND)
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(shown)).encode()
            self._second = (seconds, text)
        return b"%b.%03dZ" % (text, rest_ns // _MS)
