"""A room to listen to, computed: hum and pink noise, and now and then a sound with a name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import ceil, log2, pi
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

Label = Literal["smoke_alarm", "glass_breaking", "knock", "siren"]
LABELS: tuple[Label, ...] = get_args(Label)
"""What the sounds are called."""

_QUIETER_DB = 6.0
"""How much quieter than the level that was asked for a sound may be: not all are near."""
_SOFT_EDGE_S = 0.005
"""How long a tone takes to begin and to end, so that it does not click."""
_FORGOTTEN = 0.01
"""A ring this far below its peak is over."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How loud, how often and what."""

    pause_s: float = 5.0
    """Mean silence between two sounds."""
    level_db: float = -12.0
    """Peak of the loudest sounds, in dB of full scale."""
    noise_db: float = -45.0
    """RMS of the background, in dB of full scale."""
    labels: tuple[Label, ...] = LABELS
    """Which sounds occur."""


class Heard(NamedTuple):
    """A sound that occurs, and when."""

    label: Label
    start_s: float
    end_s: float


def soundscape(
    seed: int, seconds: float, rate_hz: float, mix: Mix | None = None
) -> tuple[NDArray[np.float32], list[Heard]]:
    """The first `seconds` of what `Sounds` with this seed emits, and what is heard in them.

    Returns: samples, (n,) float32 in -1..1; the sounds in order of time, none overlapping another,
    the last one cut where the samples end.
    """
    mix = mix or Mix()
    count = round(seconds * rate_hz)
    samples = Soundscape(seed, rate_hz, mix).next(count)
    heard = [
        Heard(sound.label, sound.first / rate_hz, min(sound.end, count) / rate_hz)
        for sound in takewhile(lambda sound: sound.first < count, _sounds(seed, rate_hz, mix))
    ]
    return samples, heard


