"""The slot of a model stage, and the gate that keeps packets from it when the dial says so."""

import time
from collections.abc import Callable
from typing import Any

from edgeapp.core.dial import CLOSED, Dial
from edgeapp.core.link import AnyPacket
from edgeapp.core.meters import LATE, StageMeters
from edgeapp.core.payload import Payload
from edgeapp.errors import BadPacket
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.results import no_payload
from edgeapp.runtime.slot import Slot


class ModelSlot(Slot):
    """A model stage: refuses what is too old, then asks the model, and measures what that costs."""

    one_by_one = True

    def __init__(
        self,
        plan: StagePlan,
        pipeline: str,
        kit: Kit,
        life: Life,
        meters: StageMeters,
        *,
        dial: Dial,
        may_drop: bool,
    ) -> None:
        super().__init__(plan, pipeline, kit, life, meters)
        self.dial = dial
        self._may_drop = may_drop
        self._deadline_ns = None if plan.deadline_ms is None else round(plan.deadline_ms * 1e6)

    def _build(self) -> Any:
        from edgeapp.models.model import ModelStage

        return ModelStage(self.plan, self.context, self.dial, self._kit.pool)

    def _tune(self, stage: Any) -> None:
        stage.tune(self.plan)

    def _bind(self, stage: Any) -> None:
        self._process: Callable[[AnyPacket], AnyPacket] = stage.process

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        began_ns = self.busy_since_ns
        deadline_ns = self._deadline_ns
        if deadline_ns is not None and self._may_drop and began_ns - packet.taken_ns > deadline_ns:
            raise BadPacket("older than deadline_ms before inference", reason=LATE)
        cpu_before_ns = time.thread_time_ns()
        answer = self._process(self._told(packet))
        cpu_ns = time.thread_time_ns() - cpu_before_ns
        if not isinstance(answer.value, Payload):
            raise no_payload(answer.value, "decode()")
        out.append(answer)
        self._owed_lost = 0
        now_ns = self._now_ns()
        meters = self.meters
        meters.calls += 1
        meters.cpu_ns += cpu_ns
        meters.wall_ns += now_ns - began_ns
        age_ns = now_ns - packet.taken_ns
        meters.age.record(age_ns)
        if deadline_ns is not None and age_ns > deadline_ns:
            meters.late += 1

    def idle(self) -> None:
        """Follow the dial though no packet comes, for it was shed or there is none."""
        stage = self._stage
        if stage is None:
            return
        self.busy_since_ns = self._now_ns()
        try:
            stage.follow()
        except BaseException as error:
            self._blame(error, None)
            self._close_quietly()
        finally:
            self.busy_since_ns = 0


class Gate:
    """Lets one packet in `divisor` through, as the dial of the model stage further down says.

    It counts the packets that come, not their `seq`: where a link or a filter before it leaves out
    every other one, a rule on `seq` might let none through. Closed, it lets none through.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._shut = 0  # how many of those that come next are shed
        self._owed_lost = 0  # carried by packets that were shed

    def passed(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Those of a burst to answer; a loss told by one that is shed is told by the next."""
        divisor = self._dial.wanted().divisor
        if divisor == CLOSED:
            self._shut = 0
            self._owed_lost += sum(packet.lost for packet in burst)
            return []
        if divisor == 1 and not self._owed_lost:
            self._shut = 0
            return burst
        passed: list[AnyPacket] = []
        for packet in burst:
            self._owed_lost += packet.lost
            self._shut = min(self._shut, divisor - 1)
            if self._shut:
                self._shut -= 1
                continue
            self._shut = divisor - 1
            passed.append(packet._replace(lost=self._owed_lost))
            self._owed_lost = 0
        return passed
