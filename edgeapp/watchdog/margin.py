"""A margin that grows when the model is seen to be too hopeful, and only then."""

from math import exp

MOST_K = 4.0
GROW_K_PER_S = 0.1
FADE_S = 3600.0
NEAR_K = 0.3
"""Below the trip, from where on it was too hopeful."""


class Margin:
    """Kelvin kept below the limit on top of the configured ones.

    It reacts to the filtered temperature, never to the noise of a sensor, and not while nothing
    less could be chosen: then it is not the choice that was wrong.
    """

    def __init__(self) -> None:
        self.extra_k = 0.0

    def look(self, elapsed_s: float, die_c: float, trip_c: float, *, at_floor: bool) -> None:
        """Take in what the die is believed to have."""
        if die_c > trip_c - NEAR_K and not at_floor:
            self.extra_k = min(MOST_K, self.extra_k + GROW_K_PER_S * min(elapsed_s, 10.0))
        else:
            self.extra_k *= exp(-elapsed_s / FADE_S)
