"""A ceiling for devices whose heat cannot be read: below the load at which they slowed down.

That heat slows them is a guess, since neighbours on the same physical core and cold caches cost CPU
time as well. So the guess is put to the test: heat needs load, and less load must help.
"""

from math import exp, inf

from edgeapp.watchdog.load import Filtered

CUT = 0.85
"""Of the load that was too much, what is allowed next."""
CUT_EVERY_S = 10.0
HOLD_S = 600.0
"""Without slowing down, before the ceiling rises."""
RISE_S = 3600.0
"""In which it then rises by a factor of e."""
HEAT_S = 60.0
"""Over which load is averaged that may have heated."""
LEAST_HEAT = 0.25
"""Share of the cores that has to be busy so long: less heats nothing to its trip."""
AFTER_CROWD_S = 20.0
"""After neighbours took cores, what calls cost is still filtered with theirs."""
RELIEF = 0.5
"""Of the load that was too much: if it is not heat, half of it is as slow..."""
RELIEF_S = 120.0
"""...after so long, which cools every die."""
REST_S = 60.0
"""Without slowing down, before heat is thought of again where it was not the reason."""


class Ceiling:
    """Cores that may be busy; each slowing down lowers it, long peace raises it slowly."""

    def __init__(self) -> None:
        self.cores = inf
        self._cut_s = -inf
        self._slowed_s = -inf
        self._crowded_s = -inf
        self._heat = Filtered(HEAT_S)
        self._first_cores = 0.0
        self._relieved_s = 0.0
        self._is_heat = True

    def look(
        self,
        now_s: float,
        elapsed_s: float,
        *,
        slowed: bool,
        crowded: bool,
        busy: float,
        most: float,
    ) -> None:
        """Take in a tick.

        Args:
            now_s: Monotonic time.
            elapsed_s: Since the tick before.
            slowed: The same work takes more CPU time than it did.
            crowded: Neighbours take cores, which costs CPU time, too.
            busy: Cores in use, by everybody.
            most: Cores that there are.
        """
        heat = self._heat.add(busy, elapsed_s)
        if crowded:
            self._crowded_s = now_s
        elif slowed and now_s - self._crowded_s >= AFTER_CROWD_S:
            self._slowed(now_s, elapsed_s, busy, heat_enough=heat >= LEAST_HEAT * most)
        elif now_s - self._slowed_s >= REST_S:
            self._is_heat, self._relieved_s = True, 0.0
        if self.cores < inf and now_s - self._slowed_s >= HOLD_S:
            self.cores *= exp(elapsed_s / RISE_S)
            if self.cores > most:
                self.cores = inf

    def _slowed(self, now_s: float, elapsed_s: float, busy: float, *, heat_enough: bool) -> None:
        self._slowed_s = now_s
        if not self._is_heat:
            return
        if self.cores == inf:
            if not heat_enough:
                return
            self._first_cores = busy
        if busy <= RELIEF * self._first_cores:
            self._relieved_s += elapsed_s
            if self._relieved_s >= RELIEF_S:
                self._is_heat, self.cores = False, inf
                return
        if now_s - self._cut_s >= CUT_EVERY_S:
            self.cores = CUT * min(self.cores, busy)
            self._cut_s = now_s
