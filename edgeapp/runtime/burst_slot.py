"""The slot of a transform that takes a burst in one call, and so pays for the call once."""

from collections.abc import Callable
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import At
from edgeapp.core.payload import Payload
from edgeapp.runtime.results import no_payload
from edgeapp.runtime.transform_slot import TransformSlot


class BurstSlot(TransformSlot):
    """Asks `process_many` where several packets wait; one alone, or a burst that fails, singly."""

    _many_failed = False

    def _bind(self, stage: Any) -> None:
        super()._bind(stage)
        self._many: Callable[[list[AnyPacket]], Any] = stage.process_many

    def handle(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Answer a burst, in one call if it is more than one packet."""
        if len(burst) > 1 and self._stage is not None and self._life.drop_reason is None:
            out = self._in_one_call(burst)
            if out is not None:
                return out
        return super().handle(burst)

    def _in_one_call(self, burst: list[AnyPacket]) -> list[AnyPacket] | None:
        """The burst's answers, or None when it must be taken packet by packet."""
        self.busy_since_ns = began_ns = self._now_ns()
        try:
            results = self._many(burst)
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
