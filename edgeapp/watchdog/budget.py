"""One currency for all that must hold: the cores that our stages may use together.

Heat, power, battery, a weak supply and greedy neighbours each allow so many cores; the tightest of
them binds. Two budgets come out of it. To *stay*, a choice need only hold for the next half minute.
To be *chosen*, it has to hold for good: five minutes ahead, and through a burst of the neighbours
like the worst of late, as far as shedding in that moment could not make room for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.load import Load
from edgeapp.watchdog.thermal_model import ThermalModel
from edgeapp.watchdog.tick import Binding

SOON_S = 30.0
LATER_S = 300.0
BURST_S = 60.0
"""How long a neighbour's burst is taken to last."""
FAIR_SHARE = 0.5
"""Of the cores, what we may use however greedy the neighbours are."""
UNDERVOLTAGE_SHARE = 0.25
"""Of the cores, what a weak supply is asked for: it is the peak of the current that counts."""


@dataclass(frozen=True, slots=True)
class Cap:
    """What one constraint allows."""

    binding: Binding
    cores: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What all constraints allow."""

    stay: Cap
    """Beyond it, what runs now has to give way."""
    choose: Cap
    """Within it lies whatever is chosen anew."""


def tightest(caps: Iterable[Cap]) -> Cap:
    """The one that allows least; of equal ones the first."""
    return min(caps, key=lambda cap: cap.cores)


def cpu(limits: Limits, load: Load) -> Cap:
    """What the neighbours leave us, and never less than our fair share."""
    most = limits.cpu_share * limits.cores
    return Cap("cpu", max(most - load.foreign, FAIR_SHARE * most))


def undervoltage(limits: Limits) -> Cap:
    """What a supply that gave way is asked for."""
    return Cap("undervoltage", UNDERVOLTAGE_SHARE * limits.cores)


def heat_soon(model: ThermalModel, load: Load, limit_c: float) -> Cap:
    """What keeps the die below the limit in half a minute, others as they are."""
    return Cap("heat_30s", model.cores_at(limit_c, SOON_S) - load.foreign)


def heat_later(model: ThermalModel, load: Load, limit_c: float, floor_cores: float) -> Cap:
    """What keeps the die below the limit in five minutes, others as they use to be.

    When the neighbours then burst, all that we use above the floor can make room for them in one
    tick. Only what they need beyond that is held in reserve, and never so much of it that a
    pipeline would have to close for a burst that has not come.
    """
    total = model.cores_at(limit_c, LATER_S)
    usual = total - load.foreign_mean
    burst = floor_cores + load.foreign_peak
    if burst <= total:
        return Cap("heat_300s", usual)
    # For a total of u: gain_later * u + gain_burst * (burst - u) = gain_later * total.
    gain_later, gain_burst = _gain(model, LATER_S), _gain(model, BURST_S)
    if gain_later <= gain_burst:
        return Cap("heat_300s", usual)
    kept = (gain_later * total - gain_burst * burst) / (gain_later - gain_burst)
    return Cap("heat_300s", min(usual, max(kept - load.foreign_mean, floor_cores)))


def _gain(model: ThermalModel, horizon_s: float) -> float:
    """Kelvin that one core more makes by then."""
    return model.forecast(1.0, horizon_s).die_c - model.forecast(0.0, horizon_s).die_c
