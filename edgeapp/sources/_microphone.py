"""A microphone, through sounddevice and PortAudio."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from queue import Empty, Full, Queue
from threading import Event, Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import Clock, Context, Emit, Signal, Unavailable, samples_ns
from edgeapp.core.clock import ns
from edgeapp.sources._audio_options import AudioOptions, Mixer, mixer
from edgeapp.sources._capture_time import CaptureTime

QUEUE_S = 2.0
"""How much sound waits for a pipeline that is busy; more is lost, and counted."""

_LOOK_S = 0.1
"""How often to look for a stop and for the device's end while no sound comes."""
_LONGEST_DELAY_S = 5.0
"""A driver that claims to be later than this does not know."""
_WRONG_CHANNELS, _WRONG_RATE = -9998, -9997  # PortAudio's paInvalidChannelCount, -SampleRate


class Block(NamedTuple):
    """Samples as they came, with what was lost before them."""

    samples: NDArray[np.float32]
    """(n, channels)."""
    end_ns: int
    """When the last of them was captured, as the driver says; by the context's clock."""
    dropped: int
    """Blocks that found the queue full."""
    overflowed: bool
    """The driver lost samples, it does not say how many."""


class Ear:
    """Takes blocks from PortAudio's thread and keeps them until they are fetched, up to a bound."""

    def __init__(self, clock: Clock, rate_hz: int, block_s: float) -> None:
        self._clock = clock
        self.rate_hz = rate_hz
        self.block = max(1, round(block_s * rate_hz))
        """Samples of each channel in a block."""
        self._blocks: Queue[Block] = Queue(max(8, ceil(QUEUE_S / block_s)))
        self._dropped = 0
        self._overflowed = False
        self.over = Event()
        """PortAudio gives no more."""

    def hear(self, samples: NDArray[np.float32], count: int, time: Any, status: Any) -> None:
        """PortAudio's callback: on its thread, which must not be kept."""
        now_ns = self._clock.now_ns()
        delay_s = time.currentTime - time.inputBufferAdcTime  # since the first of these samples
        delay_ns = ns(delay_s) if 0 <= delay_s <= _LONGEST_DELAY_S else 0
        late_ns = max(0, delay_ns - samples_ns(count, self.rate_hz))
        self._overflowed = self._overflowed or bool(status.input_overflow)
        block = Block(samples.copy(), now_ns - late_ns, self._dropped, self._overflowed)
        try:
            self._blocks.put_nowait(block)
        except Full:
            self._dropped += 1
        else:
            self._dropped, self._overflowed = 0, False

    def next(self) -> Block | None:
        """The oldest block; None when there was none for a moment."""
        try:
            return self._blocks.get(timeout=0 if self.over.is_set() else _LOOK_S)
        except Empty:
            return None


def record(options: AudioOptions, context: Context, emit: Emit[Signal]) -> None:
    """Emit what the microphone hears; never returns.

    `lost` counts blocks of `block_s`: those that a full queue turned away exactly, those that the
    driver lost as well as its times tell, and at least one.

    Raises:
        Unavailable: there is no such microphone, it cannot be opened, is gone, or gives nothing
            for `silence_s`.
    """
    ear = Ear(context.clock, options.microphone_hz, options.block_s)
    with _opened(_sounddevice(), options, ear) as mix:
        _listen(options, context, emit, ear, mix)


def _listen(
    options: AudioOptions, context: Context, emit: Emit[Signal], ear: Ear, mix: Mixer
) -> None:
    rate_hz = float(ear.rate_hz)
    units = ("1",) * len(mix.names)
    time = CaptureTime(rate_hz)
    silence_ns = ns(options.silence_s)
    heard_ns = context.clock.now_ns()
    lost_blocks = losses = 0
    while True:
        context.sleep(0)
        block = ear.next()
        if block is None:
            if ear.over.is_set():
                raise Unavailable(f"the microphone '{options.device}' is gone")
            if context.clock.now_ns() - heard_ns > silence_ns:
                raise Unavailable(
                    f"the microphone '{options.device}' gave no sound for {options.silence_s:g} s"
                )
            continue
        heard_ns = context.clock.now_ns()
        count = len(block.samples)
        lost = block.dropped
        if block.overflowed:
            lost = max(lost, time.missed(count, block.end_ns))
        if lost:
            lost_blocks += lost
            losses += 1
            if losses & (losses - 1) == 0:  # the 1st, 2nd, 4th, 8th...
                context.log.warning("microphone lost sound", blocks=lost, so_far=lost_blocks)
        end_ns = time.after((lost + 1) * count, block.end_ns)
        emit(
            Signal(mix.mix(block.samples.T), rate_hz, mix.names, units),
            t_ns=end_ns,
            span_ns=samples_ns(count, rate_hz),
            lost=lost,
        )


