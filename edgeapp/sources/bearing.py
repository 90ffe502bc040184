"""What an accelerometer on a bearing housing would read, computed from physics."""

from collections.abc import Iterator
from math import ceil, cos, log, pi, sqrt
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    BearingGeometry,
    Context,
    Emit,
    Field,
    Options,
    Sampling,
    Signal,
    samples_ns,
    source,
)
from edgeapp.sources._pace import RealTime

ACCELERATION = "m/s²"
MOST_BLOCK_SAMPLES = 1 << 20

Fault = Literal["none", "outer", "inner", "ball", "cage"]

_FORGOTTEN = 1e-4
"""A ring this far below its beginning is cut off."""
_LONGEST_RING_S = 1.0
_LOAD_EXTENT = 0.5
"""Half of the bearing carries load: no clearance and no preload."""
_LOAD_EXPONENT = 1.5
"""Of Stribeck's load distribution, for point contact (balls)."""
_OTHER_RACE = 0.8
"""How much weaker a spot on a ball strikes the inner race: further from the sensor."""


class BearingOptions(Options):
    """The machine, the fault and the sensor."""

    rate_hz: float = Field(default=12_000.0, gt=0, le=1_000_000, description="Samples per second.")
    speed_rpm: float = Field(
        default=1_797.0, ge=1, le=1_000_000, description="Speed of the shaft, turns per minute."
    )
    geometry: BearingGeometry = Field(
        default_factory=BearingGeometry,
        description="The bearing: balls, ball_mm, pitch_mm, contact_deg. Left out: a 6205.",
    )
    fault: Fault = Field(
        default="none", description="Where the damage is; none for a healthy bearing."
    )
    severity: float = Field(
        default=5.0,
        ge=0,
        le=1e6,
        description="How hard the damage strikes: about the peak of the ringing, in m/s².",
    )
    onset_s: float = Field(
        default=0.0,
        ge=0,
        description="When the damage begins, in seconds; before that it is healthy.",
    )
    growth_s: float = Field(
        default=0.0,
        ge=0,
        description="How long the damage takes from its begin to its full severity.",
    )
    slip: float = Field(
        default=0.01,
        ge=0,
        lt=0.2,
        description="How much slower the cage is than rolling without slip would make it, and how "
        "much the time between impacts varies, both as a fraction.",
    )
    resonance_hz: float = Field(
        default=3_500.0, gt=0, description="What the housing rings at when struck, in Hz."
    )
    damping: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="How fast the ringing dies away, as a fraction of critical.",
    )
    unbalance: float = Field(
        default=1.0,
        ge=0,
        le=1e6,
        description="Amplitude of the shaft's unbalance, once per turn, in m/s².",
    )
    noise: float = Field(
        default=0.5, ge=0, le=1e6, description="RMS of the noise of machine and sensor, in m/s²."
    )
    seed: int = Field(
        default=1, ge=0, description="Another seed, another recording of the same machine."
    )
    duration_s: float | None = Field(
        default=None,
        gt=0,
        description="How long the signal is, in seconds. Left out: it never ends.",
    )
    speed: Literal["real_time", "fast"] = Field(
        default="real_time",
        description="At the pace of a real sensor, or as fast as it is processed.",
    )
    block_s: float = Field(
        default=0.05,
        gt=0,
        le=60,
        description="How much of the signal to pass on at a time, in seconds; from one sample to a million.",
    )

    @model_validator(mode="after")
    def _heard(self) -> Self:
        if self.resonance_hz >= self.rate_hz / 2:
            raise ValueError(
                f"a resonance at {self.resonance_hz:g} Hz cannot be seen at {self.rate_hz:g} Hz: "
                "sample at more than twice the resonance"
            )
        if self.ring_s > _LONGEST_RING_S:
            raise ValueError(
                f"with this damping the resonance would ring for {self.ring_s:.3g} s: raise "
                "damping or resonance_hz"
            )
        return self

    @property
    def ring_s(self) -> float:
        """How long an impact can be heard."""
        return -log(_FORGOTTEN) / (2 * pi * self.resonance_hz * self.damping)

    def sampling(self) -> Sampling:
        """What is known of the signal before it comes."""
        return Sampling.at(self.rate_hz, self.block_s)


