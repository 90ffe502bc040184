"""The arithmetic of the `features` transform, laid out once for windows of one form."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import BadPacket, BearingGeometry, Features, Signal
from edgeapp.transforms import _spectral
from edgeapp.transforms._bands import ACCELERATION, Velocity, bins_of
from edgeapp.transforms._tacho import speed_rpm
from edgeapp.transforms.bearing_lines import Line, fault_hz, search_places, strongest

Floats = NDArray[np.float64]

_AT_ONCE = 1 << 17
"""Samples measured in one go: scratch of about 1 MiB stays in the cache and bounds memory."""
_LEAST_CAGE_TURNS = 3
"""Below this the Hann² window's main lobe reaches from the mean to the cage's line. The cage turns
slower than the shaft, so that sidebands at the shaft's speed stand apart too."""
HIGHEST = 0.95
"""Fraction of the Nyquist frequency up to which an anti-aliasing filter may be trusted."""
_STILL = 1e-9
"""A deviation this small against the level is rounding, not vibration."""


def needs_s(strikes_hz: dict[str, float]) -> float:
    """How long a window must be to tell a bearing's lines apart."""
    return _LEAST_CAGE_TURNS / strikes_hz["cage"]


class Form(NamedTuple):
    """What windows must share to be measured together."""

    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    length: int

    @classmethod
    def of(cls, signal: Signal) -> "Form":
        """The form of this window."""
        return cls(signal.rate_hz, signal.channels, signal.units, signal.samples.shape[1])


class Wanted(NamedTuple):
    """What to measure beside the usual numbers."""

    band_hz: tuple[tuple[float, float], ...] = ()
    bearing: BearingGeometry | None = None
    shaft_hz: float | None = None
    envelope_hz: tuple[float, float] = (2_000.0, 10_000.0)
    slip: float = 0.02
    tacho: str | None = None
    """The channel that the shaft's speed is measured from, instead of `shaft_hz`."""
    pulses_per_rev: float = 1.0


