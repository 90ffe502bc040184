"""The slots of sinks: actions touch the device, outputs say what to send."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgeapp.core.answers import Event
from edgeapp.core.clock import ns
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Message
from edgeapp.core.meters import LATE, StageMeters
from edgeapp.errors import BadPacket
from edgeapp.plan.graph import StagePlan
from edgeapp.rules.rule import Matcher
from edgeapp.runtime.changes import Changes
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.slot import Slot


class SinkSlot(Slot):
    """What actions and outputs have in common: they take what `when` says, and nothing too old."""

    def __init__(
        self, plan: StagePlan, pipeline: str, kit: Kit, life: Life, meters: StageMeters
    ) -> None:
        super().__init__(plan, pipeline, kit, life, meters)
        self._deadline_ns = None if plan.deadline_ms is None else round(plan.deadline_ms * 1e6)
        self._when = None if plan.when is None else Matcher(plan.when, self.log)
        self._choosy = self._when is not None or self._deadline_ns is not None
        """Whether there is anything that `_takes` could say no to."""

    def _takes(self, packet: AnyPacket) -> bool:
        """Whether `when` lets a packet in; one that it leaves out is answered with nothing.

        Raises:
            BadPacket: it is let in, but too late.
        """
        if self._when is not None and not self._when(packet):
            self._owed_lost += packet.lost
            return False
        if (
            self._deadline_ns is not None
            and self.busy_since_ns - packet.taken_ns > self._deadline_ns
        ):
            raise BadPacket("older than deadline_ms", reason=LATE)
        return True


class ActionSlot(SinkSlot):
    """An action, on the hands thread."""

    def _bind(self, stage: Any) -> None:
        self._act: Callable[[AnyPacket], object] = stage.act
        if self.plan.plugin.is_async:
            self._act = lambda packet: self._runner.run(stage.act(packet))

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        if self._choosy and not self._takes(packet):
            return
        packet = self._told(packet)
        self._act(packet)
        self.meters.emitted += 1
        self._owed_lost = 0
        now_ns = self._now_ns()
        self.meters.age.record(now_ns - packet.taken_ns)
        self.last = packet
        took_s = (now_ns - self.busy_since_ns) / 1e9
        if took_s > self.plan.timeout_s:
            self.log.warning("action overran", took_s=took_s, timeout_s=self.plan.timeout_s)


class OutputSlot(SinkSlot):
    """An output: encodes, and hands over to the uplink or to the output's own destination."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paces: dict[tuple[str, type], tuple[int, int]] = {}
        """For each source and kind of payload: of which epoch, and when the next one is due."""
        plan = self.plan
        self._changes = Changes(plan.on_change, self.log) if plan.on_change else None
        limits_s = [plan.ttl_s, None if plan.deadline_ms is None else plan.deadline_ms / 1000]
        self._ttl_s = min((limit for limit in limits_s if limit is not None), default=None)
        """What waits for the broker obeys `deadline_ms`, too."""

    def _bind(self, stage: Any) -> None:
        self._encode: Callable[[AnyPacket], Any] = stage.encode
        if self.plan.plugin.is_async:
            self._encode = lambda packet: self._runner.run(stage.encode(packet))
        self._deliver: Callable[[bytes], None] | None = getattr(stage, "deliver", None)
        self._every_ns = ns(self.plan.every_s)

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        if self._choosy and not self._takes(packet):
            return
        paced = self._every_ns and not self._begins_or_ends(packet)
        if paced and self._is_early(packet):
            self._owed_lost += packet.lost
            return
        if self._changes is not None and not self._changes.is_news(packet):
            self._owed_lost += packet.lost
            return
        if self._owed_lost:
            packet = self._told(packet)
        message = self._encode(packet)
        if message is not None:
            message.check()
            if self._ttl_s is not None or self.plan.priority != message.priority:
                message = self._stamped(message)
            if self._deliver is not None:
                self._deliver(self._kit.uplink.seal(message))
            else:
                self._kit.uplink.offer(message)
            self.meters.emitted += 1
            if self._changes is not None:
                self._changes.settle()
        self._owed_lost = 0
        if paced:
            due_ns = packet.t_ns + self._every_ns
            self._paces[packet.origin, type(packet.value)] = packet.epoch, due_ns
        self.meters.age.record(self._now_ns() - packet.taken_ns)
        self.last = packet

    def _stamped(self, message: Message) -> Message:
        """The message with its class, and the least of the times to live that it was given."""
        limits_s = [limit for limit in (self._ttl_s, message.ttl_s) if limit is not None]
        return replace(message, priority=self.plan.priority, ttl_s=min(limits_s, default=None))

    def _is_early(self, packet: AnyPacket) -> bool:
        """Whether `every_s` holds it back: what is read beside it has a pace of its own."""
        epoch, due_ns = self._paces.get((packet.origin, type(packet.value)), (-1, 0))
        return packet.epoch == epoch and packet.t_ns < due_ns

    @staticmethod
    def _begins_or_ends(packet: AnyPacket) -> bool:
        """Whether it is the first or the last word on an event: `every_s` keeps none of those."""
        value = packet.value
        return isinstance(value, Event) and value.phase != "update"
