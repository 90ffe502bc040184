"""How bad it is, in one word and one number."""

from edgeapp.watchdog.tick import Level

HEADROOM_SPAN_K = 30.0
"""Below the trip, where the headroom is 0."""
NEAR = 0.85
"""Headroom from which on the limit is near."""
HIGH_LOAD = 0.5
"""Share of all cores that is a high load where nothing is known of the heat."""


def headroom_of(forecast_c: float, trip_c: float) -> float:
    """1 at the trip, 0 at 30 K below it and everywhere under that; beyond 1 above the trip."""
    return max(0.0, 1.0 - (trip_c - forecast_c) / HEADROOM_SPAN_K)


def level_of(
    *,
    headroom: float | None,
    too_much: bool,
    lost: bool,
    high_load: bool,
    at_floor: bool,
    slowed: bool,
    less_than_best: bool,
) -> Level:
    """The level word.

    Args:
        headroom: As of `headroom_of`; None: nothing is known.
        too_much: Even the floor is too hot, or too much.
        lost: There was a temperature, and there is none now.
        high_load: More than half of the cores are busy.
        at_floor: Nothing cheaper can be chosen.
        slowed: The hardware slows the cores down.
        less_than_best: Some answers are not as good as they could be, because of a limit.
    """
    if too_much or (lost and high_load):
        return "critical"
    if slowed or (at_floor and less_than_best):
        return "serious"
    if less_than_best or lost or (headroom is not None and headroom >= NEAR):
        return "fair"
    return "nominal"
