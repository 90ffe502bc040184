"""Letting packets through only while something is so."""

from typing import Annotated, Self, TypeVar

from pydantic import model_validator

from edgeapp.api import (
    BadPacket,
    Context,
    Field,
    Live,
    Matcher,
    Options,
    Packet,
    Payload,
    Reads,
    Rule,
    Run,
    RunMemory,
    Score,
    transform,
)

NS = 1_000_000_000

Value = TypeVar("Value", bound=Payload)


class GateOptions(Options):
    """When the gate opens and when it closes; by a score, by a rule, or by both."""

    rise_above: Annotated[float | None, Reads(Score), Live()] = Field(
        default=None,
        gt=0,
        examples=[1.5],
        description="Start passing when the score is above this.",
    )
    fall_below: Annotated[float | None, Live()] = Field(
        default=None,
        gt=0,
        description="Stop passing when the score is below this; rise_above if not given. A lower "
        "one keeps the gate from fluttering.",
    )
    when: Rule | None = Field(
        default=None,
        description='Pass packets of any kind only while this rule is true, such as: count("person")'
        " > 1. docs/rules.md says what it can name.",
    )
    for_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        description="Start only once the score has been above rise_above, or the rule true, for so "
        "long, in seconds of stream time.",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.rise_above is None and self.when is None:
            raise ValueError("give rise_above, or a rule with when, or both")
        if self.fall_below is not None:
            if self.rise_above is None:
                raise ValueError("fall_below goes with rise_above, which is not given")
            if self.fall_below > self.rise_above:
                raise ValueError("fall_below is not higher than rise_above")
        return self


@transform("gate")
class Gate:
    """Pass packets only from when a score rises until it falls, or while a rule is true.

    Shut at first and after the source was reopened. Scores of a stage that is still learning are
    not passed. Lost packets neither open nor shut it: those before and after them do. With a rule,
    one packet of which it is not true shuts the gate. Raises BadPacket where `rise_above` meets
    anything but a score.
    """

    def __init__(self, options: GateOptions, context: Context) -> None:
        self.tune(options)
        self._holds = None if options.when is None else Matcher(options.when, context.log)
        self._run = Run()
        self._open = False
        self._since_ns: int | None = None

    def tune(self, options: GateOptions) -> None:
        """Other thresholds, from the next packet on; an open gate stays open until it falls."""
        self._rise = options.rise_above
        self._fall = options.rise_above if options.fall_below is None else options.fall_below
        self._hold_ns = round(options.for_s * NS)

    def remember(self) -> tuple[RunMemory | None, bool, int | None]:
        """Whether it is open, and since when it is about to be."""
        return self._run.remember(), self._open, self._since_ns

    def recall(self, memory: tuple[RunMemory | None, bool, int | None]) -> None:
        """Be as open as before a reload."""
        run, self._open, self._since_ns = memory
        self._run.recall(run)

    def process(self, packet: Packet[Value]) -> Value | None:
        """The packet's value, while the gate is open."""
        if self._run.began(packet):
            self._open, self._since_ns = False, None
        rises = falls = False
        if self._rise is not None and self._fall is not None:
            score = packet.value
            if not isinstance(score, Score):
                raise BadPacket(
                    f"rise_above reads Score, not {type(score).__name__}", reason="no_score"
                )
            falls = not score.ready or score.value < self._fall
            rises = score.value > self._rise
        if self._holds is not None:
            held = self._holds(packet)
            falls = falls or not held
            rises = held and (rises or self._rise is None)
        if falls:
            self._open, self._since_ns = False, None
        elif not self._open:
            if not rises:
                self._since_ns = None
            else:
                if self._since_ns is None:
                    self._since_ns = packet.t_ns
                self._open = packet.t_ns - self._since_ns >= self._hold_ns
        return packet.value if self._open else None
