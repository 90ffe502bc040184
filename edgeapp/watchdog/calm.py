"""Calm: what keeps a governor from changing its mind too often."""

from collections import deque

CLIMB_SHARE = 0.985
"""Of what is allowed, what a climb may use: noise shall not take it back."""
LEAST_GAIN = 0.002
"""Of all utility, below which nothing is changed for the better."""
HOUR_S = 3600.0
SHED_EVERY_S = 4.0
"""Between two steps down, so that the first can be seen to work, unless the trip is at stake."""
CLIMB_AFTER_S = 20.0
"""From the last change of models on, before others are chosen."""
RETURN_AFTER_S = 3.0
"""From a change on, before rates are raised: they cost nothing, and noise has settled by then."""
CLIMB_EVERY_S = 5.0
"""Between two looks for better models: they cost more than a tick in which nothing changes."""
FIRST_PRICE = 0.006
"""Of a swap while there were none: a gain below this is not worth loading a model for."""
STEEP_PRICE = 0.04
"""What is added when the swaps of an hour are used up."""
PATIENCE_S = 90.0
"""How long a gain must last to be worth a swap at its plain price."""
MOST_TIMES = 3.0
"""The plain price, for what is very short."""
THERE_AND_BACK = 2.0
"""Swaps that one for the time of a burst comes to."""

_MOST_USED = 1000.0
"""Of the swaps of an hour; a price beyond means nothing."""
_MOST_SWAPS = 4096
"""Remembered at most; beyond that the price is high enough."""


class Calm:
    """Remembers changes, prices the next swap, and says when the next change may come.

    The price of a model swap, in utility, rises with the square of the swaps of the last hour. It is
    no hard stop: a swap that is worth it is always possible, and heat never waits for a price.
    """

    def __init__(self, swaps_per_h: float) -> None:
        self._swaps_per_h = swaps_per_h
        self._swaps: deque[float] = deque(maxlen=_MOST_SWAPS)
        self._shed_s: float | None = None
        self._changed_s: float | None = None
        self._swapped_s: float | None = None
        self._tried_s: float | None = None

    def tried_to_shed(self, now_s: float) -> None:
        """Remember that less was looked for, whether there was any or not."""
        self._shed_s = now_s

    def tried_to_climb(self, now_s: float) -> None:
        """Remember that better was looked for."""
        self._tried_s = now_s

    def note(self, now_s: float, *, swaps: int) -> None:
        """Remember a change, of so many model swaps; none: of rates alone."""
        self._swaps.extend([now_s] * swaps)
        self._changed_s = now_s
        if swaps:
            self._swapped_s = now_s

    def swaps(self, now_s: float) -> int:
        """Model swaps of the last hour."""
        while self._swaps and self._swaps[0] <= now_s - HOUR_S:
            self._swaps.popleft()
        return len(self._swaps)

    def price(self, now_s: float) -> float:
        """What one more swap must bring, in utility (0..1 of all that could be had)."""
        used = min(self.swaps(now_s) / self._swaps_per_h, _MOST_USED)
        return FIRST_PRICE + STEEP_PRICE * used * used

    def price_for(self, now_s: float, lasts_s: float) -> float:
        """The same for a change that will last so long: what is short has to bring more."""
        return self.price(now_s) * min(MOST_TIMES, PATIENCE_S / max(lasts_s, 1.0))

    def price_of_waiting(self, now_s: float, lasts_s: float = 0.0) -> float:
        """The same for what can wait: high after a change, falling while nothing changes.

        What is lost by waiting adds up, and a swap is due when it outweighs the price: whoever
        rents until the rent has reached the price of buying never pays more than twice too much
        (ski rental: Karlin et al., Algorithmica 3, 1988). Nobody has to wait for what is known.

        Args:
            now_s: Monotonic time.
            lasts_s: For how long the gain is known to last, at least; 0: nothing is known of it.
        """
        waited_s = HOUR_S if self._swapped_s is None else now_s - self._swapped_s
        return self.price_for(now_s, max(waited_s, lasts_s))

    def may_shed(self, now_s: float) -> bool:
        """Whether the last step down has had its time."""
        return self._shed_s is None or now_s - self._shed_s >= SHED_EVERY_S

    def may_climb(self, now_s: float) -> bool:
        """Whether the last swap, and the last look, has had its time."""
        if self._tried_s is not None and now_s - self._tried_s < CLIMB_EVERY_S:
            return False
        return self._swapped_s is None or now_s - self._swapped_s >= CLIMB_AFTER_S

    def may_return(self, now_s: float) -> bool:
        """Whether the last change, of any kind, has had its time, so that rates may be raised."""
        return self._changed_s is None or now_s - self._changed_s >= RETURN_AFTER_S
