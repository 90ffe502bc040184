"""Sampled vibration, and what is recorded beside it, from a file."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator, model_validator

from edgeapp.api import (
    Context,
    Emit,
    Field,
    Options,
    Signal,
    Surroundings,
    Unavailable,
    samples_ns,
    source,
)
from edgeapp.sources._pace import RealTime
from edgeapp.sources.vibration_csv import csv_recording
from edgeapp.sources.vibration_raw import npy_recording, wav_recording
from edgeapp.sources.vibration_readers import Recording

ACCELERATION = "m/s²"
STANDARD_GRAVITY = 9.80665
"""m/s² in 1 g, by definition."""
DEFAULT_BLOCK_S = 0.05
MOST_BLOCK_SAMPLES = 1 << 20

_NO_UNIT = "1"
_VOLTS = {"V": 1.0, "mV": 1e-3}


class Scale(NamedTuple):
    """What a recorded number is multiplied with, and the unit that gives."""

    factor: float
    unit: str


class VibrationOptions(Options):
    """Where the samples come from and what their numbers mean."""

    device: str = Field(
        description="A recording: a .csv or .txt file, a .wav file or a .npy file. Relative paths "
        "start at the pipeline's file."
    )
    rate_hz: float | None = Field(
        default=None,
        gt=0,
        le=10_000_000,
        allow_inf_nan=False,
        description="Samples per second of each channel. A WAV file says so itself.",
    )
    channels: tuple[str, ...] | dict[str, str | int] | None = Field(
        default=None,
        min_length=1,
        description="Which channels to read, and how to call them: [x, y] picks columns by their "
        "names, or names the channels of a recording that has no names; {x: vib1, y: 3} picks by "
        "name or number. Left out: all.",
    )
    unit: str | dict[str, str] = Field(
        default=_NO_UNIT,
        description="What the recorded numbers are: g, m/s2, V, mV, or any other unit, which is "
        "passed on as it is; one for all channels, or {channel: unit}. g is turned into m/s².",
    )
    sensitivity_mv_per_g: float | dict[str, float] | None = Field(
        default=None,
        description="What the accelerometer's data sheet says, to turn V and mV into m/s²; one for "
        "all channels that are in volts, or {channel: sensitivity}.",
    )
    full_scale: float = Field(
        default=1.0,
        gt=0,
        description="WAV files: how much the largest number stands for, in `unit`.",
    )
    speed: Literal["real_time", "fast"] = Field(
        default="real_time",
        description="Play at the recording's own pace, or as fast as it is processed.",
    )
    loop: bool = Field(default=False, description="Start again when the recording ends.")
    block_s: float = Field(
        default=DEFAULT_BLOCK_S,
        gt=0,
        le=60,
        description="How much of the signal to pass on at a time, in seconds; from one sample to a million.",
    )

    @field_validator("device")
    @classmethod
    def _findable(cls, device: str, info: ValidationInfo) -> str:
        if device.startswith("iio:"):
            raise ValueError(
                "sensors of the Linux IIO subsystem cannot be read yet; name a recording"
            )
        path = Path(device).expanduser()
        if isinstance(info.context, Surroundings):
            path = info.context.folder / path
        if not path.is_file():
            raise ValueError(f"there is no file '{path}'")
        return str(path.absolute())

    @field_validator("sensitivity_mv_per_g")
    @classmethod
    def _positive(cls, value: float | dict[str, float] | None) -> float | dict[str, float] | None:
        for each in value.values() if isinstance(value, dict) else [value]:
            if each is not None and not (isfinite(each) and each > 0):
                raise ValueError("a sensitivity is a number above 0, in mV per g")
        return value

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            recording = self.recording()
        except OSError as error:
            raise ValueError(f"'{self.device}' cannot be read: {error.strerror}") from None
        for name, given in (
            ("unit", self.unit),
            ("sensitivity_mv_per_g", self.sensitivity_mv_per_g),
        ):
            unknown = set(given) - set(recording.channels) if isinstance(given, dict) else set()
            if unknown:
                raise ValueError(
                    f"{name} is given for {', '.join(sorted(unknown))}; the channels are "
                    f"{', '.join(recording.channels)}"
                )
        volts = [c for c in recording.channels if self._unit_of(c) in _VOLTS]
        if self.sensitivity_mv_per_g is not None and not volts:
            raise ValueError("sensitivity_mv_per_g is for channels whose unit is V or mV")
        return self

    def recording(self) -> Recording:
        """What `device` names.

        Raises:
            ValueError: it cannot be used as these options say.
            OSError: it cannot be read.
        """
        path = Path(self.device)
        suffix = path.suffix.lower()
        if path.stat().st_size == 0:
            raise ValueError(f"'{path}' is empty")
        if suffix == ".wav":
            recording = wav_recording(path, self.channels)
            if self.rate_hz not in (None, recording.rate_hz):
                raise ValueError(
                    f"'{path}' was sampled at {recording.rate_hz:g} Hz; leave rate_hz out"
                )
            return recording
        if suffix not in {".csv", ".npy", ".txt"}:
            raise ValueError(f"'{path.name}' is not a .csv, .txt, .wav or .npy file")
        if self.full_scale != 1:
            raise ValueError("full_scale is for WAV files; use unit and sensitivity_mv_per_g")
        if self.rate_hz is None:
            raise ValueError(f"'{path.name}' does not say how fast it was sampled: give rate_hz")
        if suffix == ".npy":
            return npy_recording(path, self.rate_hz, self.channels)
        return csv_recording(path, self.rate_hz, self.channels)

    def _unit_of(self, channel: str) -> str:
        return self.unit.get(channel, _NO_UNIT) if isinstance(self.unit, dict) else self.unit

    def scale(self, channel: str) -> Scale:
        """How the numbers of this channel become what is passed on."""
        unit = self._unit_of(channel)
        given = self.sensitivity_mv_per_g
        sensitivity = given.get(channel) if isinstance(given, dict) else given
        if unit == "g":
            return Scale(self.full_scale * STANDARD_GRAVITY, ACCELERATION)
        if unit in _VOLTS and sensitivity is not None:
            g_per_volt = 1000 / sensitivity
            return Scale(
                self.full_scale * _VOLTS[unit] * g_per_volt * STANDARD_GRAVITY, ACCELERATION
            )
        if unit in {"m/s2", "m/s^2", "m/s²"}:
            return Scale(self.full_scale, ACCELERATION)
        return Scale(self.full_scale, unit)


@source("vibration", live=False)
class Vibration:
    """Read vibration, or anything else sampled evenly, from a CSV, WAV or NPY recording.

    Emits blocks of `block_s`; `t_ns` is the end of a block, counted in samples from 0 at the
    recording's start, through every round of a `loop`. A block with a NaN, an infinity, an empty
    cell or text in it is dropped and counted as lost; the first one of a recording is logged.
    """

    def __init__(self, options: VibrationOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal]) -> None:
        """Emit the recording once, or for ever.

        Raises:
            Unavailable: the file is gone, or no longer what it was.
        """
        try:
            recording = self._options.recording()
        except (OSError, ValueError) as error:
            raise Unavailable(f"cannot read '{self._options.device}': {error}") from None
        if recording.problem:
            self._context.log.warning("recording is cut short", because=recording.problem)
        scales = [self._options.scale(channel) for channel in recording.channels]
        factors = np.array([[scale.factor] for scale in scales], np.float32)
        units = tuple(scale.unit for scale in scales)
        self._emit(emit, recording, factors, units)

    def _emit(
        self,
        emit: Emit[Signal],
        recording: Recording,
        factors: NDArray[np.float32],
        units: tuple[str, ...],
    ) -> None:
        rate_hz = recording.rate_hz
        block_samples = min(max(1, round(self._options.block_s * rate_hz)), MOST_BLOCK_SAMPLES)
        pace = RealTime(self._context) if self._options.speed == "real_time" else None
        end = lost = 0
        for count, samples in self._blocks(recording, block_samples):
            end += count
            end_ns = samples_ns(end, rate_hz)
            if pace is not None:
                pace.wait_for(end_ns)
            if samples is None:
                lost += 1
                continue
            emit(
                Signal(samples * factors, rate_hz, recording.channels, units),
                t_ns=end_ns,
                span_ns=samples_ns(count, rate_hz),
                lost=lost,
            )
            lost = 0

    def _blocks(
        self, recording: Recording, block_samples: int
    ) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        """The length of each block, and its samples unless they are unusable."""
        told = False
        while True:
            good = False
            try:
                with recording.open() as reader:
                    while (block := reader.read_block(block_samples)) is not None:
                        good = good or block.samples is not None
                        if block.samples is None and not told:
                            self._context.log.warning(
                                "samples cannot be used", because=block.problem
                            )
                            told = True
                        yield block.count, block.samples
            except OSError as error:
                raise Unavailable(f"cannot read '{self._options.device}': {error}") from None
            if not self._options.loop:
                return
            if not good:
                raise Unavailable(f"'{self._options.device}' holds no usable block")
