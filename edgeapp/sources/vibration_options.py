"""The options of the `vibration` source."""

from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import ValidationInfo, field_validator, model_validator

from edgeapp.api import Context, Field, Needs, Options, Sampling, Surroundings, Unavailable
from edgeapp.sources._sensors import SENSORS
from edgeapp.sources.vibration_csv import csv_recording
from edgeapp.sources.vibration_raw import npy_recording, wav_recording
from edgeapp.sources.vibration_readers import Device, Recording

ACCELERATION = "m/s²"
STANDARD_GRAVITY = 9.80665
"""m/s² in 1 g, by definition."""
DEFAULT_BLOCK_S = 0.05
MOST_BLOCK_SAMPLES = 1 << 20

_NO_UNIT = "1"
_DEVICES = {"iio": "iio:adxl355 or iio:device0", "serial": "serial:/dev/ttyUSB0"}
_FOR_RECORDINGS = frozenset({"unit", "full_scale", "speed", "loop"})
_VOLTS = {"V": 1.0, "mV": 1e-3}


class Scale(NamedTuple):
    """What a recorded number is multiplied with, and the unit that gives."""

    factor: float
    unit: str


class VibrationOptions(Options):
    """Where the samples come from and what their numbers mean."""

    device: str = Field(
        examples=["iio:adxl355"],
        description="A sensor, or a recording. `iio:adxl355` is a sensor of the Linux IIO subsystem, "
        "by its name, or by its number as `iio:device0`; `serial:/dev/ttyUSB0` is one on a serial "
        "line. Else a .csv, .txt, .wav or .npy file; relative paths start at the pipeline's file.",
    )
    rate_hz: float | None = Field(
        default=None,
        gt=0,
        le=10_000_000,
        allow_inf_nan=False,
        description="Samples per second of each channel. A WAV file and a serial sensor say so "
        "themselves; an IIO sensor is set to it, or left as it is.",
    )
    channels: tuple[str, ...] | dict[str, str | int] | None = Field(
        default=None,
        min_length=1,
        description="Which channels to read, and how to call them: [x, y] picks columns by their "
        "names, or names the channels of a recording that has no names; {x: vib1, y: 3} picks by "
        "name or number. Left out: all; of an IIO sensor, its acceleration.",
    )
    unit: str | dict[str, str] = Field(
        default=_NO_UNIT,
        description="What the recorded numbers are: g, m/s2, V, mV, or any other unit, which is "
        "passed on as it is; one for all channels, or {channel: unit}. g is turned into m/s². "
        "Sensors say so themselves.",
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

    baud: int | None = Field(
        default=None,
        gt=0,
        description="Speed of a serial line in bits per second; 921600 if not given.",
    )
    root: Path = Field(
        default=Path("/"),
        description="IIO sensors: the folder in which /sys and /dev are found, such as where a "
        "container mounts those of the host.",
    )

    @field_validator("device")
    @classmethod
    def _findable(cls, device: str, info: ValidationInfo) -> str:
        kind, _, rest = device.partition(":")
        if kind in _DEVICES:
            if not rest:
                raise ValueError(f"'{device}' does not say which: write {_DEVICES[kind]}")
            return device
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
        if self.is_device:
            self._check_device()
            return self
        if self.baud is not None:
            raise ValueError("baud is for serial lines")
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

    def needs(self) -> Needs:
        """The sensor: one of IIO may be any, for it is looked for by its name."""
        kind, _, rest = self.device.partition(":")
        node = {"iio": "/dev/iio:device*", "serial": rest}.get(kind)
        return super().needs() | Needs(nodes=frozenset({node} if node else ()))

    @property
    def is_device(self) -> bool:
        """Whether `device` is a sensor, and no recording."""
        return self.device.partition(":")[0] in _DEVICES

    def _check_device(self) -> None:
        kind, _, rest = self.device.partition(":")
        for name in sorted(_FOR_RECORDINGS & self.model_fields_set):
            raise ValueError(f"{name} is for recordings; remove it")
        if kind == "iio":
            if self.baud is not None:
                raise ValueError("baud is for serial lines")
            self._check_rate(rest)
            return
        from edgeapp.sources.vibration_serial import bauds

        if self.baud is not None and self.baud not in bauds():
            known = ", ".join(str(baud) for baud in sorted(bauds()) if baud >= 9600)  # noqa: PLR2004
            raise ValueError(f"this system has no serial lines of {self.baud} baud, but of {known}")

    def _check_rate(self, wanted: str) -> None:
        """Ask the sensor, if it is there, and else what is known of its like."""
        from edgeapp.sources._iio import IioDevice

        if self.rate_hz is None:
            return
        known = SENSORS.get(wanted.lower())
        if known is not None and self.rate_hz > known.most_hz * 1.001:
            raise ValueError(
                f"an {wanted.upper()} samples at {known.most_hz:g} Hz at most, not at "
                f"{self.rate_hz:g} Hz: lower rate_hz, or take a faster sensor"
            )
        try:
            rates = IioDevice.find(wanted, self.root).rates()
        except Unavailable:
            return  # it may be plugged in later
        if rates is not None and not rates.offers(self.rate_hz):
            raise ValueError(
                f"'{self.device}' cannot sample at {self.rate_hz:g} Hz: set rate_hz to {rates}"
            )

    def open_device(self, context: Context) -> AbstractContextManager[Device]:
        """The sensor that `device` names; entering it opens it.

        Raises:
            Unavailable: it is not there, or cannot do what is asked.
        """
        kind, _, rest = self.device.partition(":")
        if kind == "iio":
            from edgeapp.sources.vibration_iio import open_iio

            return open_iio(rest, self.root, self.rate_hz, self.channels, context)
        from edgeapp.sources.vibration_serial import DEFAULT_BAUD, SerialSensor

        return SerialSensor(
            Path(rest), self.baud or DEFAULT_BAUD, self.rate_hz, self.channels, context
        )

    def sampling(self) -> Sampling:
        """What is known of the signal before it comes."""
        if not self.is_device:
            return Sampling.at(self.recording().rate_hz, self.block_s)
        kind, _, rest = self.device.partition(":")
        known = SENSORS.get(rest.lower()) if kind == "iio" else None
        rate_hz = self.rate_hz or (known.most_hz if known else None)
        if rate_hz is None:
            return Sampling.unknown()
        plain = Sampling.at(rate_hz, self.block_s)
        return (
            plain._replace(top_hz=known.bandwidth * rate_hz, sensor=rest.upper())
            if known
            else plain
        )

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

    def scale(self, channel: str, unit: str | None = None) -> Scale:
        """How the numbers of this channel become what is passed on.

        `unit`: what a sensor says they are; without it, what the options say.
        """
        unit = self._unit_of(channel) if unit is None else unit
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
