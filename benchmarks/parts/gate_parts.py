"""The smallest stages there can be, so that what remains is the runtime."""

from edgeapp.api import (
    Context,
    Emit,
    Field,
    Message,
    Options,
    Packet,
    Score,
    output,
    source,
    transform,
)


class NoOptions(Options):
    """None."""


class NumbersOptions(Options):
    """How many."""

    count: int = Field(ge=1, description="How many numbers.")


@source("gate_numbers", live=False)
class Numbers:
    """Emit numbers."""

    def __init__(self, options: NumbersOptions, context: Context) -> None:
        self._count = options.count

    def run(self, emit: Emit[Score]) -> None:
        """Emit them all."""
        for number in range(self._count):
            emit(Score(float(number)), t_ns=number)


@transform("gate_double")
class Double:
    """Double a number."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score:
        """Twice the value."""
        return Score(packet.value.value * 2)


@output("gate_null")
class Null:
    """Encode a number and throw it away."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def encode(self, packet: Packet[Score]) -> Message:
        """As little as there can be."""
        return Message("gate", b"{}", packet.taken_ns, binary=True)

    def deliver(self, sealed: bytes) -> None:
        """Nowhere."""
