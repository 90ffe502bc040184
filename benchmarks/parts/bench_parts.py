"""Plugins that only benchmarks need."""

import json
import time
from pathlib import Path
from typing import Self

import numpy as np

from edgeapp.api import (
    Context,
    Emit,
    Features,
    Field,
    Image,
    Message,
    Options,
    OutputPath,
    Packet,
    Score,
    Signal,
    output,
    source,
    transform,
)


class FramesOptions(Options):
    """Pace and size."""

    rate_hz: float = Field(10.0, gt=0, description="Pictures per second.")
    phase: float = Field(0.0, ge=0, lt=1, description="Shift, as a share of the period.")
    count: int = Field(100, ge=1, description="How many pictures.")
    width: int = Field(640, description="Pixels.")
    height: int = Field(480, description="Pixels.")
    paced: bool = Field(True, description="Wait for each picture's time.")


@source("bench_frames", live=False)
class Frames:
    """Emit one picture again and again, on time."""

    def __init__(self, options: FramesOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Image]) -> None:
        """Emit `count` pictures."""
        options, clock = self._options, self._context.clock
        image = picture(options.width, options.height)
        period_ns = round(1e9 / options.rate_hz)
        begin_ns = (clock.now_ns() // period_ns + 1) * period_ns
        begin_ns += round(options.phase * period_ns)
        for number in range(options.count):
            due_ns = begin_ns + number * period_ns
            if options.paced:
                self._context.sleep((due_ns - clock.now_ns()) / 1e9)
            emit(image, t_ns=due_ns)


def picture(width: int, height: int) -> Image:
    """A picture of noise, the same each time."""
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3))
    return Image(noise.astype(np.uint8))


class BlocksOptions(Options):
    """Pace and size."""

    rate_hz: float = Field(25_000.0, gt=0, description="Samples per second.")
    block_s: float = Field(0.05, gt=0, description="Seconds of signal in a block.")
    count: int = Field(100, ge=1, description="How many blocks.")


@source("bench_blocks", live=False)
class Blocks:
    """Emit blocks of noise on time, as a sampling device does."""

    def __init__(self, options: BlocksOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal]) -> None:
        """Emit `count` blocks."""
        options, clock = self._options, self._context.clock
        samples = round(options.rate_hz * options.block_s)
        noise = np.random.default_rng(1).standard_normal((1, samples)).astype(np.float32)
        begin_ns = clock.now_ns()
        for number in range(1, options.count + 1):
            due_ns = begin_ns + round(number * options.block_s * 1e9)
            self._context.sleep((due_ns - clock.now_ns()) / 1e9)
            emit(Signal(noise, options.rate_hz, ("x",), ("m/s²",)), t_ns=due_ns)


class HogOptions(Options):
    """How greedy."""

    busy_s: float = Field(0.006, gt=0, description="Seconds of pure Python for each packet.")


@source("bench_ticks", live=False)
class Ticks:
    """Emit without a pause."""

    def __init__(self, options: HogOptions, context: Context) -> None:
        pass

    def run(self, emit: Emit[Score]) -> None:
        """Until the end of all things."""
        while True:
            emit(Score(0.0))


@transform("bench_hog")
class Hog:
    """Burn CPU in pure Python."""

    def __init__(self, options: HogOptions, context: Context) -> None:
        self._busy_s = options.busy_s

    def process(self, packet: Packet[Score]) -> Score:
        """Compute nothing, for long."""
        end = time.perf_counter() + self._busy_s
        total = 0
        while time.perf_counter() < end:
            for number in range(50):
                total += number * number
        return packet.value


class LatencyOptions(Options):
    """Where to write."""

    file: OutputPath = Field(description="Gets a JSON array of milliseconds at the end.")


@output("bench_latency")
class Latency:
    """Measure how late results are against the time at which their packet was due."""

    def __init__(self, options: LatencyOptions, context: Context) -> None:
        self._file: Path = options.file
        self._clock = context.clock
        self._late_ms: list[float] = []

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was measured."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._late_ms), encoding="utf-8")

    def encode(self, packet: Packet[Score | Features]) -> Message | None:
        """Measure; say nothing."""
        self._late_ms.append((self._clock.now_ns() - packet.t_ns) / 1e6)
        return None


class NoOptions(Options):
    """None."""


@output("bench_count")
class Count:
    """Take results and say nothing."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def encode(self, packet: Packet[Score | Features]) -> Message | None:
        """Say nothing."""
        return None


__all__ = ["Blocks", "Count", "Frames", "Hog", "Latency", "Ticks"]