class Soundscape:
    """The samples, block after block, without an end; the same in blocks of any size."""

    def __init__(self, seed: int, rate_hz: float, mix: Mix) -> None:
        self._background = _background(seed, rate_hz, mix.noise_db)
        self._ahead = np.zeros(0)  # background that is computed already
        self._sounds = _sounds(seed, rate_hz, mix)
        self._sound = next(self._sounds)
        self._begin = 0

    def next(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, (count,) float32, in -1..1."""
        begin, end = self._begin, self._begin + count
        parts, there = [self._ahead], len(self._ahead)
        while there < count:
            parts.append(next(self._background))
            there += len(parts[-1])
        background = np.concatenate(parts)
        samples, self._ahead = background[:count].copy(), background[count:]
        while self._sound.first < end:
            sound = self._sound
            first, last = max(begin, sound.first), min(end, sound.end)
            samples[first - begin : last - begin] += sound.wave[
                first - sound.first : last - sound.first
            ]
            if sound.end > end:
                break
            self._sound = next(self._sounds)
        self._begin = end
        block: NDArray[np.float32] = np.clip(samples, -1, 1).astype(np.float32)
        return block


class _Sound(NamedTuple):
    label: Label
    first: int
    """Number of its first sample."""
    wave: Samples

    @property
    def end(self) -> int:
        return self.first + len(self.wave)


def _sounds(seed: int, rate_hz: float, mix: Mix) -> Iterator[_Sound]:
    """The sounds for ever, one after the other."""
    chance = np.random.default_rng((seed, 1))
    free = 0
    while True:
        first = free + ceil(mix.pause_s * chance.uniform(0.5, 1.5) * rate_hz)
        label = mix.labels[chance.integers(len(mix.labels))]
        level_db = mix.level_db - chance.uniform(0, _QUIETER_DB)
        wave = _MAKE[label](rate_hz, chance)
        wave *= 10 ** (level_db / 20) / np.abs(wave).max()
        free = first + len(wave)
        yield _Sound(label, first, wave)


def _background(seed: int, rate_hz: float, noise_db: float) -> Iterator[Samples]:
    """Mains hum and pink noise of this RMS, piece after piece.

    The noise is white noise through a filter whose gain falls with the root of frequency, by
    overlap-save (Oppenheim, Schafer, "Discrete-Time Signal Processing", 8.7).
    """
    chance = np.random.default_rng((seed, 0))
    taps = 2 ** ceil(log2(rate_hz / 8))  # resolves 8 Hz
    gain = 1 / np.sqrt(np.maximum(np.fft.rfftfreq(taps, 1 / rate_hz), 20))
    kernel = np.roll(np.fft.irfft(gain), taps // 2) * np.hanning(taps)
    kernel *= np.sqrt(0.8 / np.sum(kernel**2))
    piece = 3 * taps
    response = np.fft.rfft(kernel, 4 * taps)
    white = chance.standard_normal(4 * taps)
    begin = 0
    while True:
        pink = np.fft.irfft(np.fft.rfft(white) * response)[taps:]
        turns = (np.arange(begin, begin + piece) * (50 / rate_hz)) % 1.0
        hum = 0.6 * np.sin(2 * pi * turns) + 0.2 * np.sin(4 * pi * turns)  # 0.2 of the power
        yield 10 ** (noise_db / 20) * (pink + hum)
        begin += piece
        white[:taps] = white[-taps:]
        white[taps:] = chance.standard_normal(piece)


def _smoke_alarm(rate_hz: float, chance: np.random.Generator) -> Samples:
    """Three beeps of half a second, half a second apart: the T3 pattern of ISO 8201."""
    pitch_hz = 3100 * chance.uniform(0.97, 1.03)
    on, off = round(0.5 * rate_hz), round(0.5 * rate_hz)
    beep = np.sin(2 * pi * pitch_hz / rate_hz * np.arange(on)) * _soft(on, rate_hz)
    silence = np.zeros(off)
    return np.concatenate([beep, silence, beep, silence, beep])


def _glass_breaking(rate_hz: float, chance: np.random.Generator) -> Samples:
    """A burst of noise, and shards that ring at pitches of their own as they fall."""
    length_s = chance.uniform(0.6, 1.0)
    wave = np.zeros(round(length_s * rate_hz))
    time_s = np.arange(len(wave)) / rate_hz
    crack = np.diff(chance.standard_normal(len(wave) + 1)) * np.exp(-time_s / 0.03)
    highest_hz = min(7500.0, 0.45 * rate_hz)
    for _ in range(24):
        at = int(len(wave) * 0.7 * chance.uniform(0, 1) ** 2)
        pitch_hz, decay_s = chance.uniform(0.3, 1.0) * highest_hz, chance.uniform(0.02, 0.08)
        since_s = time_s[: len(wave) - at]
        ring = np.sin(2 * pi * pitch_hz * since_s) * np.exp(-since_s / decay_s)
        wave[at:] += chance.uniform(0.2, 0.7) * ring
    return _until_forgotten(wave + crack, rate_hz)


def _knock(rate_hz: float, chance: np.random.Generator) -> Samples:
    """Knuckles on a door, two to four times."""
    gap_s, pitch_hz = chance.uniform(0.16, 0.3), chance.uniform(110, 260)
    knocks = int(chance.integers(2, 5))
    wave = np.zeros(round((gap_s * (knocks - 1) + 0.25) * rate_hz))
    for number in range(knocks):
        at = round(gap_s * number * rate_hz)
        since_s = np.arange(len(wave) - at) / rate_hz
        body = np.sin(2 * pi * pitch_hz * since_s) * np.exp(-since_s / 0.025)
        body += 0.5 * np.sin(2 * pi * 2.7 * pitch_hz * since_s) * np.exp(-since_s / 0.012)
        click = 0.4 * chance.standard_normal(len(since_s)) * np.exp(-since_s / 0.003)
        wave[at:] += chance.uniform(0.7, 1.0) * (body + click)
    return _until_forgotten(wave, rate_hz)


def _siren(rate_hz: float, chance: np.random.Generator) -> Samples:
    """A wail: a tone with overtones that sweeps up and down between about 600 and 1400 Hz."""
    length_s, sweep_s = chance.uniform(3, 5), chance.uniform(1.5, 4)
    low_hz, high_hz = chance.uniform(550, 700), chance.uniform(1200, 1500)
    time_s = np.arange(round(length_s * rate_hz)) / rate_hz
    pitch_hz = low_hz + (high_hz - low_hz) * (0.5 - 0.5 * np.cos(2 * pi * time_s / sweep_s))
    phase = 2 * pi * np.cumsum(pitch_hz) / rate_hz
    wave = np.sin(phase) + np.sin(2 * phase) / 3  # overtones below 3 kHz: heard at any rate
    tone: Samples = wave * _soft(len(wave), rate_hz)
    return tone


_MAKE: dict[Label, Callable[[float, np.random.Generator], Samples]] = {
    "smoke_alarm": _smoke_alarm,
    "glass_breaking": _glass_breaking,
    "knock": _knock,
    "siren": _siren,
}


def _soft(count: int, rate_hz: float) -> Samples:
    """An envelope of ones that rises at its beginning and falls at its end."""
    edge = min(count // 2, round(_SOFT_EDGE_S * rate_hz))
    rise = 0.5 - 0.5 * np.cos(pi * np.arange(edge) / max(1, edge))
    return np.concatenate([rise, np.ones(count - 2 * edge), rise[::-1]])


def _until_forgotten(wave: Samples, rate_hz: float) -> Samples:
    """Without the end that nobody hears; what is left ends softly."""
    loud = np.flatnonzero(np.abs(wave) > _FORGOTTEN * np.abs(wave).max())
    kept = wave[: loud[-1] + 1].copy()
    edge = min(len(kept), round(_SOFT_EDGE_S * rate_hz))
    kept[-edge:] *= np.linspace(1, 0, edge)
    return kept
