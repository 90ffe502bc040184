"""A device to simulate, out of a recording."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from statistics import fmean

from edgeapp.simulation.spec import Inputs, Node, PlantSpec, Power, SensorSpec, Table, Throttle
from edgeapp.simulation.trace import Trace
from edgeapp.simulation.tree import RecordedSenses
from edgeapp.watchdog.fit import Fit, FitError, Sample, fit_prior
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.signals.temperatures import kind_of
from edgeapp.watchdog.tick import Reading

_BLOCK_S = 10.0
"""The load of others is kept as its mean over so long."""
_LEAST_W = 0.05
_LEAST_R = 0.05


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was made of a recording."""

    trace: Trace
    """With a plant."""
    fit: Fit
    sensor: str
    """Whose temperature it was."""


def fitted(
    trace: Trace,
    cores: int,
    *,
    sensor: str | None = None,
    ambient_c: float | None = None,
    base: Prior | None = None,
) -> Fitted:
    """Make a device of a recording; its load, without ours, is what happens to it.

    `sensor`: its name, as `Readings` gives it; None: the die's. `base`: what is believed of what a
    recording does not show; None: what the trace says.

    Raises:
        FitError: nothing can be learned from it; a sentence.
    """
    samples = trace.samples
    assert samples is not None
    senses = RecordedSenses(trace, cores)
    readings = [senses.read(t_s) for t_s in samples.t_s]
    name = sensor or _die(readings)
    course = [
        Sample(t_s, _value(told, name), nan if busy is None else busy * (told.clock_ratio or 1.0))
        for t_s, told, busy in zip(samples.t_s, readings, samples.column("total_cpu"), strict=True)
    ]
    believed = base or trace.prior or Prior("unknown")
    fit = fit_prior(course, believed, ambient_c=ambient_c)
    limits = trace.limits or Limits(cores, trip_c=believed.trip_c)
    values = [sample.die_c for sample in course if sample.die_c is not None]
    spec = SensorSpec(
        "class/thermal/thermal_zone0/temp",
        _type(name),
        "die",
        lsb_c=_step(values),
        noise_c=round(min(5.0, fit.residual_c), 3),
    )
    plant = plant_of(fit.prior, limits.cores, limits.trip_c, start_c=values[0])
    made = Trace(
        trace.name,
        plant=plant,
        duration_s=max(10.0, trace.duration_s),
        inputs=Inputs(
            ambient_c=((0.0, round(fit.prior.ambient_c, 2)),), foreign_cores=_foreign(trace)
        ),
        sensors=(spec,),
        limits=limits,
        prior=fit.prior,
        tenants=trace.tenants,
    )
    return Fitted(made, fit, name)


def plant_of(prior: Prior, cores: int, trip_c: float, *, start_c: float) -> PlantSpec:
    """A plant of two nodes that is as warm as a prior says, at each load.

    Power is not seen in temperatures: that of a core is the prior's, and all else follows from it.
    """
    core_w = max(_LEAST_W, prior.core_w)
    die_r = max(_LEAST_R, prior.die_k_per_core / core_w)
    board_r = max(_LEAST_R, prior.board_k_per_core / core_w)
    return PlantSpec(
        nodes=(
            Node("die", die_r, prior.die_tau_s, "board"),
            Node("board", board_r, prior.board_tau_s, "ambient"),
        ),
        power=Power(max(0.0, prior.idle_k) / (die_r + board_r), core_w, cores),
        throttle=Throttle(on_c=trip_c, hard_c=trip_c + 5.0),
        start_c=start_c,
    )


def _die(readings: Sequence[Reading]) -> str:
    """The sensor of the die that told most; another one where there is none."""
    counts: Counter[tuple[bool, str]] = Counter()
    for told in readings:
        for one in told.sensors:
            if one.value_c is not None and not one.problem:
                counts[one.kind == "die", one.name] += 1
    if not counts:
        raise FitError(
            "no temperature was recorded: nothing can be learned of heat on a device without sensors"
        )
    return max(counts, key=lambda key: (key[0], counts[key]))[1]


def _type(name: str) -> str:
    """What the sensor calls itself, unless nobody would take that for the die's."""
    own = name.removeprefix("hwmon:").partition("/")[0].partition("#")[0]
    return own if kind_of(own) == "die" else "cpu-thermal"


def _value(told: Reading, name: str) -> float | None:
    return next((one.value_c for one in told.sensors if one.name == name and not one.problem), None)


def _step(values: list[float]) -> float:
    """The smallest difference between two readings: the sensor's own step."""
    known = sorted(set(values))
    steps = [b - a for a, b in pairwise(known) if b - a > 0.001]  # noqa: PLR2004 - finer is rounding
    return round(min(steps, default=0.001), 3)


def _foreign(trace: Trace) -> Table:
    """Load of others, in blocks; where it is not known, that of the block before."""
    assert trace.samples is not None
    samples = trace.samples
    blocks: dict[int, list[float]] = {}
    loads = zip(samples.t_s, samples.column("total_cpu"), samples.column("own_cpu"), strict=True)
    for t_s, total, own in loads:
        if total is not None:
            blocks.setdefault(int(t_s // _BLOCK_S), []).append(max(0.0, total - (own or 0.0)))
    pairs: list[tuple[float, float]] = []
    for block, values in blocks.items():
        mean = round(fmean(values), 2)
        if not pairs or pairs[-1][1] != mean:
            pairs.append((block * _BLOCK_S, mean))
    return tuple(pairs) or ((0.0, 0.0),)