_lock = Lock()
"""PortAudio is one for the whole process, and not safe to open and close from two threads."""
_open_streams = 0


@contextmanager
def _opened(sd: Any, options: AudioOptions, ear: Ear) -> Iterator[Mixer]:
    """The microphone, giving blocks to `ear`; what to do with its channels."""
    global _open_streams  # noqa: PLW0603 - PortAudio counts per process, not per object
    with _lock:
        if not _open_streams:
            _look_again(sd)
        device = _find(sd, options.device)
        stream, columns = _open(sd, device, options, ear)
        _open_streams += 1
    try:
        stream.start()
        yield mixer(options.channels, columns)
    except sd.PortAudioError as error:
        raise Unavailable(f"{_name(device)} cannot be started: {_reason(error)}") from None
    finally:
        with _lock:
            _open_streams -= 1
            stream.close()


def _look_again(sd: Any) -> None:
    """Start PortAudio anew: it looks for devices when it starts, and only then."""
    with suppress(sd.PortAudioError):  # after a start that failed there is nothing to end
        sd._terminate()  # noqa: SLF001 - documented, for this purpose
    try:
        sd._initialize()  # noqa: SLF001 - as above
    except sd.PortAudioError as error:
        raise Unavailable(f"PortAudio does not start: {_reason(error)}") from None


def _open(sd: Any, device: Any, options: AudioOptions, ear: Ear) -> tuple[Any, int]:
    """The stream, and how many channels it has.

    Not every device mixes its channels into one by itself, nor gives fewer than it has.
    """
    most = device["max_input_channels"]
    if options.channels == "mono":
        tries = sorted({1, min(2, most), most})
    else:
        needed = max(options.channels)
        if needed > most:
            raise Unavailable(f"{_name(device)} has {most} channels, not {needed}")
        tries = sorted({max(needed, min(2, most)), most})
    for columns in tries:
        try:
            return sd.InputStream(
                device=device["index"],
                samplerate=ear.rate_hz,
                blocksize=ear.block,
                channels=columns,
                dtype="float32",
                latency="high",
                callback=ear.hear,
                finished_callback=ear.over.set,
            ), columns
        except sd.PortAudioError as error:
            refusal = error
            if _code(error) != _WRONG_CHANNELS:
                break
    what = f"{_name(device)} cannot be opened: {_reason(refusal)}"
    if _code(refusal) == _WRONG_RATE:
        own_hz = device["default_samplerate"]
        what += (
            f"; it does not record {ear.rate_hz} Hz: set rate_hz to its own {own_hz:.0f} and put a "
            "resample stage behind"
        )
    raise Unavailable(what)


def _find(sd: Any, wanted: str) -> Any:
    """The device that is meant, as PortAudio describes it.

    Raises:
        Unavailable: there is none, or several fit; names those that there are.
    """
    inputs = [device for device in sd.query_devices() if device["max_input_channels"] > 0]
    if not inputs:
        raise Unavailable("this machine has no microphone; is it plugged in?")
    if wanted == "default":
        named = [device for device in inputs if device["name"] == "default"]
        return (named or inputs)[0]
    word = wanted.casefold()
    fitting = [
        device
        for device in inputs
        if (device["index"] == int(word) if word.isdecimal() else word in device["name"].casefold())
    ]
    exact = [device for device in fitting if device["name"].casefold() == word]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    there = ", ".join(f"{device['index']} '{device['name']}'" for device in fitting or inputs)
    if fitting:
        raise Unavailable(
            f"several microphones are called '{wanted}': {there}; say more, or a number"
        )
    raise Unavailable(f"there is no microphone '{wanted}'; there are: {there}")


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise Unavailable(
            "a microphone needs sounddevice, which is not installed: pip install 'edgeapp[audio]'"
        ) from None
    except OSError:
        raise Unavailable(
            "a microphone needs PortAudio, which is not installed: sudo apt install libportaudio2"
        ) from None
    return sounddevice


def _name(device: Any) -> str:
    return f"the microphone '{device['name']}'"


def _reason(error: Exception) -> str:
    """What PortAudio says, without its numbers."""
    return str(error.args[0]) if error.args else str(error)


def _code(error: Exception) -> int | None:
    code: object = error.args[1] if len(error.args) > 1 else None
    return code if isinstance(code, int) else None