class Measure:
    """Measures windows of one form; owns the scratch memory for it. For one thread.

    Raises:
        BadPacket: what is wanted cannot be measured in such windows; says why.
    """

    def __init__(self, form: Form, wanted: Wanted) -> None:
        self.form = form
        self._bands = [self._bins(band) for band in wanted.band_hz]
        self._velocity = self._velocity_here()
        self._envelope: _spectral.SquaredEnvelope | None = None
        self._places: list[Line] = []
        self._wanted = wanted
        self._tacho = self._channel_of(wanted.tacho)
        if wanted.bearing is not None and wanted.shaft_hz is not None:
            self._plan_envelope(wanted, fault_hz(wanted.bearing, wanted.shaft_hz))
        elif wanted.bearing is not None and wanted.tacho is not None:
            band = self._envelope_band(wanted)
            self._envelope = _spectral.SquaredEnvelope(
                band.start, band.stop - 1, band.stop - band.start, form.length
            )
            # At any speed, so that windows have the same names: those of one turn per second.
            self._places = search_places(fault_hz(wanted.bearing, 1.0), wanted.slip, 1.0)
        self._name(wanted)

        count = form.length
        self._rows = max(1, _AT_ONCE // (count * max(1, len(form.channels))))
        shape = (self._rows, len(form.channels))
        self._ones = np.ones(count)  # sums as dot products are the fastest
        self._samples = np.empty((*shape, count))
        self._squares = np.empty((*shape, count))
        self._transform = np.empty((*shape, count // 2 + 1), np.complex128)

    def fits(self, signal: Signal) -> bool:
        """Whether this window is of the form that is measured here."""
        rate_hz, channels, units, length = self.form
        return (
            signal.samples.shape[1] == length
            and signal.rate_hz == rate_hz
            and signal.channels == channels
            and signal.units == units
        )

    def _bins(self, band_hz: tuple[float, float]) -> slice:
        return bins_of(band_hz, self.form.rate_hz, self.form.length)

    def _velocity_here(self) -> Velocity | None:
        """Where the band can be seen."""
        if ACCELERATION not in self.form.units:
            return None
        try:
            return Velocity.of(self.form.rate_hz, self.form.length)
        except BadPacket:
            return None

    def _channel_of(self, tacho: str | None) -> int | None:
        if tacho is None:
            return None
        if tacho not in self.form.channels:
            raise BadPacket(
                f"there is no channel '{tacho}' for the tacho; there are "
                f"{', '.join(self.form.channels)}",
                reason="no_tacho",
            )
        return self.form.channels.index(tacho)

    def _envelope_band(self, wanted: Wanted) -> slice:
        low, high = wanted.envelope_hz
        return self._bins((low, min(high, HIGHEST * self.form.rate_hz / 2)))

    def _plan_envelope(self, wanted: Wanted, strikes_hz: dict[str, float]) -> None:
        rate_hz, count = self.form.rate_hz, self.form.length
        duration_s = count / rate_hz
        low, high = wanted.envelope_hz
        high = min(high, HIGHEST * rate_hz / 2)
        top_hz = max(strikes_hz.values())
        if high - low < 2 * top_hz:
            raise BadPacket(
                f"at {rate_hz:g} Hz the envelope's band would be [{low:g}, {high:g}] Hz, too "
                f"narrow for impacts at up to {top_hz:.0f} Hz: sample faster, or set envelope_hz "
                "around a lower resonance",
                reason="above_nyquist",
            )
        if duration_s < needs_s(strikes_hz):
            raise BadPacket(
                f"a window of {duration_s:.3g} s is too short to tell this bearing's lines apart: "
                f"it needs {needs_s(strikes_hz):.2g} s or more",
                reason="too_short",
            )
        band = self._envelope_band(wanted)
        self._places = [
            place
            for place in search_places(strikes_hz, wanted.slip, duration_s)
            if place.harmonic * strikes_hz[place.fault] <= high - low
        ]
        keep = max(place.high for place in self._places) + 1
        self._envelope = _spectral.SquaredEnvelope(band.start, band.stop - 1, keep, count)

    def _name(self, wanted: Wanted) -> None:
        """Names, units and columns of the features, all of a channel's together."""
        names, units, columns = [], [], []
        column = 0
        for channel, unit in zip(self.form.channels, self.form.units, strict=True):
            named = [
                *((name, unit) for name in ("mean", "rms", "peak", "peak_to_peak")),
                *((name, "1") for name in ("crest", "kurtosis_pearson", "skewness")),
                *((f"rms_{low:g}_{high:g}_hz", unit) for low, high in wanted.band_hz),
            ]
            square = "1" if unit == "1" else f"({unit})²"
            for place in self._places:
                named.append((f"{place.fault}_{place.harmonic}", square))
                if place.harmonic == 1:
                    named.append((f"{place.fault}_hz", "Hz"))
            if self._velocity is not None:
                named.append(("velocity_rms", "mm/s"))
            if self._tacho is not None:
                named.append(("speed_rpm", "rpm"))
            for name, its_unit in named:
                if (channel == wanted.tacho) == (name == "speed_rpm") and (
                    name != "velocity_rms" or unit == ACCELERATION
                ):
                    names.append(f"{channel}.{name}")
                    units.append(its_unit)
                    columns.append(column)
                column += 1
        self._names, self._units = tuple(names), tuple(units)
        self._columns = np.array(columns, dtype=np.intp)

    def features(self, signals: Sequence[Signal]) -> list[Features]:
        """The features of windows of this form, one for each.

        Raises:
            BadPacket: one of them holds NaN or infinity.
        """
        answers = []
        for begin in range(0, len(signals), self._rows):
            values = self._values(signals[begin : begin + self._rows])
            answers += [Features(row, self._names, self._units) for row in values]
        return answers

    def _values(self, signals: Sequence[Signal]) -> Floats:
        """(windows, features): what `features` packs."""
        number, count = len(signals), self.form.length
        samples, squares = self._samples[:number], self._squares[:number]
        np.concatenate(
            [signal.samples for signal in signals], out=samples.reshape(-1, count)
        )  # the rows of all windows, one after the other
        speeds = self._speeds(signals)
        found = self._in_time(samples, squares)

        if self._bands or self._velocity or self._envelope:
            transform = _spectral.hann_rfft(samples, out=self._transform[:number])
            if self._bands or self._velocity:
                power = _spectral.power(transform, count)
                found += [np.sqrt(power[..., bins].sum(axis=-1)) for bins in self._bands]
            if self._envelope is not None:
                lines = self._envelope.amplitudes(transform)
                found += self._lines_at(speeds, lines) if speeds else self._bearing_lines(lines)
            if self._velocity is not None:
                found.append(self._velocity.rms(power))
        if speeds:
            found.append(np.repeat(np.array(speeds)[:, None], len(self.form.channels), axis=1))
        values: Floats = np.stack(found, axis=-1).reshape(number, -1)[:, self._columns]
        return values

    def _in_time(self, samples: Floats, squares: Floats) -> list[Floats]:
        """What needs no spectrum; leaves `samples` less their mean, and their squares."""
        count = self.form.length
        highest, lowest = samples.max(axis=-1), samples.min(axis=-1)
        mean = np.vecdot(samples, self._ones) / count
        if not np.isfinite(mean).all():
            raise BadPacket("the window holds NaN or infinity", reason="not_finite")
        samples -= mean[..., None]
        np.multiply(samples, samples, out=squares)
        variance = np.vecdot(squares, self._ones) / count
        moving = variance > (_STILL * np.maximum(np.abs(highest), np.abs(lowest))) ** 2
        variance = np.where(moving, variance, 0.0)
        divisor = np.where(moving, variance, 1.0)
        rms = np.sqrt(variance)
        peak = np.maximum(highest - mean, mean - lowest)
        fourth = np.vecdot(squares, squares) / count
        third = np.vecdot(squares, samples) / count
        return [
            mean,
            rms,
            peak,
            highest - lowest,
            np.where(moving, peak / np.sqrt(divisor), 0.0),
            np.where(moving, fourth / divisor**2, 0.0),
            np.where(moving, third / divisor**1.5, 0.0),
        ]

    def _bearing_lines(self, lines: Floats) -> list[Floats]:
        """In the order of `_name`."""
        found = []
        for place in self._places:
            amplitude, position = strongest(lines, place)
            found.append(amplitude)
            if place.harmonic == 1:
                found.append(position * self.form.rate_hz / self.form.length)
        return found

    def _speeds(self, signals: Sequence[Signal]) -> list[float]:
        """The shaft's speed in each window, in turns per minute; none without a tacho."""
        if self._tacho is None:
            return []
        per_turn = self._wanted.pulses_per_rev
        return [
            speed_rpm(signal.samples[self._tacho], signal.rate_hz, per_turn) for signal in signals
        ]

    def _lines_at(self, speeds: Sequence[float], lines: Floats) -> list[Floats]:
        """Like `_bearing_lines`, at each window's own speed; 0 where a line cannot be seen."""
        bearing = self._wanted.bearing
        assert bearing is not None
        duration_s = self.form.length / self.form.rate_hz
        columns = sum(1 + (place.harmonic == 1) for place in self._places)
        found = np.zeros((columns, *lines.shape[:-1]))
        for row, rpm in enumerate(speeds):
            strikes_hz = fault_hz(bearing, rpm / 60)
            if not rpm or duration_s < needs_s(strikes_hz):
                continue
            column = 0
            for place in search_places(strikes_hz, self._wanted.slip, duration_s):
                if place.high < lines.shape[-1]:
                    amplitude, position = strongest(lines[row], place)
                    found[column, row] = amplitude
                    if place.harmonic == 1:
                        found[column + 1, row] = position / duration_s
                column += 1 + (place.harmonic == 1)
        return list(found)
