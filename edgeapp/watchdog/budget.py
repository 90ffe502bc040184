"""One currency for all that must hold: the cores that our stages may use together.

Heat, power, battery, a weak supply and greedy neighbours each allow so many cores; the tightest of
them binds. Two budgets come out of it. To *stay*, a choice need only hold for the next seconds: rates
can be lowered at any tick, at once and for nothing. To be *chosen*, it has to hold for half a minute
and for five minutes, and through bursts of the neighbours, as far as lower rates could not make
room for them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from edgeapp.watchdog.ladder import RATE_EXPONENT
from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.load import Load
from edgeapp.watchdog.thermal_model import ThermalModel
from edgeapp.watchdog.tick import Binding

NOW_S = 10.0
"""What cannot be undone by lower rates: the die follows the load within so many seconds."""
NOW_MARGIN = 0.6
"""Of the margin, what is kept so shortly ahead, where little can go wrong."""
SOON_S = 30.0
LATER_S = 300.0
LATER_SIGMAS = 0.15
"""How sure it shall be that a choice holds for good: in time there is time to choose again."""
SELDOM = 0.01
"""Share of the time below which bursts are not provided for."""
STEPS, ZOOMS = 6, 3
PEAK_COST = 0.4
"""Of all utility, what each kelvin above the limit is thought to cost while it lasts."""
HARD_K = 0.4
"""Below the trip, what may be used rather than that a pipeline stops answering."""
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


NOTHING_BINDS = Cap("none", inf)


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


def heat_now(model: ThermalModel, load: Load, limit_c: float, trip_c: float, least: float) -> Cap:
    """What keeps the die below the trip in the next seconds, others as they are.

    Rather than that anything stops answering, the margins are used up: with the `least` cores with
    which all still answer, the die need only be expected below the trip.
    """
    near_c = trip_c - NOW_MARGIN * (trip_c - limit_c)
    cores = model.cores_at(near_c, NOW_S) - load.foreign
    if cores < least:
        hard = model.cores_at(trip_c - HARD_K, NOW_S, sigmas=0.0) - load.foreign
        cores = max(cores, min(least, hard))
    return Cap("heat_30s", cores)


def heat_soon(model: ThermalModel, load: Load, trip_c: float, least: float) -> Cap:
    """What is expected to keep the die below the trip in half a minute, others as they are.

    Without margins: `heat_now` holds all the while.
    """
    cores = model.cores_at(trip_c - HARD_K, SOON_S, sigmas=0.0) - load.foreign
    return Cap("heat_30s", max(cores, least))


def heat_later(
    model: ThermalModel, load: Load, limit_c: float, worth: Callable[[float], float], least: float
) -> Cap:
    """What keeps the die below the limit in five minutes, and in the bursts of others from then on.

    In a burst we can give way in one tick, by lower rates: models stay, for a burst is too short to
    be worth two swaps. Giving way deeply, however, costs answers that are worth much, and what is
    saved between bursts costs little. So both are chosen together, u cores between bursts and v in
    them, for the most that they are worth on average; a peak above the limit counts against them
    by `PEAK_COST`.

    Args:
        model: What is known of the heat.
        load: What is known of the others.
        limit_c: For the die.
        worth: What so many cores for us are worth, 0..1.
        least: Cores with which all still answer.
    """
    bursts = load.bursts
    q, quiet, high = bursts.share, bursts.quiet, bursts.quiet + bursts.height
    total = model.cores_at(limit_c, LATER_S, sigmas=LATER_SIGMAS)
    usual = total - bursts.mean
    gain, soon = _gain(model, LATER_S), _gain(model, min(bursts.length_s, LATER_S / 2))
    slow = gain - soon
    if q < SELDOM or slow <= 0:
        return Cap("heat_300s", max(usual, least))
    # The mean load heats slowly, what differs from it for the length of a burst heats soon: the
    # die ends at slow * mean + soon * (load of now), and the limit is at gain * total.
    others, rest, limit = quiet + q * bursts.height, 1 - q, gain * total

    def best_with(u: float, vs: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
        """(value, u, v) of the best v; of those come also q * v, and what they heat soon."""
        worth_u, mean_u, soon_u = worth(u), rest * u, soon * (u + quiet)
        best = -inf, u, least
        for v, mean_v, soon_v in vs:
            slowly = slow * (mean_u + mean_v + others) - limit
            between_k, over_k = slowly + soon_u, slowly + soon_v
            too_hot = (rest * between_k if between_k > 0 else 0.0) + (
                q * over_k if over_k > 0 else 0.0
            )
            kept = (v / u) ** RATE_EXPONENT if v < u else 1.0
            value = (rest + q * kept) * worth_u - PEAK_COST * too_hot
            if value >= best[0]:
                best = value, u, v
        return best

    u = v = least
    width = max(usual + 1.0 - least, 0.1)
    for _ in range(ZOOMS):
        low_u, low_v = max(least, u - width), max(least, v - width)
        step_u, step_v = (u + width - low_u) / STEPS, (v + width - low_v) / STEPS
        vs = [(v, q * v, soon * (v + high)) for v in (low_v + j * step_v for j in range(STEPS + 1))]
        _, u, v = max(best_with(low_u + i * step_u, vs) for i in range(STEPS + 1))
        width = max(step_u, step_v)
    return Cap("heat_300s", u)


def _gain(model: ThermalModel, horizon_s: float) -> float:
    """Kelvin that one core more makes by then."""
    return model.expect(1.0, horizon_s) - model.expect(0.0, horizon_s)
