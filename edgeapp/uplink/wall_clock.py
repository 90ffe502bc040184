"""The one place where monotonic time becomes wall time.

Everything inside runs on the monotonic clock, which nobody can set. Wall time is that clock plus an
offset, which holds for one boot. On Linux NTP slews both clocks alike, so the offset changes by
steps alone, and the kernel calls the wall clock unsynchronised from a step until NTP has set it
right. Hence the rules:

- While the kernel says that the wall clock is synchronised, its offset is taken, whatever it is.
- From then on that offset is held: who steps the clock by hand, or stops NTP, moves nothing.
- Until then the wall clock as it stands is the best guess there is, and `synced` is False.
"""

import ctypes
import errno
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from edgeapp.core.clock import NS, Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READINGS = 3
_GOOD_READING_NS = 50_000
_NOISE_NS = 1_000_000  # a difference below it comes of reading two clocks one after the other
_NEVER_NS = -(1 << 62)
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_STEP_NS = NS // 2  # timesyncd slews what is less
_DRIFTED_NS = 32_000 * NS  # at 500 ppm it may be 16 s off by then, where the kernel gives up, too


class Offset(NamedTuple):
    """Wall time less monotonic time, within one boot."""

    offset_ns: int
    synced: bool
    """It was read while the wall clock was synchronised; otherwise it is a guess."""


class Instant(NamedTuple):
    """A moment as wall time."""

    wall_ns: int
    """Nanoseconds since 1970, UTC."""
    synced: bool
    """Otherwise it is a guess, which may be wrong by years."""


class WallClock:
    """Wall time and age of monotonic instants, of this boot and of earlier ones.

    Safe from any thread. The wall clock and the kernel are asked at most once a second.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        boot: str | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        synchronised: Callable[[], bool] | None = None,
    ) -> None:
        """Begin; nothing is read yet.

        `clock`: monotonic since the boot, such as stamps `Message.taken_ns`. `boot`: names this
        boot; the kernel's id of it unless given. `wall_ns`: nanoseconds since 1970.
        `synchronised`: whether the wall clock can be trusted now; the kernel's word unless given.
        """
        self.boot = boot_id() if boot is None else boot
        self._clock = clock
        self._wall_ns = wall_ns
        self._synchronised = synchronised or wall_clock_is_synchronised
        self._lock = threading.Lock()
        self._now: tuple[int, Offset] = (_NEVER_NS, Offset(0, synced=False))  # when asked, offset
        self._earlier: dict[str, Offset] = {}

    def offset(self) -> Offset:
        """The offset of this boot; equal to the one before unless it really changed."""
        return self._offset(self._clock.now_ns())

    def now(self) -> tuple[int, Offset]:
        """Monotonic time, and the offset of this boot."""
        now_ns = self._clock.now_ns()
        return now_ns, self._offset(now_ns)

    def learn(self, offsets: Mapping[str, Offset]) -> None:
        """Take the offsets of earlier boots, by their ids. What it says of this boot is ignored."""
        self._earlier = {**self._earlier, **offsets}

    def time_of(self, mono_ns: int, boot: str | None = None) -> Instant:
        """Wall time of a monotonic instant of `boot`; None: of this one.

        Of a boot that nothing is known of, it is before this one began, and that is the guess.
        """
        if boot is None or boot == self.boot:
            offset_ns, synced = self.offset()
            return Instant(mono_ns + offset_ns, synced)
        earlier = self._earlier.get(boot)
        if earlier is None:
            return Instant(self.offset().offset_ns, synced=False)
        return Instant(mono_ns + earlier.offset_ns, earlier.synced)

    def age_ns(self, mono_ns: int, boot: str | None = None) -> int | None:
        """How long ago an instant of `boot` was, at least 0.

        None: unknown. It was in an earlier boot, and the wall clock was not synchronised then, or
        is not now.
        """
        if boot is None or boot == self.boot:
            return max(0, self._clock.now_ns() - mono_ns)
        earlier = self._earlier.get(boot)
        now_ns, offset = self.now()
        if earlier is None or not (earlier.synced and offset.synced):
            return None
        return max(0, now_ns + offset.offset_ns - (mono_ns + earlier.offset_ns))

    def least_age_ns(self, mono_ns: int, boot: str | None = None) -> int:
        """How long ago an instant of `boot` was, or the least that is certain.

        An instant of an earlier boot is older than this boot. So nothing expires too early.
        """
        age_ns = self.age_ns(mono_ns, boot)
        return max(0, self._clock.now_ns()) if age_ns is None else age_ns

    def _offset(self, now_ns: int) -> Offset:
        asked_ns, offset = self._now
        if now_ns - asked_ns < NS:
            return offset
        with self._lock:
            asked_ns, offset = self._now
            if now_ns - asked_ns >= NS:
                offset = self._newer(offset)
                self._now = (now_ns, offset)
            return offset

    def _newer(self, held: Offset) -> Offset:
        # Asked before and after: a step in between makes the reading worth nothing.
        synced = self._synchronised()
        offset_ns = self._read()
        synced = synced and self._synchronised()
        if held.synced and not synced:
            return held
        if held.synced is synced and abs(offset_ns - held.offset_ns) < _NOISE_NS:
            return held
        return Offset(offset_ns, synced)

    def _read(self) -> int:
        """Wall time less monotonic time, by the quickest of a few readings."""
        best_ns, offset_ns = 0, 0
        for attempt in range(_READINGS):
            before_ns = self._clock.now_ns()
            wall_ns = self._wall_ns()
            took_ns = self._clock.now_ns() - before_ns
            if attempt == 0 or took_ns < best_ns:
                best_ns, offset_ns = took_ns, wall_ns - before_ns - took_ns // 2
            if best_ns <= _GOOD_READING_NS:
                break
        return offset_ns


@cache
def boot_id() -> str:
    """The kernel's id of this boot; where it has none, one that holds for this process."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return str(uuid.uuid4())


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


