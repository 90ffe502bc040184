"""The slot of a transform: one call for a burst where the stage offers that, else one by one."""

from collections.abc import Callable, Iterable
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import At
from edgeapp.core.payload import Payload
from edgeapp.errors import BadPacket, Unavailable
from edgeapp.runtime.results import listed, no_payload, packet_of, several
from edgeapp.runtime.slot import Slot


class TransformSlot(Slot):
    """A transform: answers with none, one or many."""

    def _bind(self, stage: Any) -> None:
        self._process: Callable[[AnyPacket], Any] = stage.process
        if self.plan.plugin.is_async:
            process = listed(stage.process)
            self._process = lambda packet: self._runner.run(process(packet))
        self._many: Callable[[list[AnyPacket]], Any] | None = getattr(stage, "process_many", None)
        self._stage_flush: Callable[[], Iterable[Any]] | None = getattr(stage, "flush", None)

    def handle(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Answer a burst, in one call where the stage offers that."""
        if len(burst) > 1 and self._stage is not None and self._many is not None:
            out = self._in_one_call(burst, self._many)
            if out is not None:
                return out
        return super().handle(burst)

    def _in_one_call(
        self, burst: list[AnyPacket], many: Callable[[list[AnyPacket]], Any]
    ) -> list[AnyPacket] | None:
        """The burst's answers, or None when it must be taken packet by packet."""
        if self._life.drop_reason is not None:
            return None
        self.busy_since_ns = began_ns = self._now_ns()
        try:
            results = many(burst)
            self._check_many(results, len(burst))
        except BaseException as error:  # the retry, one by one, shows which packet
            self._let_out(error)
            if not self._is_stop(error):
                self._say_many_failed(repr(error))
            return None
        finally:
            now_ns = self._now_ns()
            self.meters.busy_ns += now_ns - began_ns
            self.busy_since_ns = 0
        out: list[AnyPacket] = []
        for packet, result in zip(burst, results, strict=True):
            self._answer(packet, result, out)
        self._newest_in = burst[-1]
        meters = self.meters
        meters.taken += len(burst)
        meters.done += len(burst)
        if out:
            meters.emitted += len(out)
            self.last = out[-1]
        return out

    @staticmethod
    def _check_many(results: Any, count: int) -> None:
        """Before any of them is taken: one for each packet, each a payload or None."""
        if len(results) != count:
            raise ValueError(f"process_many() gave {len(results)} results for {count} packets")
        for result in results:
            value = result.value if type(result) is At else result
            if not (result is None or isinstance(value, Payload)):
                raise no_payload(value, "process_many()")

    def _say_many_failed(self, problem: str) -> None:
        if not self._many_failed:
            self._many_failed = True
            self.log.warning("process_many failed, packets are taken singly", problem=problem)

    _many_failed = False

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        result = self._process(packet)
        self._newest_in = packet
        if isinstance(result, Payload) and self._parts_of is None and not self._owed_lost:
            # What happens nearly always, without the call that handles the rest.
            _, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail = packet
            out.append(
                packet_of((result, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail))
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
                packet_of((result, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail))
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
                packet_of(
                    (value, origin, epoch, seq, part, at_ns, taken_ns, covers_ns, lost, trail)
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

    _newest_in: AnyPacket | None = None

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
