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


RECALLED_NS = 60_000_000_000
"""What comes so long after what is remembered, in stream time, does not go on with it."""

RunMemory = tuple[str, int]
"""Origin and stream time of the newest packet."""


class Run:
    """Tells a stage with memory when another run of its source begins.

        if self._run.began(packet):
            self._memory.clear()

    True on the first packet, and on a new origin or epoch. A stage that recalls what it knew before
    a reload recalls this, too: then the first packet goes on with that run, though its epoch is
    another, unless stream time went back, as with a file that begins anew, or a minute has passed.
    """

    __slots__ = ("_epoch", "_origin", "_recalled", "_t_ns")

    def __init__(self) -> None:
        self._origin: str | None = None
        self._epoch = -1
        self._t_ns = 0
        self._recalled = False

    def began(self, packet: Packet[Any]) -> bool:
        """Whether what was remembered so far is of another run than this packet."""
        before_ns, self._t_ns = self._t_ns, packet.t_ns
        if packet.epoch == self._epoch and packet.origin == self._origin:
            return False
        goes_on = (
            self._recalled
            and packet.origin == self._origin
            and 0 <= packet.t_ns - before_ns <= RECALLED_NS
        )
        self._recalled = False
        self._origin, self._epoch = packet.origin, packet.epoch
        return not goes_on

    def remember(self) -> RunMemory | None:
        """For `recall`; None: there was no packet."""
        return None if self._origin is None else (self._origin, self._t_ns)

    def recall(self, memory: RunMemory | None) -> None:
        """Let the next packet go on with the run of another one of its kind."""
        if memory is not None:
            (self._origin, self._t_ns), self._recalled = memory, True


class Continuity:
    """Tells a stage with memory when its stream was interrupted.

        if self._continuity.broken(packet):
            self._memory.clear()

    True on the first packet, on a new origin or epoch, and when packets were lost before it. What
    `Run` says of a reload holds for this, too.
    """

    __slots__ = ("run",)

    def __init__(self) -> None:
        self.run = Run()

    def broken(self, packet: Packet[Any]) -> bool:
        """Whether what was remembered so far does not lead up to this packet."""
        return self.run.began(packet) or packet.lost > 0
