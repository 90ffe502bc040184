"""Messages on which a broker hangs up, told apart from a bad network.

MQTT 3.1.1 knows no reason codes: a broker that will not have a message closes the connection, and so
may one that speaks MQTT 5. Sent again, such a message would end every connection, and block all
others for ever. But a connection that is merely cut looks the same, and must never cost a message.

So a message that was under way at several losses in a row, each soon after it was sent, is a
*suspect*, and becomes the subject of an experiment: with nothing else under way, the connection has
to hold for a while (the control), and to answer a packet that is known to be harmless; then the
suspect is sent alone. It is *hung up on* if the connection is lost within a small fraction of the
control's time. Five times in a row, each control lasting twice as long as the one before and for a
time nobody can foresee, condemn it. A loss during a control, or an acknowledgement, ends suspicion.

A network that is cut at a rate r ends a control of length D and spares the fraction D / RATIO after
it with a probability of exp(-rD) (1 - exp(-rD / RATIO)), at most 3 % at any rate and, over five
controls that double, 1e-9 at the worst one. Cuts at fixed times after connecting hit the fraction by
chance alone, since controls have a random length.
"""

import random
from collections.abc import Hashable, Mapping

LOSSES = 3
"""So many losses in a row make a message a suspect."""
SOON_S = 5.0
"""A broker hangs up within this time, or for other reasons."""
STRIKES = 5
"""Hung up on so many times in a row, a message is condemned."""
RATIO = 10.0
"""A control lasts at least so many times as long as a broker takes to hang up."""
LEAST_S = 0.25
"""A broker is thought to take at least this long, and four round trips, to hang up."""
LONGEST_CONTROL_S = 300.0


class Suspects:
    """Who is suspected, and on what evidence. Bounded by what can be under way. Event loop only."""

    def __init__(self, chance: random.Random) -> None:
        """Begin with none. `chance`: for the length of controls."""
        self._chance = chance
        self._losses: dict[Hashable, int] = {}
        self._strikes: dict[Hashable, int] = {}
        self._quick_s = 0.0  # the longest time that the broker was seen to take
        self.any = False
        """Whether there is one."""

    def __contains__(self, what: object) -> bool:
        """Whether it is suspected."""
        return self._losses.get(what, 0) >= LOSSES

    def lost(self, ages_s: Mapping[Hashable, float]) -> None:
        """A connection was lost, outside of an experiment, with these under way since so long."""
        self._losses = {
            what: self._losses.get(what, 0) + 1 for what, age_s in ages_s.items() if age_s <= SOON_S
        }
        self._strikes = {w: n for w, n in self._strikes.items() if w in self._losses}
        self._look()

    def acquit(self, what: Hashable) -> None:
        """The broker has answered it."""
        self._strikes.pop(what, None)
        if self._losses.pop(what, None):
            self._look()

    def acquit_all(self) -> None:
        """The connection was lost with none of them under way: it is the network."""
        self._losses.clear()
        self._strikes.clear()
        self._quick_s = 0.0
        self.any = False

    def patience_s(self, round_trip_s: float) -> float:
        """Within which time after a suspect was sent a loss counts against it."""
        return max(LEAST_S, 4 * round_trip_s, self._quick_s)

    def control_s(self, what: Hashable, round_trip_s: float) -> float:
        """How long the connection has to hold before the suspect is sent."""
        least_s = RATIO * self.patience_s(round_trip_s) * 2 ** self._strikes.get(what, 0)
        return min(LONGEST_CONTROL_S, self._chance.uniform(least_s, 2 * least_s))

    def hung_up(self, what: Hashable, after_s: float, round_trip_s: float) -> bool:
        """The connection was lost so long after the suspect was sent, alone; True: condemned."""
        if after_s > self.patience_s(round_trip_s):
            self.acquit_all()
            if after_s <= SOON_S:
                # Perhaps this broker takes longer: from now on the controls do, too.
                self._losses[what] = LOSSES
                self._quick_s = after_s
                self.any = True
            return False
        strikes = self._strikes.get(what, 0) + 1
        self._strikes[what] = strikes
        if strikes < STRIKES:
            return False
        self.acquit(what)
        return True

    def _look(self) -> None:
        self.any = any(count >= LOSSES for count in self._losses.values())
