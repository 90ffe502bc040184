"""Reading sensors of the Linux IIO subsystem for the `vibration` source."""

import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Context, Unavailable
from edgeapp.sources._fd import Readable
from edgeapp.sources._iio import IioDevice, names_of, same_rate, unit_of
from edgeapp.sources._iio_format import Element, Frames, Layout
from edgeapp.sources._iio_gaps import LOOK, Gaps
from edgeapp.sources.vibration_readers import Block, Channels, choose

NS = 1_000_000_000
MOST_POLLED_HZ = 100.0
"""Each polled sample costs system calls on every channel, and comes when the scheduler lets it."""
SILENCE_S = 5.0
BUFFERED_S = 2.0
"""How long the kernel keeps samples while nobody reads."""
_LEAST_SCANS, _MOST_SCANS = 64, 1 << 16
_MOST_MISSING_S = 60.0
_TELL_RATE_OFF = 0.01


def open_iio(
    wanted: str,
    root: Path,
    rate_hz: float | None,
    channels: Channels,
    context: Context,
) -> "BufferedIio | PolledIio":
    """The device as it can be read best: through its buffer, else one sample at a time."""
    device = IioDevice.find(wanted, root)
    reader = PolledIio if device.scan is None else BufferedIio
    return reader(device, rate_hz, channels, context)


