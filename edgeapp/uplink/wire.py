"""The envelope around a body, and the one place where monotonic time becomes wall time.

A body is encoded on a lane; sealing puts `id`, `time`, `clock` and `age_ms` before it by splicing
bytes, which costs a few microseconds and never parses.
"""

import ctypes
import re
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeapp.core.clock import NS, Clock
from edgeapp.core.message import Message

ROOT = "edgeapp"
"""First level of every topic."""

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_MS = 1_000_000


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What sealing adds to a body."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}/[0-9]+/[0-9]+$")]
    """<device>/<run>/<n>; the same whenever the message is sent again."""
    time: Annotated[
        str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
    ]
    """Wall time at which the packet was taken, RFC 3339 in UTC."""
    clock: Literal["synced", "unsynced"]
    """Whether the device's wall clock was synchronised when the message was sealed."""
    age_ms: Annotated[float, Meta(ge=0)]
    """Time from taking the packet to sealing the message."""


def message_schema(body: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a sealed message, from the schema of its body."""
    envelope = msgspec.json.schema_components([Envelope])[1]["Envelope"]
    return {
        **body,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {**envelope["properties"], **body["properties"]},
        "required": [*envelope["required"], *body["required"]],
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

    def __init__(
        self,
        device: str,
        run: int,
        clock: Clock,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        synchronised: Callable[[], bool] | None = None,
    ) -> None:
        """Begin to seal.

        `clock` must be the one that stamps `Message.taken_ns`. `wall_ns`: nanoseconds since 1970.
        `synchronised`: whether the wall clock can be trusted; asked at most once a second.
        """
        self._prefix = f'{{"id":"{device}/{run}/'.encode()
        self._clock = clock
        self._wall_ns = wall_ns
        self._synchronised = synchronised or wall_clock_is_synchronised
        self._synced: tuple[int, bytes] = (-NS, b"")
        self._second: tuple[int, bytes] = (-1, b"")

    def seal(self, message: Message, number: int) -> bytes:
        """A message as it leaves the device; `number` becomes the last part of its id."""
        if message.binary:
            return message.body
        now_ns = self._clock.now_ns()
        age_ns = max(0, now_ns - message.taken_ns)
        seconds, rest_ns = divmod(self._wall_ns() - age_ns, NS)
        known, text = self._second
        if known != seconds:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()
            self._second = (seconds, text)
        return b'%b%d","time":"%b.%03dZ","clock":"%b","age_ms":%.1f,%b' % (
            self._prefix,
            number,
            text,
            rest_ns // _MS,
            self._state(now_ns),
            age_ns / _MS,
            message.body[1:],
        )

    def _state(self, now_ns: int) -> bytes:
        asked_ns, state = self._synced
        if not state or now_ns - asked_ns >= NS:
            state = b"synced" if self._synchronised() else b"unsynced"
            self._synced = (now_ns, state)
        return state


class _Timex(ctypes.Structure):
    """The start of Linux's `struct timex`, with room for all of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def wall_clock_is_synchronised() -> bool:
    """Whether the kernel knows the wall clock to be synchronised, by adjtimex(2)."""
    timex = _Timex()
    try:
        state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):  # a C library without it
        return False
    return 0 <= state < _TIME_ERROR and not timex.status & _STA_UNSYNC
