"""Fewer packets of whatever kind."""

from typing import Self, TypeVar

from pydantic import model_validator

from edgeapp.api import Context, Field, Options, Packet, Payload, Run, RunMemory, transform

NS = 1_000_000_000

AnyPayload = TypeVar("AnyPayload", bound=Payload)


class EveryOptions(Options):
    """How few."""

    seconds: float | None = Field(
        default=None, gt=0, examples=[10], description="Pass one packet in so many, in stream time."
    )
    packets: int | None = Field(
        default=None, ge=1, description="Pass one packet in so many, instead of seconds."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.seconds is None) == (self.packets is None):
            raise ValueError("give either seconds or packets")
        return self


@transform("every")
class Every:
    """Pass one packet in so many seconds, or one in so many packets; the first one always.

    Counts afresh when the source was reopened. With `seconds` the times keep to a grid, so that the
    rate is right on average; after a pause the grid begins anew.
    """

    def __init__(self, options: EveryOptions, context: Context) -> None:
        del context  # needs nothing from outside
        self._period_ns = round((options.seconds or 0) * NS)
        self._packets = options.packets
        self._run = Run()
        self._due_ns = 0
        self._count = 0

    def remember(self) -> tuple[RunMemory | None, int, int]:
        """When the next one is due, and how many there were."""
        return self._run.remember(), self._due_ns, self._count

    def recall(self, memory: tuple[RunMemory | None, int, int]) -> None:
        """Keep the pace over a reload."""
        run, self._due_ns, self._count = memory
        self._run.recall(run)

    def process(self, packet: Packet[AnyPayload]) -> AnyPayload | None:
        """The packet's value, when it is its turn."""
        if self._run.began(packet):
            self._due_ns, self._count = packet.t_ns, 0
        if self._packets is not None:
            turn = self._count % self._packets == 0
            self._count += 1
            return packet.value if turn else None
        if packet.t_ns < self._due_ns:
            return None
        self._due_ns += self._period_ns
        if self._due_ns <= packet.t_ns:
            self._due_ns = packet.t_ns + self._period_ns
        return packet.value
