"""The slot of a transform: answers packet by packet, each with none, one or many."""

from collections.abc import Callable, Iterable
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import At, Packet
from edgeapp.core.payload import Payload
from edgeapp.errors import BadPacket, Unavailable
from edgeapp.runtime.memory import Memory
from edgeapp.runtime.results import listed, new_packet, several
from edgeapp.runtime.slot import Slot


class TransformSlot(Slot):
    """A transform: answers with none, one or many."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._newest_in: AnyPacket | None = None
        self._parts_of: tuple[str, int, int] | None = None
        self._parts = 0

    def _bind(self, stage: Any) -> None:
        self._process: Callable[[AnyPacket], Any] = stage.process
        if self.plan.plugin.is_async:
            process = listed(stage.process)
            self._process = lambda packet: self._runner.run(process(packet))
        self._stage_flush: Callable[[], Iterable[Any]] | None = getattr(stage, "flush", None)

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        result = self._process(packet)
        self._newest_in = packet
        if isinstance(result, Payload) and self._parts_of is None and not self._owed_lost:
            # What happens nearly always, without the call that handles the rest.
            _, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail = packet
            out.append(
                new_packet(
                    Packet, (result, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail)
                )
            )
        else:
            self._answer(packet, result, out)

    def _answer(self, packet: AnyPacket, result: Any, out: list[AnyPacket]) -> None:
        if isinstance(result, Payload):
            _, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail = packet
            if self._owed_lost:
                lost, self._owed_lost = lost + self._owed_lost, 0
            if self._parts_of is not None:
                part = self._first_part(packet)
                self._parts = part + 1
            out.append(
                new_packet(
                    Packet, (result, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail)
                )
            )
        elif result is None:
            self._owed_lost += packet.lost
        else:
            results = (result,) if type(result) is At else result
            self._spread(packet, several(results, "process()"), out)

    def _spread(self, packet: AnyPacket, results: list[Any], out: list[AnyPacket]) -> None:
        if not results:
            self._owed_lost += packet.lost
            return
        _, origin, epoch, seq, _, t_ns, taken_ns, span_ns, lost, trail = packet
        lost, self._owed_lost = lost + self._owed_lost, 0
        part = self._first_part(packet)
        for result in results:
            if type(result) is At:
                value, at_ns, covers_ns = result
            else:
                value, at_ns, covers_ns = result, t_ns, span_ns
            out.append(
                new_packet(
                    Packet,
                    (value, origin, epoch, seq, part, at_ns, taken_ns, covers_ns, lost, trail),
                )
            )
            part += 1
            lost = 0
        self._parts = part

    def _first_part(self, packet: AnyPacket) -> int:
        """The number of the first answer to a packet: its own, or the next that is free."""
        of = (packet.origin, packet.epoch, packet.seq)
        if self._parts_of == of:
            return max(packet.part, self._parts)
        self._parts_of = of
        return packet.part

    def _recall(self, stage: Any, memory: Memory) -> bool:
        self._newest_in = memory.newest
        self._parts_of, self._parts = memory.parts_of, memory.parts
        return super()._recall(stage, memory)

    def _memory(self, known: Any) -> Memory:
        newest = None if self._newest_in is None else self._newest_in._replace(value=None)
        return Memory(known, newest, self._parts_of, self._parts)

    def flush(self) -> list[AnyPacket]:
        """What the transform still holds; stamped like the newest packet that it took."""
        packet = self._newest_in
        if self._stage is None or self._stage_flush is None or packet is None:
            return []
        out: list[AnyPacket] = []
        self.busy_since_ns = self._now_ns()
        try:
            after = packet._replace(part=packet.part + 1, lost=0)
            self._spread(after, several(self._stage_flush(), "flush()"), out)
        except (BadPacket, Unavailable) as error:
            self.log.warning("what a stage held is gone", problem=str(error))
        except BaseException as error:
            self._blame(error, packet)
        finally:
            self.busy_since_ns = 0
        if out:
            self.meters.emitted += len(out)
            self.last = out[-1]
        return out