class _Iio:
    """What both ways of reading share: which channels, and what their numbers mean."""

    def __init__(
        self, device: IioDevice, there: tuple[str, ...], channels: Channels, context: Context
    ) -> None:
        self._device = device
        self._context = context
        by_name = names_of(there)
        if not by_name:
            raise Unavailable(f"{device.name} has no channels that can be read")
        if channels is None:
            accelerations = [name for name, kernel in by_name.items() if kernel != name]
            channels = tuple(accelerations or by_name)
        try:
            self.channels, chosen = choose(channels, tuple(by_name), named=True)
        except ValueError as error:
            raise Unavailable(f"{device.name}: {error}") from None
        self._names = [tuple(by_name.values())[column] for column in chosen]
        self.units = tuple(unit_of(name) for name in self._names)
        self._scales = np.array([[device.number(n, "scale", 1.0)] for n in self._names])
        self._offsets = np.array([[device.number(n, "offset", 0.0)] for n in self._names])
        self.rate_hz = 0.0

    def _scaled(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = ((raw + self._offsets) * self._scales).astype(np.float32)
        return scaled


class BufferedIio(_Iio):
    """Reads through the kernel's buffer; the device samples on its own.

    Samples that were lost are seen by the timestamps, where the device has them. The buffer is
    switched off again whatever happens.
    """

    def __init__(
        self, device: IioDevice, rate_hz: float | None, channels: Channels, context: Context
    ) -> None:
        scan = device.scan
        assert scan is not None
        self._scan = scan
        there = sorted(
            (
                file.name.removeprefix("in_").removesuffix("_en")
                for file in (device.folder / scan).glob("in_*_en")
            ),
            key=self._index(device, scan),
        )
        measured = tuple(name for name in there if name != "timestamp")
        super().__init__(device, measured, channels, context)
        self._all = there
        self._asked_hz = rate_hz
        self._layout = self._laid_out()
        self._open_things = ExitStack()
        self._rest = b""
        self._held = np.empty(0, self._layout.frames)
        self._past_ns = np.empty(0, np.int64)
        self._runs: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._told_rate = False

    @staticmethod
    def _index(device: IioDevice, scan: str) -> Callable[[str], int]:
        def index(name: str) -> int:
            text = device.read(f"{scan}/in_{name}_index") or ""
            return int(text) if text.isdecimal() else 1 << 30

        return index

    def _laid_out(self) -> Layout:
        device, index = self._device, self._index(self._device, self._scan)
        self._timed = "timestamp" in self._all
        wanted = set(self._names) | ({"timestamp"} if self._timed else set())
        try:
            return Layout.of(
                [
                    Element.parse(
                        name, index(name), device.read(f"{self._scan}/in_{name}_type") or ""
                    )
                    for name in wanted
                ]
            )
        except ValueError as error:
            raise Unavailable(f"{device.name}: {error}") from None

    def __enter__(self) -> Self:
        """Set the device up and start it.

        Raises:
            Unavailable: it is used by another program, gone, or cannot do what is asked.
        """
        device = self._device
        with ExitStack() as opening:
            try:
                fd = os.open(device.node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                used = "; another program reads it" if error.errno == errno.EBUSY else ""
                raise Unavailable(f"cannot open {device.node}: {error.strerror}{used}") from None
            opening.callback(os.close, fd)
            self._readable = Readable(fd, device.name, self._context, SILENCE_S)
            device.write(f"{device.buffer}/enable", "0")
            self._set_up()
            opening.callback(self._stop)
            device.write(f"{device.buffer}/enable", "1")
            self._open_things = opening.pop_all()
        return self

    def _set_up(self) -> None:
        device = self._device
        with suppress(Unavailable):  # only the driver's own clock, then
            device.write("current_timestamp_clock", "monotonic")
        self.rate_hz = device.set_rate(self._asked_hz)
        if self._asked_hz is not None and not same_rate(self._asked_hz, self.rate_hz):
            self._context.log.warning(
                "sensor samples at another rate than asked",
                asked_hz=self._asked_hz,
                rate_hz=self.rate_hz,
            )
        self._gaps = Gaps(self.rate_hz)
        wanted = {element.name for element in self._layout.elements}
        for name in self._all:
            device.write(f"{self._scan}/in_{name}_en", "1" if name in wanted else "0")
        device.take_own_trigger()
        scans = min(max(round(BUFFERED_S * self.rate_hz), _LEAST_SCANS), _MOST_SCANS)
        device.write(f"{device.buffer}/length", str(scans))
        with suppress(Unavailable):  # older kernels have none
            device.write(f"{device.buffer}/watermark", str(max(1, scans // 64)))
        if not self._timed:
            self._context.log.info("lost samples cannot be seen: the sensor gives no timestamps")

    def _stop(self) -> None:
        with suppress(Unavailable):  # it may be gone
            self._device.write(f"{self._device.buffer}/enable", "0")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Switch the buffer off."""
        self._open_things.close()

    def read_block(self, count: int) -> Block:
        """The next `count` samples, or those up to a gap."""
        size = self._layout.frames.itemsize
        while not self._runs or (len(self._runs) == 1 and self._runs[0][1].shape[1] < count):
            stored = self._rest + self._readable.read(max(4096, count * size))
            whole = len(stored) // size * size
            self._rest = stored[whole:]
            if whole:
                self._take(np.frombuffer(stored[:whole], self._layout.frames))
        missing, samples = self._runs.popleft()
        if samples.shape[1] > count:
            self._runs.appendleft((0, samples[:, count:]))
            samples = samples[:, :count]
        return Block(samples.shape[1], np.ascontiguousarray(samples), missing=missing)

    def _take(self, frames: Frames) -> None:
        """Cut frames into runs without a gap; the last few wait for those that follow."""
        if not self._timed:
            self._add(0, frames)
            return
        frames = np.concatenate([self._held, frames])
        ready = len(frames) - LOOK
        if ready <= 0:
            self._held = frames
            return
        past = len(self._past_ns)
        times_ns = np.concatenate([self._past_ns, self._layout.numbers("timestamp", frames)])
        missing = begin = 0
        for at, lost in self._gaps.find(times_ns):
            if not past <= at < past + ready:
                continue
            if lost > _MOST_MISSING_S * self.rate_hz:
                raise Unavailable(f"the timestamps of {self._device.name} jumped")
            self._add(missing, frames[begin : at - past])
            missing, begin = lost, at - past
        self._add(missing, frames[begin:ready])
        self._held = frames[ready:]
        since = past + begin if missing else 0
        self._past_ns = times_ns[max(since, past + ready - LOOK) : past + ready]
        self._tell_rate()

    def _add(self, missing: int, frames: Frames) -> None:
        raw = np.array([self._layout.numbers(n, frames) for n in self._names], np.float64)
        samples = self._scaled(raw)
        if missing or not self._runs:
            if samples.shape[1]:
                self._runs.append((missing, samples))
        else:
            before, joined = self._runs[-1]
            self._runs[-1] = (before, np.concatenate([joined, samples], axis=1))

    def _tell_rate(self) -> None:
        real_hz = self._gaps.rate_hz
        if not self._told_rate and abs(real_hz / self.rate_hz - 1) > _TELL_RATE_OFF:
            self._told_rate = True
            self._context.log.warning(
                "sensor's clock is off", says_hz=self.rate_hz, timestamps_say_hz=round(real_hz, 3)
            )


class PolledIio(_Iio):
    """Reads one sample after the other from sysfs, for sensors without a buffer; slow rates only.

    Samples are due at even times; those that came and went while the device was held up are
    missing, never made up.
    """

    def __init__(
        self, device: IioDevice, rate_hz: float | None, channels: Channels, context: Context
    ) -> None:
        super().__init__(device, device.polled(), channels, context)
        if rate_hz is None:
            raise Unavailable(f"{device.name} has no buffer: give rate_hz, how often to read it")
        if rate_hz > MOST_POLLED_HZ:
            raise Unavailable(
                f"{device.name} has no buffer, so it can be read at {MOST_POLLED_HZ:g} Hz at most, "
                f"not at {rate_hz:g} Hz"
            )
        self.rate_hz = rate_hz
        self._due_ns: int | None = None
        self._missing = 0
        self._held_over = False  # a sample that is due already begins the next block

    def __enter__(self) -> Self:
        """Nothing is to be set up."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is to be undone."""

    def read_block(self, count: int) -> Block:
        """The next `count` samples, or those up to a gap."""
        raw: list[list[float]] = []
        missing, self._missing = self._missing, 0
        while len(raw) < count:
            late = self._wait()
            if late and raw:
                self._missing, self._held_over = late, True
                break
            missing += late
            raw.append([self._one(name) for name in self._names])
        samples = self._scaled(np.array(raw, np.float64).T)
        return Block(samples.shape[1], np.ascontiguousarray(samples), missing=missing)

    def _wait(self) -> int:
        """Sleep until the next sample is due; returns how many were due and are past."""
        period_ns = round(NS / self.rate_hz)
        if self._held_over:
            self._held_over = False
            return 0
        now_ns = self._context.clock.now_ns()
        if self._due_ns is None:
            self._due_ns = now_ns
        late = max(0, (now_ns - self._due_ns) // period_ns)
        self._due_ns += late * period_ns
        if self._due_ns > now_ns:
            self._context.sleep((self._due_ns - now_ns) / NS)
        self._due_ns += period_ns
        return int(late)

    def _one(self, name: str) -> float:
        text = self._device.read(f"in_{name}_raw")
        try:
            return float(text or "")
        except ValueError:
            raise Unavailable(f"{self._device.name} gives no value for {name}") from None
