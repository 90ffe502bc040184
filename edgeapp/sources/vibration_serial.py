"""Reading sensors on a serial line for the `vibration` source."""

import errno
import fcntl
import os
import termios
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Context, Unavailable
from edgeapp.sources._fd import Readable
from edgeapp.sources._serial_frames import FORMAT, SAMPLES, Format, FrameError, FrameFinder
from edgeapp.sources.vibration_readers import Block, Channels, choose

NS = 1_000_000_000
DEFAULT_BAUD = 921_600
SILENCE_S = 5.0
_NUMBERS = 1 << 32
_MOST_MISSING_S = 60.0
_READ_BYTES = 4096


def bauds() -> dict[int, int]:
    """The rates that this system knows, with its code for each."""
    named = {name[1:]: getattr(termios, name) for name in dir(termios) if name.startswith("B")}
    return {int(name): code for name, code in named.items() if name.isdecimal() and int(name)}


class SerialSensor:
    """Reads framed samples from a serial line.

    Every sample has a number, so those that were lost on the way, or by the sensor, are known
    exactly. Damaged frames are passed over and counted.
    """

    def __init__(
        self,
        path: Path,
        baud: int,
        rate_hz: float | None,
        channels: Channels,
        context: Context,
    ) -> None:
        self._path = path
        self._baud = baud
        self._asked_hz = rate_hz
        self._wanted = channels
        self._context = context
        self._finder = FrameFinder()
        self._format: Format | None = None
        self._next = 0
        self._begun = False
        self._waiting: list[Block] = []
        self._told_broken = 0
        self.rate_hz = 0.0
        self.channels: tuple[str, ...] = ()
        self.units: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        """Open the line and wait until the sensor has said what it sends.

        Raises:
            Unavailable: it cannot be opened, or nothing comes that could be understood.
            Stopping: the pipeline stops meanwhile.
        """
        with ExitStack() as opening:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                hint = ""
                if error.errno in {errno.EACCES, errno.EPERM}:
                    hint = "; put the service's user into the group that owns it (dialout)"
                raise Unavailable(f"cannot open {self._path}: {error.strerror}{hint}") from None
            opening.callback(os.close, fd)
            self._set_up(fd)
            self._readable = Readable(fd, str(self._path), self._context, SILENCE_S)
            while self._format is None:
                self._hear()
            self._open_things = opening.pop_all()
        return self

    def _set_up(self, fd: int) -> None:
        """Eight data bits, no parity, one stop bit, nothing translated, no other reader."""
        try:
            fcntl.ioctl(fd, termios.TIOCEXCL)
            _, _, control, _, _, _, special = termios.tcgetattr(fd)
            control &= ~(termios.CSIZE | termios.PARENB | termios.CSTOPB | termios.CRTSCTS)
            control |= termios.CS8 | termios.CREAD | termios.CLOCAL
            speed = bauds()[self._baud]
            termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control, 0, speed, speed, special])
            termios.tcflush(fd, termios.TCIFLUSH)
        except (OSError, termios.error) as error:
            why = error.args[-1]
            raise Unavailable(f"{self._path} cannot be set up as a serial line: {why}") from None
        self._heard_ns = self._context.clock.now_ns()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the line."""
        self._open_things.close()

    def read_block(self, count: int) -> Block:
        """About the next `count` samples: whole frames, up to a gap."""
        while not self._enough(count):
            self._hear()
        first, *rest = self._waiting
        taken = [first]
        total = first.count
        while rest and not rest[0].missing and total + rest[0].count <= count:
            taken.append(rest.pop(0))
            total += taken[-1].count
        self._waiting = rest
        samples = np.concatenate([b.samples for b in taken if b.samples is not None], axis=1)
        return Block(total, samples, missing=first.missing)

    def _enough(self, count: int) -> bool:
        waiting = self._waiting
        return bool(waiting) and (
            sum(block.count for block in waiting) >= count
            or any(block.missing for block in waiting[1:])
        )

    def _hear(self) -> None:
        """Take what has come on the line."""
        frames = self._finder.feed(self._readable.read(_READ_BYTES))
        now_ns = self._context.clock.now_ns()
        for kind, payload in frames:
            try:
                if kind == FORMAT:
                    self._agree(Format.parse(payload))
                    self._heard_ns = now_ns
                elif kind == SAMPLES and self._format is not None:
                    self._add(*self._format.samples(payload), self._format)
                    self._heard_ns = now_ns
            except FrameError as error:
                raise Unavailable(f"{self._path} sends what cannot be read: {error}") from None
        self._tell_broken()
        if now_ns - self._heard_ns > SILENCE_S * NS:
            raise Unavailable(self._not_understood())

    def _not_understood(self) -> str:
        if self._format is None and not self._finder.broken and self._finder.skipped == 0:
            return f"{self._path} has not said what it sends: no format frame in {SILENCE_S:g} s"
        return (
            f"bytes come on {self._path} at {self._baud} baud, but no frame could be read for "
            f"{SILENCE_S:g} s: is that the sensor's baud rate, and does it speak the protocol of "
            "docs/serial-protocol.md?"
        )

    def _agree(self, said: Format) -> None:
        """Take the sensor's word for what it sends.

        Raises:
            Unavailable: it is not what was asked for, or changes.
        """
        if said == self._format:
            return
        if self._format is not None:
            raise Unavailable(f"the sensor at {self._path} changed what it sends")
        if self._asked_hz is not None and abs(said.rate_hz / self._asked_hz - 1) > 1e-3:  # noqa: PLR2004
            raise Unavailable(
                f"the sensor at {self._path} samples at {said.rate_hz:g} Hz, not at rate_hz "
                f"{self._asked_hz:g} Hz: leave rate_hz out or set the sensor"
            )
        try:
            self.channels, chosen = choose(self._wanted, said.channels, named=True)
        except ValueError as error:
            raise Unavailable(f"the sensor at {self._path}: {error}") from None
        self._chosen = list(chosen)
        self.units = tuple(said.units[column] for column in chosen)
        self._scales = np.array([[said.scales[column]] for column in chosen], np.float32)
        self.rate_hz = said.rate_hz
        self._format = said

    def _add(self, first: int, numbers: NDArray[np.int32], said: Format) -> None:
        count = numbers.shape[1]
        missing = (first - self._next) % _NUMBERS if self._begun else 0
        if missing > _MOST_MISSING_S * said.rate_hz:
            raise Unavailable(f"the sensor at {self._path} began to count anew")
        self._begun = True
        self._next = (first + count) % _NUMBERS
        if not count:  # only says that samples before it were lost: the next frame says it too
            self._next = (first - missing) % _NUMBERS
            return
        samples = numbers[self._chosen].astype(np.float32) * self._scales
        self._waiting.append(Block(count, samples, missing=missing))

    def _tell_broken(self) -> None:
        broken = self._finder.broken
        if broken & (broken - 1) == 0 and broken != self._told_broken:  # 1st, 2nd, 4th, 8th...
            self._told_broken = broken
            self._context.log.warning("damaged frames", so_far=broken, device=str(self._path))