@source("bearing", live=False)
class Bearing:
    """Make up the vibration of a rolling bearing, healthy or damaged, on one channel `x` in m/s².

    Impacts of a local fault come at the bearing's kinematic frequency, changed by slip, with
    random intervals (each independent, so that the phase wanders) and ring the housing's resonance:
    P. D. McFadden, J. D. Smith, "Model for the vibration produced by a single point defect",
    Journal of Sound and Vibration 96 (1984); J. Antoni, R. B. Randall, "Differential diagnosis of
    gear and bearing faults", Journal of Vibration and Acoustics 124 (2002). Their strength follows
    Stribeck's load distribution, q = (1 - (1 - cos psi) / (2 e))^1.5: constant for the outer race,
    turning with the shaft for the inner race and with the cage for a ball, which makes their
    sidebands. Unbalance and white noise are added. The same options give the same samples, in
    blocks of any size.
    """

    def __init__(self, options: BearingOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Signal]) -> None:
        """Emit blocks until `duration_s` is over."""
        options = self._options
        rate_hz = options.rate_hz
        block_samples = min(max(1, round(options.block_s * rate_hz)), MOST_BLOCK_SAMPLES)
        left = None if options.duration_s is None else round(options.duration_s * rate_hz)
        synthesis = Synthesis(options)
        pace = RealTime(self._context) if options.speed == "real_time" else None
        end = 0
        while left is None or end < left:
            count = block_samples if left is None else min(block_samples, left - end)
            end += count
            end_ns = samples_ns(end, rate_hz)
            if pace is not None:
                pace.wait_for(end_ns)
            emit(
                Signal(synthesis.next(count), rate_hz, ("x",), (ACCELERATION,)),
                t_ns=end_ns,
                span_ns=samples_ns(count, rate_hz),
            )


class Synthesis:
    """The signal, block after block, without an end."""

    def __init__(self, options: BearingOptions) -> None:
        self._options = options
        self._noise = np.random.default_rng((options.seed, 0))
        self._impacts = _impacts(options, np.random.default_rng((options.seed, 1)))
        self._coming = next(self._impacts, None)
        self._begin = 0
        self._omega = 2 * pi * options.resonance_hz
        self._decay = options.damping * self._omega
        self._omega_damped = self._omega * sqrt(1 - options.damping**2)
        self._ring_samples = ceil(options.ring_s * options.rate_hz)
        self._tail = np.zeros(self._ring_samples)

    def next(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, (1, count) float32, in m/s²."""
        options = self._options
        rate_hz, begin = options.rate_hz, self._begin
        rings = np.zeros(count + self._ring_samples)
        rings[: self._ring_samples] = self._tail
        while self._coming is not None and self._coming[0] * rate_hz < begin + count:
            at_s, strength = self._coming
            self._coming = next(self._impacts)
            self._strike(rings, at_s, strength)
        self._tail = rings[count:]
        self._begin = begin + count

        turns = np.arange(begin, begin + count) * (options.speed_rpm / 60 / rate_hz)
        samples = rings[:count] + options.unbalance * np.sin(2 * pi * (turns % 1.0))
        samples += options.noise * self._noise.standard_normal(count)
        block: NDArray[np.float32] = samples.astype(np.float32)[None]
        return block

    def _strike(self, rings: NDArray[np.float64], at_s: float, strength: float) -> None:
        """Add the ringing after one impact, exact between samples."""
        rate_hz = self._options.rate_hz
        first = ceil(at_s * rate_hz)
        since_s = (np.arange(first, first + self._ring_samples) / rate_hz) - at_s
        ring = strength * np.exp(-self._decay * since_s) * np.sin(self._omega_damped * since_s)
        place = first - self._begin
        rings[place : place + self._ring_samples] += ring


def _impacts(options: BearingOptions, chance: np.random.Generator) -> Iterator[tuple[float, float]]:
    """When the fault strikes, in seconds, and how hard, in m/s²; for ever, unless there is none.

    The cage is slower by the slip and the rest follows: the balls pass the outer race more rarely,
    but the inner race, which turns under them, more often.
    """
    if options.fault == "none" or options.severity == 0:
        return
    shaft_hz = options.speed_rpm / 60
    orders = options.geometry.orders()
    cage_hz = orders.cage * shaft_hz * (1 - options.slip)
    rate_hz = {
        "outer": options.geometry.balls * cage_hz,
        "inner": options.geometry.balls * (shaft_hz - cage_hz),
        "ball": 2 * orders.spin * shaft_hz * (1 - options.slip),
        "cage": cage_hz,
    }[options.fault]
    at_s = 0.0
    number = 0
    while True:
        # An interval varies by at most half, so that impacts keep their order.
        jitter = min(0.5, max(-0.5, options.slip * chance.standard_normal()))
        at_s += (1 + jitter) / rate_hz
        number += 1
        strength = options.severity * _grown(options, at_s)
        if options.fault == "inner":
            strength *= _load(shaft_hz * at_s)
        elif options.fault == "ball":
            strength *= _load(cage_hz * at_s) * (1.0 if number % 2 else _OTHER_RACE)
        yield at_s, strength


def _grown(options: BearingOptions, at_s: float) -> float:
    """How much of the damage there is, 0..1."""
    since_s = at_s - options.onset_s
    if since_s < 0:
        return 0.0
    return 1.0 if options.growth_s == 0 else min(1.0, since_s / options.growth_s)


def _load(turns: float) -> float:
    """Stribeck's load, 0..1, at an angle from the middle of the load zone, in turns."""
    inside = 1 - (1 - cos(2 * pi * turns)) / (2 * _LOAD_EXTENT)
    load: float = max(0.0, inside) ** _LOAD_EXPONENT
    return load