class Timesyncd:
    """Whether systemd-timesyncd keeps the wall clock right: what a service knows that may not ask the kernel.

    It touches a file whenever it has set the clock. A step since then was somebody else's.
    """

    def __init__(
        self,
        touched: Path = Path("/run/systemd/timesync/synchronized"),
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Begin; nothing is read yet."""
        self._touched = touched
        self._wall_ns = wall_ns
        self._mono_ns = mono_ns
        self._right: tuple[int, int] | None = None
        """When it was touched, and the offset that was seen first after that."""

    def __call__(self) -> bool:
        """Whether it does now."""
        try:
            touched_ns = self._touched.stat().st_mtime_ns
        except OSError:
            return False
        wall_ns = self._wall_ns()
        offset_ns = wall_ns - self._mono_ns()
        if self._right is None or self._right[0] != touched_ns:
            self._right = (touched_ns, offset_ns)
        stepped = abs(offset_ns - self._right[1]) > _STEP_NS
        return not stepped and -_STEP_NS < wall_ns - touched_ns < _DRIFTED_NS


_timesyncd = Timesyncd()


@cache
def _c_library() -> ctypes.CDLL:
    """Opened once, for a type is made each time, some bytes of which stay."""
    return ctypes.CDLL(None, use_errno=True)


def wall_clock_is_synchronised() -> bool:
    """Whether the kernel knows the wall clock to be synchronised, by adjtimex(2).

    Where it may not be asked, as in a service with ProtectClock=yes, `Timesyncd` is.
    """
    timex = _Timex()
    try:
        state: int = _c_library().adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):  # a C library without it
        return False
    if state < 0 and ctypes.get_errno() == errno.EPERM:
        return _timesyncd()
    return 0 <= state < _TIME_ERROR and not timex.status & _STA_UNSYNC
