"""Which version of MQTT to speak: 5 where it can be, 3.1.1 where it must be."""

from typing import Literal

from edgeapp.core.clock import NS, Clock

Version = Literal["5", "3.1.1"]

ENOUGH_DOUBTS = 3
"""So many connections in a row in which 5 got no answer say that the broker does not know it."""
AGAIN_S = 24 * 3600.0
"""After so long a broker that did not know 5 is asked again: it may have been renewed."""


class Versions:
    """Remembers what one broker understood.

    A broker may say that it does not know MQTT 5. Others hang up, or are silent; but so is one that
    knows it and is just being restarted, or is cut off by the network. One that has spoken 5 before
    is therefore believed only after several times, and what was taken for ignorance is looked at
    again: a device that runs for years must not speak 3.1.1 because of one bad moment.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spoke_5 = False
        self._doubts = 0
        self._old_until_ns = 0

    def first(self) -> Version:
        """The version to try first."""
        return "3.1.1" if self._clock.now_ns() < self._old_until_ns else "5"

    def instead(self, failed: Version, *, said_so: bool) -> Version | None:
        """The version to try after one was not understood; None: none, try again later.

        `said_so`: the broker said that it does not know this version.
        """
        if failed == "3.1.1":
            return "5"
        self._doubts = ENOUGH_DOUBTS if said_so else self._doubts + 1
        return "3.1.1" if not self._spoke_5 or self._doubts >= ENOUGH_DOUBTS else None

    def worked(self, version: Version) -> None:
        """This version was understood."""
        if version == "5":
            self._spoke_5, self._doubts, self._old_until_ns = True, 0, 0
        elif self._doubts >= ENOUGH_DOUBTS and self.first() == "5":
            self._old_until_ns = self._clock.now_ns() + round(AGAIN_S * NS)
