"""The slot of a transform that opens events: whatever its stage opens is ended, come what may."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from edgeapp.core.answers import Event
from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import At
from edgeapp.core.plugin import Plugin
from edgeapp.runtime.memory import Memory
from edgeapp.runtime.transform_slot import TransformSlot

_MOST_WAITING = 16
"""Acknowledgements; of more, which say the same, the oldest are forgotten."""


class EventSlot(TransformSlot):
    """Ends the events that a stage forgets: when it faults, or leaves them open at the end.

    So that nobody downstream waits for ever for the end of what began. The fact `cut_short` tells
    such an end from one that the stage saw. Bursts are taken singly, also where the stage offers
    `process_many`: each answer is followed before the next packet, which may fault.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unended: dict[str, Event] = {}
        self._forgotten: dict[str, Event] = {}
        self._acknowledgements: deque[Callable[[str], None]] = deque(maxlen=_MOST_WAITING)

    def acknowledge(self, tell: Callable[[str], None]) -> bool:
        """Let the stage know that somebody has seen its alarm, before its next packet. Any thread.

        `tell` gets the stage's sentence, on the stage's thread. False where the stage has no ear.
        """
        if not hasattr(self.plan.plugin.factory, "acknowledge"):
            return False
        self._acknowledgements.append(tell)
        return True

    def handle(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Answer a burst; then end what was left open by a stage that broke off in it."""
        while self._acknowledgements and self._stage is not None:
            tell = self._acknowledgements.popleft()
            self.busy_since_ns = self._now_ns()
            try:
                tell(self._stage.acknowledge())
            except BaseException as error:
                self._blame(error, None)
            finally:
                self.busy_since_ns = 0
        out = super().handle(burst)
        if self._forgotten:
            self._end_after(burst[-1], out)
        return out

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        if self._forgotten:
            self._end_forgotten(packet, out)
        before = len(out)
        super()._one(packet, out)
        self._follow(out[before:])

    def _close_quietly(self) -> None:
        self._forgotten |= self._unended
        self._unended = {}
        super()._close_quietly()

    def _recall(self, stage: Any, memory: Memory) -> bool:
        self._forgotten |= memory.forgotten
        if super()._recall(stage, memory):
            self._unended = dict(memory.open)
            return True
        self._forgotten |= memory.open
        return False

    def _memory(self, known: Any) -> Memory:
        open_, self._unended = self._unended, {}
        forgotten, self._forgotten = self._forgotten, {}
        return replace(super()._memory(known), open=open_, forgotten=forgotten)

    def flush(self) -> list[AnyPacket]:
        """What the stage still holds, and the end of every event that it leaves open."""
        memory, self.memory = self.memory, None
        if memory is not None:  # it never opened, and will not go on with any of these
            self._newest_in = memory.newest
            self._parts_of, self._parts = memory.parts_of, memory.parts
            self._forgotten |= {**memory.open, **memory.forgotten}
        out = super().flush()
        self._follow(out)
        self._forgotten |= self._unended
        self._unended = {}
        if self._forgotten and self._newest_in is not None:
            self._end_after(self._newest_in, out)
        return out

    def _end_after(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        """End what is forgotten, behind all that was made of a packet."""
        before = len(out)
        self._end_forgotten(packet._replace(part=packet.part + 1), out)
        self.meters.emitted += len(out) - before
        self.last = out[-1]

    def _end_forgotten(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        ends = [
            At(replace(event, phase="end", facts={**event.facts, "cut_short": True}), packet.t_ns)
            for event in self._forgotten.values()
        ]
        self._forgotten = {}
        self._newest_in = packet  # what comes at the end of all comes after these
        self._spread(packet._replace(lost=0), ends, out)

    def _follow(self, made: list[AnyPacket]) -> None:
        for packet in made:
            value = packet.value
            if not isinstance(value, Event):
                continue
            if value.phase == "end":
                self._unended.pop(value.event, None)
            else:
                self._unended[value.event] = value


def opens_events(plugin: Plugin) -> bool:
    """Whether a transform makes events of something else, and does not only pass them on."""
    return plugin.kind == "transform" and Event in _classes(plugin.gives) - _classes(plugin.takes)


def _classes(payload: Any) -> set[Any]:
    return set(get_args(payload)) or {payload}
