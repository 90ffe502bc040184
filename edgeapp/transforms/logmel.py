"""The transform `logmel`: what most models of sound look at."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import BadPacket, Context, Field, Options, Packet, Signal, Spectrogram, transform
from edgeapp.transforms._mel import Scale, hann, magnitudes, mel_bank

_OFFSET = 1e-3
_LEAST_POWER = 1e-10
_RANGE_DB = 80.0
_INT16 = 32768.0
_SHORTEST = 2
"""Samples of a frame: one alone has no spectrum."""

Log = Literal["natural", "decibel", "openwakeword"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A definition of a log-mel spectrogram."""

    bands: int = 64
    low_hz: float = 125.0
    high_hz: float = 7_500.0
    frame_s: float = 0.025
    hop_s: float = 0.010
    strength: Literal["magnitude", "power"] = "magnitude"
    scale: Scale = "htk"
    log: Log = "natural"
    whole_fft: bool = False
    """A frame is as long as its FFT, with the window in its middle; else as long as the window."""


PRESETS = {
    "yamnet": Recipe(),
    "openwakeword": Recipe(
        bands=32,
        low_hz=60.0,
        high_hz=3_800.0,
        strength="power",
        scale="slaney",
        log="openwakeword",
        whole_fft=True,
    ),
}
"""As the models' authors define them, at 16 kHz.

yamnet: `params.py` and `features.py` of research/audioset/yamnet in tensorflow/models.
openwakeword: `melspectrogram.onnx` of dscripka/openWakeWord (torchlibrosa), then x / 10 + 2 as in its
`utils.py`.
"""
PRESET_RATE_HZ = 16_000.0


class LogmelOptions(Options):
    """A model's own definition, or one by numbers."""

    preset: Literal["yamnet", "openwakeword"] | None = Field(
        default=None,
        description="Exactly as this model defines it, at 16000 Hz; with no other option.",
    )
    bands: int = Field(default=64, ge=1, le=512, description="How many bands.")
    low_hz: float = Field(default=125.0, ge=0, description="Where the lowest band begins, in Hz.")
    high_hz: float = Field(
        default=7_500.0,
        gt=0,
        description="Where the highest band ends, in Hz; at most half the rate.",
    )
    frame_s: float = Field(
        default=0.025,
        gt=0,
        le=10,
        description="How much of the signal each spectrum looks at, in seconds.",
    )
    hop_s: float = Field(
        default=0.010, gt=0, le=10, description="Seconds from one spectrum to the next."
    )
    strength: Literal["magnitude", "power"] = Field(
        default="magnitude", description="What is summed in a band; power is magnitude squared."
    )
    scale: Scale = Field(
        default="htk",
        description="htk: as HTK and TensorFlow do it. slaney: as librosa does it by default, with "
        "bands of equal area.",
    )
    log: Log = Field(
        default="natural",
        description="natural: ln(x + 0.001). decibel: dB of full scale, -100 at least. "
        "openwakeword: dB of 16-bit numbers, at most 80 below the strongest, / 10 + 2.",
    )

    @model_validator(mode="after")
    def _one_definition(self) -> Self:
        others = sorted(self.model_fields_set - {"preset"})
        if self.preset is not None and others:
            raise ValueError(f"a preset fixes everything: leave out {', '.join(others)}, or preset")
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz ({self.low_hz:g}) must be below high_hz ({self.high_hz:g})")
        return self

    def recipe(self) -> Recipe:
        """The definition that is meant."""
        if self.preset is not None:
            return PRESETS[self.preset]
        return Recipe(**self.model_dump(exclude={"preset"}))


@transform("logmel", stateless=True)
class Logmel:
    """Turn a window of sound into a log-mel spectrogram.

    A frame every `hop_s`, as many as lie wholly in the window: 96 in the 15600 samples that YAMNet
    looks at, 76 in the 12512 of openWakeWord. Each: Hann window (periodic), zeros up to a power of
    two, FFT, bands, logarithm. Windows of one channel only.
    """

    def __init__(self, options: LogmelOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._recipe = options.recipe()
        self._preset = options.preset

    def process(self, packet: Packet[Signal]) -> Spectrogram:
        """The spectrogram of this window.

        Raises:
            BadPacket: it has several channels, too low a rate, or is shorter than a frame.
        """
        signal, recipe = packet.value, self._recipe
        rate_hz = signal.rate_hz
        self._check(signal)
        frame, hop = round(recipe.frame_s * rate_hz), max(1, round(recipe.hop_s * rate_hz))
        fft = 1 << max(0, frame - 1).bit_length()
        length = fft if recipe.whole_fft else frame
        if frame < _SHORTEST or signal.samples.shape[1] < length:
            raise BadPacket(
                f"a window of {signal.samples.shape[1]} samples at {rate_hz:g} Hz holds no frame of "
                f"{length}: make windows longer",
                reason="too_short",
            )
        try:
            bank = mel_bank(
                rate_hz=rate_hz,
                fft=fft,
                bands=recipe.bands,
                low_hz=recipe.low_hz,
                high_hz=recipe.high_hz,
                scale=recipe.scale,
            )
        except ValueError as error:
            raise BadPacket(str(error), reason="too_many_bands") from None
        strength = magnitudes(signal.samples[0], hann(frame, length), hop, fft)
        if recipe.strength == "power":
            strength *= strength
        values, unit = _logarithm(strength @ bank.weights, recipe)
        return Spectrogram(values, rate_hz / hop, bank.centres_hz, unit)

    def _check(self, signal: Signal) -> None:
        if len(signal.channels) != 1:
            raise BadPacket(
                f"logmel takes one channel, not {', '.join(signal.channels)}: mix them at the "
                "source with channels: mono",
                reason="several_channels",
            )
        rate_hz, high_hz = signal.rate_hz, self._recipe.high_hz
        if self._preset is not None and rate_hz != PRESET_RATE_HZ:
            raise BadPacket(
                f"the preset {self._preset} is for {PRESET_RATE_HZ:g} Hz, not {rate_hz:g}: put a "
                "resample stage in front",
                reason="wrong_rate",
            )
        if rate_hz < 2 * high_hz:
            raise BadPacket(
                f"at {rate_hz:g} Hz there is nothing up to high_hz ({high_hz:g}): at most half",
                reason="wrong_rate",
            )


def _logarithm(bands: NDArray[np.float32], recipe: Recipe) -> tuple[NDArray[np.float32], str]:
    if recipe.log == "natural":
        return np.log(bands + np.float32(_OFFSET)), "log"
    power = bands if recipe.strength == "power" else bands * bands
    if recipe.log == "decibel":
        return 10 * np.log10(np.maximum(power, np.float32(_LEAST_POWER))), "dB"
    power = power * np.float32(_INT16**2)
    decibel = 10 * np.log10(np.maximum(power, np.float32(_LEAST_POWER)))
    return np.maximum(decibel, decibel.max() - np.float32(_RANGE_DB)) / 10 + 2, "1"
