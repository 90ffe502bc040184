"""Numbers that describe a window of vibration."""

from collections.abc import Sequence
from typing import Self

from pydantic import field_validator, model_validator

from edgeapp.api import (
    BadPacket,
    BearingGeometry,
    Context,
    Features,
    Field,
    Options,
    Packet,
    Signal,
    transform,
)
from edgeapp.transforms._measure import Form, Measure, Wanted

Band = tuple[float, float]


def _ordered(band: Band, name: str) -> Band:
    if not 0 <= band[0] < band[1]:
        raise ValueError(
            f"{name} [{band[0]:g}, {band[1]:g}] is not a band: give a lower edge from 0 on and a "
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
        "faults in the envelope spectrum. Needs speed_rpm.",
    )
    speed_rpm: float | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Speed of the shaft in the bearing, in turns per minute.",
    )
    envelope_hz: Band = Field(
        default=(2_000.0, 10_000.0),
        description="Band around a resonance that the bearing's impacts ring in, in Hz; its upper "
        "edge is lowered to what the sampling rate allows.",
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
        return tuple(_ordered(band, "band_hz") for band in value)

    @field_validator("envelope_hz")
    @classmethod
    def _envelope(cls, value: Band) -> Band:
        return _ordered(value, "envelope_hz")

    @model_validator(mode="after")
    def _bearing_turns(self) -> Self:
        if (self.bearing is None) != (self.speed_rpm is None):
            raise ValueError(
                "bearing and speed_rpm belong together: its lines lie at multiples of the speed"
            )
        return self


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

    Spectra are taken with a Hann window. A channel that stands still has 0 for what is undefined.
    Raises BadPacket for a window that is too short or sampled too slowly for what was asked, and
    for one with NaN or infinity in it.
    """

    def __init__(self, options: FeaturesOptions, context: Context) -> None:
        del context  # needs nothing from outside
        shaft_hz = None if options.speed_rpm is None else options.speed_rpm / 60
        self._wanted = Wanted(
            options.band_hz, options.bearing, shaft_hz, options.envelope_hz, options.slip
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
