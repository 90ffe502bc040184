"""The audio source's options, and what sort of thing its `device` names."""

import re
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, WithJsonSchema, field_validator, model_validator

from edgeapp.api import Field, Needs, Options, Surroundings
from edgeapp.sources._flac import flac_recording
from edgeapp.sources.vibration_raw import wav_recording
from edgeapp.sources.vibration_readers import Recording

MICROPHONE_RATE_HZ = 16_000
"""What is asked of a microphone by default: what nearly every model wants."""
MOST_CHANNELS = 64

_PATH_LIKE = re.compile(r".*/.*|.*\.[a-z][a-z0-9]{1,4}", re.IGNORECASE)


class DeviceKind(Enum):
    """What sort of thing `device` names; the value is how users call it."""

    FILE = "a recording"
    MICROPHONE = "a microphone"


_USED_BY = {
    "speed": DeviceKind.FILE,
    "loop": DeviceKind.FILE,
    "silence_s": DeviceKind.MICROPHONE,
}


class AudioOptions(Options):
    """Where the sound comes from, and which of its channels."""

    device: Annotated[str, WithJsonSchema({"type": ["string", "integer"]})] = Field(
        examples=["default"],
        description="A recording, a .wav or .flac file, or a microphone: default, its number, its "
        "name or a part of it, such as hw:1,0 or usb. Relative paths start at the pipeline's file.",
    )
    rate_hz: int | None = Field(
        default=None,
        ge=1_000,
        le=768_000,
        description="Samples per second to ask of a microphone; 16000 if left out. A recording "
        "says so itself.",
    )
    channels: Literal["mono"] | tuple[int, ...] = Field(
        default="mono",
        description="mono mixes all channels into one; [1] takes the first one, [1, 2] two of "
        "them: left and right where there are just two, else ch1, ch2 and so on.",
    )
    block_s: float = Field(
        default=0.032,
        ge=0.001,
        le=5,
        description="How much of the sound to pass on at a time, in seconds.",
    )
    speed: Literal["real_time", "fast"] = Field(
        default="real_time",
        description="Play a recording at its own pace, or as fast as it is processed.",
    )
    loop: bool = Field(default=False, description="Start a recording again when it ends.")
    silence_s: float = Field(
        default=3.0,
        ge=0.5,
        le=60,
        description="A microphone that gives no samples for so long counts as gone. Zeros are "
        "samples.",
    )

    @field_validator("device", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number(cls, device: object) -> object:
        return str(device) if isinstance(device, int) and not isinstance(device, bool) else device

    @field_validator("device")
    @classmethod
    def _findable(cls, device: str, info: ValidationInfo) -> str:
        if kind_of(device) is DeviceKind.MICROPHONE:
            if not device.strip():
                raise ValueError("name a .wav or .flac file, or a microphone such as default")
            if find_spec("sounddevice") is None:
                raise ValueError(
                    "a microphone needs sounddevice, which is not installed: "
                    "pip install 'edgeapp[audio]'"
                )
            return device
        path = Path(device).expanduser()
        if isinstance(info.context, Surroundings):
            path = info.context.folder / path
        if not path.is_file():
            raise ValueError(f"there is no file '{path}'")
        return str(path.absolute())

    def needs(self) -> Needs:
        """All sound devices: microphones are looked for by their names."""
        if kind_of(self.device) is not DeviceKind.MICROPHONE:
            return super().needs()
        return super().needs() | Needs(nodes=frozenset({"/dev/snd/*"}))

    @field_validator("channels")
    @classmethod
    def _countable(cls, channels: str | tuple[int, ...]) -> str | tuple[int, ...]:
        if isinstance(channels, tuple) and (
            not channels
            or len(set(channels)) < len(channels)
            or not all(1 <= channel <= MOST_CHANNELS for channel in channels)
        ):
            raise ValueError(
                f"channels are mono, or different numbers from 1 to {MOST_CHANNELS}: [1, 2]"
            )
        return channels

    @model_validator(mode="after")
    def _readable(self) -> Self:
        kind = kind_of(self.device)
        for name in sorted(self.model_fields_set):
            if _USED_BY.get(name, kind) is not kind:
                raise ValueError(f"'{name}' means nothing for {kind.value}; leave it out")
        if kind is DeviceKind.FILE:
            try:
                self.recording()
            except OSError as error:
                raise ValueError(f"'{self.device}' cannot be read: {error.strerror}") from None
        return self

    @property
    def microphone_hz(self) -> int:
        """Samples per second to ask of a microphone."""
        return self.rate_hz or MICROPHONE_RATE_HZ

    def recording(self) -> Recording:
        """What `device` names, by what is in the file, whatever its name ends with.

        Raises:
            ValueError: it cannot be used as these options say.
            OSError: it cannot be read.
        """
        path = Path(self.device)
        with path.open("rb") as file:
            head = file.read(12)
        if not head:
            raise ValueError(f"'{path}' is empty")
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            recording = wav_recording(path, None)
        elif head[:4] == b"fLaC":
            recording = flac_recording(path)
        else:
            raise ValueError(f"'{path}' is neither a WAV nor a FLAC file")
        if self.rate_hz not in {None, recording.rate_hz}:
            raise ValueError(
                f"'{path}' was sampled at {recording.rate_hz:g} Hz: leave rate_hz out, and put a "
                "resample stage behind if another rate is needed"
            )
        mixer(self.channels, len(recording.channels))
        return recording


class Mixer:
    """Takes the chosen channels out of all of them, or mixes them into one."""

    def __init__(self, names: tuple[str, ...], chosen: tuple[int, ...] | None) -> None:
        self.names = names
        """What comes out, in order."""
        self._chosen = None if chosen is None else list(chosen)

    def mix(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(all channels, n) float32 as (`names`, n) float32 in -1..1; always a copy."""
        if self._chosen is None:
            samples = samples.mean(axis=0, keepdims=True)
        else:
            samples = samples[self._chosen]
        mixed: NDArray[np.float32] = np.clip(samples, -1, 1, dtype=np.float32)
        return mixed


def mixer(channels: Literal["mono"] | tuple[int, ...], columns: int) -> Mixer:
    """What `channels` asks of a device or recording with so many of them.

    Raises:
        ValueError: it has no such channel.
    """
    if channels == "mono":
        return Mixer(("mono",), (0,) if columns == 1 else None)
    if max(channels) > columns:
        raise ValueError(f"there is no channel {max(channels)}: there are {columns}")
    pair = 2
    all_names = (
        ("mono",)
        if columns == 1
        else ("left", "right")
        if columns == pair
        else tuple(f"ch{number}" for number in range(1, columns + 1))
    )
    chosen = tuple(channel - 1 for channel in channels)
    return Mixer(tuple(all_names[index] for index in chosen), chosen)


def kind_of(device: str) -> DeviceKind:
    """A recording where it looks like a path, with a folder or a suffix; else a microphone."""
    return DeviceKind.FILE if _PATH_LIKE.fullmatch(device) else DeviceKind.MICROPHONE
