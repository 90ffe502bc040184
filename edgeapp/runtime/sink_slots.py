"""The slots of sinks: actions touch the device, outputs say what to send."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgeapp.core.clock import ns
from edgeapp.core.link import AnyPacket
from edgeapp.runtime.slot import Slot


class ActionSlot(Slot):
    """An action, on the hands thread."""

    def _bind(self, stage: Any) -> None:
        self._act: Callable[[AnyPacket], object] = stage.act
        if self.plan.plugin.is_async:
            self._act = lambda packet: self._runner.run(stage.act(packet))

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        packet = self._told(packet)
        self._act(packet)
        self._owed_lost = 0
        now_ns = self._now_ns()
        self.meters.age.record(now_ns - packet.taken_ns)
        self.last = packet
        took_s = (now_ns - self.busy_since_ns) / 1e9
        if took_s > self.plan.timeout_s:
            self.log.warning("action overran", took_s=took_s, timeout_s=self.plan.timeout_s)


class OutputSlot(Slot):
    """An output: encodes, and hands over to the uplink or to the output's own destination."""

    def _bind(self, stage: Any) -> None:
        self._encode: Callable[[AnyPacket], Any] = stage.encode
        if self.plan.plugin.is_async:
            self._encode = lambda packet: self._runner.run(stage.encode(packet))
        self._deliver: Callable[[bytes], None] | None = getattr(stage, "deliver", None)
        self._every_ns = ns(self.plan.every_s)

    _next_ns: int | None = None
    _epoch = -1

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        if self._every_ns:
            if packet.epoch != self._epoch:
                self._epoch, self._next_ns = packet.epoch, None
            if self._next_ns is not None and packet.t_ns < self._next_ns:
                self._owed_lost += packet.lost
                return
        if self._owed_lost:
            packet = self._told(packet)
        message = self._encode(packet)
        if message is not None:
            message.check()
            if self.plan.priority != message.priority:
                message = replace(message, priority=self.plan.priority)
            if self._deliver is not None:
                self._deliver(self._kit.uplink.seal(message))
            else:
                self._kit.uplink.offer(message)
        self._owed_lost = 0
        self._next_ns = packet.t_ns + self._every_ns
        self.meters.age.record(self._now_ns() - packet.taken_ns)
        self.last = packet
