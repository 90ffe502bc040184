"""Where packets enter: the source's slot, its `emit`, and its life of loss and return."""

from collections.abc import Callable
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.meters import StageMeters
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Payload
from edgeapp.core.revealed import hidden
from edgeapp.errors import BadPacket, Stopping, Unavailable
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.results import new_packet
from edgeapp.runtime.slot import STEADY_NS, Slot


class Inlet(Slot):
    """The slot of a source: runs it, epoch after epoch, until its stream ends or all stops."""

    def __init__(
        self,
        plan: StagePlan,
        pipeline: str,
        kit: Kit,
        life: Life,
        meters: StageMeters,
        *,
        first_epoch: int,
        push: Callable[[list[AnyPacket]], None],
    ) -> None:
        super().__init__(plan, pipeline, kit, life, meters)
        self.epoch = first_epoch
        self._push = push
        self.finished = False
        """The stream came to its own end."""
        self._running_since_ns = 0
        """When the source was last set going; 0 while it is not."""
        self._emitting = False
        """Whether it is inside `emit`: what takes long there is not the source."""

    def run(self) -> None:
        """Run the source until its stream ends or the pipeline stops. On the source's thread."""
        while not self._life.stopping.is_set():
            began_ns = self._now_ns()
            try:
                self._run_epoch()
                self.finished = not self._life.stopping.is_set()
                return
            except (Unavailable, BadPacket) as error:
                self._lost_touch(Unavailable(str(error)))
            except BaseException as error:
                self._blame(error, None)
            if self._now_ns() - began_ns > STEADY_NS:
                self._backoff.reset()
            self.epoch += 1
            if self._kit.clock.wait(self._life.stopping, self._backoff.next_s()):
                return

    def _run_epoch(self) -> None:
        self._signs.opening_since_ns = self._now_ns()
        try:
            source = self._build()
            if hasattr(source, "__enter__"):
                self._open_things.enter_context(source)
            emit = self._emitter()
            self._running_since_ns = self._now_ns()
            self._signs.opening_since_ns = 0
            source.run(emit)
        finally:
            self._running_since_ns = self._signs.opening_since_ns = 0
            self._close_quietly()

    @property
    def _hang_s(self) -> float:
        return max(self.plan.hang_s, self.plan.options.longest_wait_s())

    def _silent_since_ns(self, now_ns: int) -> int:
        """Also when it has emitted last: a source is inside one call for as long as it runs."""
        seen_ns = self._signs.last_ns(now_ns, self.meters.emitted)
        if self._emitting:
            return 0
        since_ns = self.busy_since_ns or self._running_since_ns
        return max(since_ns, seen_ns) if since_ns else 0

    def _lost_touch(self, error: Unavailable) -> None:
        problem = hidden(str(error))
        if self.waiting_for != problem:
            self.waiting_for = problem
            self.log.warning("source unavailable, retrying", problem=problem)

    def _emitter(self) -> Callable[..., None]:
        """The `emit` of one epoch: stamps, counts and hands on."""
        meters, origin, epoch = self.meters, self.id, self.epoch
        now_ns, push, life = self._now_ns, self._push, self._life
        stopping = life.stopping.is_set
        seq = 0
        newest_ns: int | None = None

        def emit(
            value: Any, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
        ) -> None:
            nonlocal seq, newest_ns
            if stopping():
                raise Stopping
            if not isinstance(value, Payload):
                raise TypeError(f"emit() was given a {type(value).__name__}, which is no payload")
            taken_ns = now_ns()
            if t_ns is None:
                t_ns = taken_ns
            if newest_ns is not None and t_ns < newest_ns:
                t_ns = newest_ns
            newest_ns = t_ns
            if self.waiting_for is not None:
                self.waiting_for = None
                self.log.info("source available again", epoch=epoch)
            packet = new_packet(
                Packet, (value, origin, epoch, seq, 0, t_ns, taken_ns, span_ns, lost, ())
            )
            seq += 1
            meters.taken += 1
            meters.done += 1
            meters.emitted += 1
            meters.lost += lost
            self.last = packet
            self._emitting = True
            try:
                push([packet])
            finally:
                self._emitting = False
            if stopping():
                raise Stopping

        return emit
