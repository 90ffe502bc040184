"""The packet: a value on the move, with when and where it began."""

from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Hop(NamedTuple):
    """A model stage that a packet went through: who answered."""

    stage: str
    model: str
    """Name of the model stage's decoder plugin."""
    variant: str
    """Name of the variant that answered."""
    rung: int
    """Position of that variant on the ladder; 0 is the best."""


class Key(NamedTuple):
    """What tells a packet from every other one of the same stage within a run."""

    origin: str
    epoch: int
    seq: int
    part: int


class Packet(NamedTuple, Generic[T]):
    """A value on the move. Its payload is read-only once emitted."""

    value: T
    origin: str
    """Id of the source stage."""
    epoch: int
    """Rises when the source reopens; stages with memory restart on it."""
    seq: int
    """0, 1, 2... within the epoch, as the source emitted."""
    part: int
    """0, 1, 2... where one packet became many."""
    t_ns: int
    """Stream time of capture in nanoseconds; a window's end. A file keeps its own time."""
    taken_ns: int
    """Monotonic nanoseconds at `emit`; for the runtime alone."""
    span_ns: int
    """Stream time that the value covers; 0 = an instant."""
    lost: int
    """Packets really lost since the previous one."""
    trail: tuple[Hop, ...]
    """Which models answered, oldest first."""

    @property
    def key(self) -> Key:
        """What tells this packet from every other one."""
        return Key(self.origin, self.epoch, self.seq, self.part)


def ends_event(packet: Packet[Any]) -> bool:
    """Whether somebody waits for this packet: it ends what an earlier one began."""
    return getattr(packet.value, "phase", None) == "end"


class At(NamedTuple, Generic[T]):
    """A transform's result with a stream time of its own, such as a window's end."""

    value: T
    t_ns: int
    span_ns: int = 0


class Continuity:
    """Tells a stage with memory when its stream was interrupted.

        if self._continuity.broken(packet):
            self._memory.clear()

    True on the first packet, on a new origin or epoch, and when packets were lost before it.
    """

    __slots__ = ("_epoch", "_origin")

    def __init__(self) -> None:
        self._origin: str | None = None
        self._epoch = -1

    def broken(self, packet: Packet[Any]) -> bool:
        """Whether what was remembered so far does not lead up to this packet."""
        if packet.lost == 0 and packet.epoch == self._epoch and packet.origin == self._origin:
            return False
        self._origin, self._epoch = packet.origin, packet.epoch
        return True
