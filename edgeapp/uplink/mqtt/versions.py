"""Which version of MQTT to speak: 5 where it can be, 3.1.1 where it must be."""

from typing import Literal

from edgeapp.core.clock import NS, Clock

Version = Literal["5", "3.1.1"]

ENOUGH = 3
"""So many times in a row say that a broker does not know 5, if it does not say so itself."""
MANY = 10
"""So many failures in a row let one that has spoken 5 be asked in 3.1.1: it may be another now."""
AGAIN_S = 24 * 3600.0
"""After so long a broker that did not know 5 is asked again: it may have been renewed."""


class Versions:
    """Remembers what one broker understood.

    A broker may say that it does not know MQTT 5. Others hang up, or are silent; but so is one that
    knows it and is just being restarted, or is cut off by the network. A device that runs for years
    must not speak 3.1.1 because of one bad moment. So 3.1.1 comes first only after 5 failed and
    3.1.1 worked right afterwards, several times; and one that has spoken 5 before must have failed
    many times before 3.1.1 is tried at all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spoke_5 = False
        self._said_so = False
        self._failures = 0  # of 5, in a row
        self._rescues = 0  # of these, those after which 3.1.1 worked
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
        self._said_so = said_so
        self._failures += 1
        tried = said_so or not self._spoke_5 or self._failures >= MANY
        return "3.1.1" if tried else None

    def worked(self, version: Version) -> None:
        """This version was understood."""
        if version == "5":
            self._spoke_5, self._said_so = True, False
            self._failures = self._rescues = self._old_until_ns = 0
        elif self.first() == "5":
            self._rescues += 1
            if self._said_so or self._rescues >= ENOUGH:
                self._old_until_ns = self._clock.now_ns() + round(AGAIN_S * NS)
