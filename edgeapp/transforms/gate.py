"""Letting scores through only while something is wrong."""

from typing import Self

from pydantic import model_validator

from edgeapp.api import Context, Field, Options, Packet, Score, transform

NS = 1_000_000_000


class GateOptions(Options):
    """When the gate opens and when it closes."""

    rise_above: float = Field(gt=0, description="Start passing when the score is above this.")
    fall_below: float | None = Field(
        default=None,
        gt=0,
        description="Stop passing when the score is below this; rise_above if not given. A lower "
        "one keeps the gate from fluttering.",
    )
    for_s: float = Field(
        default=0.0,
        ge=0,
        description="Start only once the score has been above rise_above for so long, in seconds "
        "of stream time.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fall_below is not None and self.fall_below > self.rise_above:
            raise ValueError("fall_below is not higher than rise_above")
        return self


@transform("gate")
class Gate:
    """Pass scores only from when they rise until they fall.

    Shut at first and after the source was reopened. Scores of a stage that is still learning are
    not passed. Lost packets neither open nor shut it: the scores before and after them do.
    """

    def __init__(self, options: GateOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._rise = options.rise_above
        self._fall = options.rise_above if options.fall_below is None else options.fall_below
        self._hold_ns = round(options.for_s * NS)
        self._run: tuple[str, int] | None = None
        self._open = False
        self._above_since_ns: int | None = None

    def process(self, packet: Packet[Score]) -> Score | None:
        """The score, while the gate is open."""
        run = (packet.origin, packet.epoch)
        if run != self._run:
            self._run, self._open, self._above_since_ns = run, False, None
        score = packet.value
        if not score.ready or score.value < self._fall:
            self._open, self._above_since_ns = False, None
        elif not self._open:
            if score.value <= self._rise:
                self._above_since_ns = None
            else:
                if self._above_since_ns is None:
                    self._above_since_ns = packet.t_ns
                self._open = packet.t_ns - self._above_since_ns >= self._hold_ns
        return score if self._open else None
