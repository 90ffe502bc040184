"""Numbers that describe a window of vibration."""

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import field_validator, model_validator

from edgeapp.api import (
    BadPacket,
    BearingGeometry,
    Context,
    Features,
    Field,
    Misfit,
    Options,
    Packet,
    Sampling,
    Signal,
    transform,
)
from edgeapp.transforms._bands import bins_of
from edgeapp.transforms._measure import HIGHEST, Form, Measure, Wanted, needs_s
from edgeapp.transforms.bearing_lines import fault_hz

Band = tuple[float, float]


def _ordered(band: Band) -> Band:
    if not 0 <= band[0] < band[1]:
        raise ValueError(
            f"[{band[0]:g}, {band[1]:g}] is not a band: give a lower edge from 0 on and a "
            "higher upper edge, in Hz"
        )
    return band


class FeaturesOptions(Options):
    """What to compute beside the usual numbers."""

    band_hz: tuple[Band, ...] = Field(
        default=(),
        description="Bands of which to give the RMS, in Hz: [10, 1500], or a list of such pairs.",
    )
    bearing: BearingGeometry | None = Field(
        default=None,
        description="The bearing's geometry (balls, ball_mm, pitch_mm, contact_deg): looks for its "
        "faults in the envelope spectrum. Needs speed_rpm or tacho_channel.",
    )
    speed_rpm: float | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Speed of the shaft in the bearing, in turns per minute, where it is constant.",
    )
    tacho_channel: str | None = Field(
        default=None,
        description="The channel with a tachometer's pulses, to measure the speed in each window.",
    )
    pulses_per_rev: float = Field(
        default=1.0, gt=0, le=10_000, description="How many pulses a turn of the shaft gives."
    )
    envelope_hz: Band = Field(
        default=(2_000.0, 10_000.0),
        description="Band around a resonance that the bearing's impacts ring in, in Hz; left out: "
        "2 kHz to 10 kHz, or to what the sampling rate allows.",
    )
    slip: float = Field(
        default=0.02,
        gt=0,
        le=0.1,
        description="How far from the computed place to look for a bearing's lines, as a fraction "
        "of the frequency: rolling elements slip.",
    )

    @field_validator("band_hz", mode="before", json_schema_input_type=Band | tuple[Band, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        alone = isinstance(value, list | tuple) and value and not isinstance(value[0], list | tuple)
        return [value] if alone else value

    @field_validator("band_hz")
    @classmethod
    def _bands(cls, value: tuple[Band, ...]) -> tuple[Band, ...]:
        return tuple(map(_ordered, value))

    @field_validator("envelope_hz")
    @classmethod
    def _envelope(cls, value: Band) -> Band:
        return _ordered(value)

    @model_validator(mode="after")
    def _bearing_turns(self) -> Self:
        if self.speed_rpm is not None and self.tacho_channel is not None:
            raise ValueError("give either speed_rpm or tacho_channel")
        if self.bearing is not None and self.speed_rpm is None and self.tacho_channel is None:
            raise ValueError(
                "bearing and speed_rpm belong together: its lines lie at multiples of the speed; "
                "give speed_rpm, or tacho_channel where the speed varies"
            )
        if self.bearing is None and self.speed_rpm is not None:
            raise ValueError(
                "bearing and speed_rpm belong together: its lines lie at multiples of the speed"
            )
        if self.tacho_channel is None and "pulses_per_rev" in self.model_fields_set:
            raise ValueError("pulses_per_rev needs a tacho: give tacho_channel too")
        return self

    def misfits(self, before: Sampling) -> Iterable[Misfit]:
        """What cannot be seen in such a signal."""
        if before.rate_hz is None:
            return
        for low, high in self.band_hz:
            if high > before.top_hz:
                yield Misfit(
                    "band_hz",
                    f"the band [{low:g}, {high:g}] Hz cannot be measured: {before.why_not_above}",
                    f"end it at {before.top_hz:g} Hz or below, or sample faster",
                )
            elif before.samples is not None:
                try:
                    bins_of((low, high), before.rate_hz, before.samples)
                except BadPacket as error:
                    yield Misfit("band_hz", str(error), "")
        if self.bearing is not None:
            yield from self._envelope_misfits(before, before.rate_hz, self.bearing)

    def _envelope_misfits(
        self, before: Sampling, rate_hz: float, bearing: BearingGeometry
    ) -> Iterable[Misfit]:
        low, high = self.envelope_hz
        asked = "envelope_hz" in self.model_fields_set
        at = "envelope_hz" if asked else "bearing"
        usable_hz = min(before.top_hz, HIGHEST * rate_hz / 2)
        strikes_hz = None if self.speed_rpm is None else fault_hz(bearing, self.speed_rpm / 60)
        needs_hz = 0.0 if strikes_hz is None else 2 * max(strikes_hz.values())
        if low >= usable_hz or (asked and high > before.top_hz):
            yield Misfit(
                at,
                f"a bearing's impacts are looked for in the envelope of the band [{low:g}, "
                f"{high:g}] Hz, but {before.why_not_above}",
                f"take a faster sensor, or set envelope_hz around a resonance below {usable_hz:g} Hz",
            )
        elif min(high, usable_hz) - low < needs_hz:
            yield Misfit(
                at,
                f"what is left of the envelope's band, [{low:g}, {min(high, usable_hz):g}] Hz, is "
                f"too narrow for impacts at up to {needs_hz / 2:.0f} Hz: {before.why_not_above}",
                f"take a faster sensor, or set envelope_hz around a lower resonance, at least "
                f"{needs_hz:.0f} Hz wide",
            )
        lasts_s = before.duration_s
        if strikes_hz is not None and lasts_s is not None and lasts_s < needs_s(strikes_hz):
            yield Misfit(
                "bearing",
                f"{lasts_s:.3g} s at a time are too short to tell this bearing's lines apart at "
                f"{self.speed_rpm:g} turns per minute: they would be {1 / lasts_s:.3g} Hz wide",
                f"put windows of {needs_s(strikes_hz):.2g} s or more before it",
            )


@transform("features", stateless=True)
class FeaturesOfSignal:
    """Describe each window in numbers: RMS, peak, kurtosis, velocity, bands, bearing lines.

    For each channel, `<channel>.<name>`, in the channel's unit where nothing else is said:

    - `mean`; all that follows is of the signal less its mean (gravity, a sensor's offset).
    - `rms`, `peak` (largest deviation), `peak_to_peak`, `crest` (peak / rms).
    - `kurtosis_pearson` (3 for Gaussian noise, not the excess) and `skewness`, of the population.
    - `velocity_rms` in mm/s: 10 to 1000 Hz, integrated in the frequency domain, as ISO 20816 asks.
      Only for channels in m/s², sampled faster than 2000 Hz, in windows from 0.4 s on.
    - `rms_<low>_<high>_hz` for each of `band_hz`.
    - With `bearing`: `outer_1` to `outer_3`, likewise `inner`, `ball` (multiples of 2 x BSF) and
      `cage`: amplitude of the harmonics in the spectrum of the squared envelope, in unit²; and
      `outer_hz` and so on: where the first of them was found.

    With `tacho_channel` that channel has one feature, `<channel>.speed_rpm` (0 without even
    pulses), and the bearing's lines are looked for at the speed of each window; they are 0 where it
    turns too slowly, or too fast, for the window and the band.

    Spectra are taken with a Hann window. A channel that stands still has 0 for what is undefined.
    Raises BadPacket for a window that is too short or sampled too slowly for what was asked, and
    for one with NaN or infinity in it.
    """

    def __init__(self, options: FeaturesOptions, context: Context) -> None:
        del context  # needs nothing from outside
        shaft_hz = None if options.speed_rpm is None else options.speed_rpm / 60
        self._wanted = Wanted(
            options.band_hz,
            options.bearing,
            shaft_hz,
            options.envelope_hz,
            options.slip,
            options.tacho_channel,
            options.pulses_per_rev,
        )
        self._measure: Measure | None = None

    def process(self, packet: Packet[Signal]) -> Features:
        """The features of one window."""
        return self._of(packet.value).features([packet.value])[0]

    def process_many(self, packets: Sequence[Packet[Signal]]) -> list[Features]:
        """The features of a burst; equal to those of `process`, at a fraction of its cost."""
        answers: list[Features] = []
        begin = 0
        while begin < len(packets):
            measure = self._of(packets[begin].value)
            end = begin + 1
            while end < len(packets) and measure.fits(packets[end].value):
                end += 1
            answers += measure.features([packet.value for packet in packets[begin:end]])
            begin = end
        return answers

    def _of(self, signal: Signal) -> Measure:
        if self._measure is None or not self._measure.fits(signal):
            form = Form.of(signal)
            if not form.length:
                raise BadPacket("a window without samples has no features", reason="too_short")
            self._measure = Measure(form, self._wanted)
        return self._measure
