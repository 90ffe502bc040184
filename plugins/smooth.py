"""A transform: scores without their flicker.

stages:
  ...
  health: {transform: anomaly, learn_s: 3600}
  calm:   {transform: smooth, over_s: 30}
"""

import math

from edgeapp.api import Context, Continuity, Field, Options, Packet, Score, transform

NS = 1_000_000_000


class SmoothOptions(Options):
    """How much to smooth."""

    over_s: float = Field(
        10.0,
        gt=0,
        description="A step of the score is followed to 63 % within so many seconds of stream time.",
    )


@transform("smooth")
class Smooth:
    """Even out a score over time.

    An exponential moving average for uneven intervals: the weight of the past is exp(-dt / over_s).
    Its memory starts afresh when the stream was interrupted.
    """

    def __init__(self, options: SmoothOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._over_s = options.over_s
        self._continuity = Continuity()
        self._mean = 0.0
        self._then_ns = 0

    # These annotations are the contract: the check of a pipeline reads them.
    def process(self, packet: Packet[Score]) -> Score | None:
        """The smoothed score; nothing while the stage upstream is still learning."""
        score = packet.value
        if not score.ready:
            return None
        if self._continuity.broken(packet):
            self._mean = score.value
        else:
            # Stream time, the only time that a stage should look at: replays stay exact.
            past = math.exp(-(packet.t_ns - self._then_ns) / NS / self._over_s)
            self._mean = past * self._mean + (1 - past) * score.value
        self._then_ns = packet.t_ns
        return Score(self._mean, parts=score.parts)
