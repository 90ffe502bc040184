"""The slot of a stage: builds it, keeps it open, rebuilds it after a fault, counts what it does.

A slot lives on one thread. `handle` takes a burst of packets and returns what the stage made of
them; whatever a stage raises ends here.
"""

import asyncio
import inspect
import random
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from edgeapp.core.clock import NS, ns
from edgeapp.core.context import Context
from edgeapp.core.dial import Dial
from edgeapp.core.link import AnyPacket
from edgeapp.core.meters import FAULT, LATE, STOPPING, UNAVAILABLE, StageMeters
from edgeapp.core.packet import At, Packet
from edgeapp.core.payload import Payload
from edgeapp.errors import BadPacket, Stopping, Unavailable
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.kit import Kit, Life

RETRY_FIRST_S = 0.25
RETRY_MOST_S = 1.0
STEADY_NS = 10 * NS
"""What worked for so long makes the next retry start from the shortest wait."""
MOST_RESULTS = 100_000
"""Of one packet. A stage that gives more is taken to never end."""


_packet: Callable[[tuple[Any, ...]], AnyPacket] = partial(tuple.__new__, Packet)
"""`Packet(...)` without the Python function between: a third of its time, for the hottest lines."""


class Backoff:
    """Waiting times between tries: 0.25 s, doubled up to 1 s, a little random.

    Short on purpose: a camera must be back within 3 s of its return, and a try is cheap.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._next_s = RETRY_FIRST_S

    def reset(self) -> None:
        """It worked: start again from the shortest wait."""
        self._next_s = RETRY_FIRST_S

    def next_s(self) -> float:
        """How long to wait before the next try."""
        wait_s = self._next_s * self._chance.uniform(0.8, 1.0)
        self._next_s = min(self._next_s * 2, RETRY_MOST_S)
        return wait_s


class Slot:
    """Where one stage sits. Subclasses say how a stage of their kind answers one packet."""

    def __init__(
        self, plan: StagePlan, pipeline: str, kit: Kit, life: Life, meters: StageMeters
    ) -> None:
        self.plan = plan
        self.id = plan.id
        self.meters = meters
        self.last: AnyPacket | None = None
        """The newest packet that came out (of a sink: went in), for whoever looks."""
        self.busy_since_ns = 0
        """When the call that the stage is in began; 0 while it is in none."""
        self.waiting_for: str | None = None
        """What is unavailable, while something is."""
        self.log = kit.log.bind(pipeline=pipeline, stage=plan.id)
        self._kit = kit
        self._life = life
        self._now_ns: Callable[[], int] = kit.clock.now_ns
        seed = None if kit.seed is None else f"{kit.seed}/{pipeline}/{plan.id}"
        chance = random.Random(seed)  # noqa: S311  jitter and simulation, not secrets
        self.context = Context(
            pipeline=pipeline,
            id=plan.id,
            log=self.log,
            clock=kit.clock,
            random=chance,
            state_dir=kit.data_dir / pipeline / plan.id,
            stopping=life.stopping,
        )
        self._stage: Any = None
        self._open_things = ExitStack()
        self._backoff = Backoff(chance)
        self._retry_ns = 0
        self._opened_ns = 0
        self._why_closed = FAULT
        self._owed_lost = 0  # lost here or carried by packets that went nowhere
        self._parts_of: tuple[str, int, int] | None = None
        self._parts = 0

    # -- life -------------------------------------------------------------------------------

    def open(self) -> bool:
        """Build and open the stage; False while something that it needs is not there."""
        if self._stage is not None:
            return True
        if self._retry_ns and self._now_ns() < self._retry_ns:
            return False
        self.busy_since_ns = self._now_ns()
        try:
            stage = self._build()
            if hasattr(stage, "__enter__"):
                self._open_things.enter_context(stage)
            if self.plan.plugin.is_async:
                self._runner = self._open_things.enter_context(asyncio.Runner())
            self._bind(stage)
        except Unavailable as error:
            self._close_quietly()
            self._wait_for(error)
            return False
        except BaseException as error:
            self._close_quietly()
            self._why_closed = self._blame(error, None)
            self._retry_ns = self._now_ns() + ns(self._backoff.next_s())
            return False
        finally:
            self.busy_since_ns = 0
        self._stage = stage
        self._opened_ns = self._now_ns()
        self._retry_ns = 0
        if self.waiting_for is not None:
            self.log.info("available again")
            self.waiting_for = None
        return True

    def close(self) -> None:
        """Close the stage. What it raises is logged and goes no further."""
        self._close_quietly()

    def _build(self) -> Any:
        return self.plan.plugin.factory(self.plan.options, self.context)

    def _bind(self, stage: Any) -> None:
        """Look up what is called for each packet, once."""
        raise NotImplementedError

    def _close_quietly(self) -> None:
        self._stage = None
        things, self._open_things = self._open_things, ExitStack()
        self.busy_since_ns = self._now_ns()
        try:
            things.close()
        except BaseException as error:
            if not self._is_stop(error):
                self.log.warning("closing a stage failed", error=repr(error))
            self._let_out(error)
        finally:
            self.busy_since_ns = 0

    # -- packets ----------------------------------------------------------------------------

    def handle(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Answer a burst, packet by packet; returns what goes on."""
        meters = self.meters
        life = self._life
        now_ns = self._now_ns
        one = self._one
        meters.taken += len(burst)
        out: list[AnyPacket] = []
        for packet in burst:
            if life.drop_reason is not None:
                self._drop(packet, life.drop_reason)
                continue
            if self._stage is None and not self.open():
                self._drop(packet, self._why_closed)
                continue
            self.busy_since_ns = began_ns = now_ns()
            try:
                one(packet, out)
                meters.done += 1
            except BadPacket as error:
                self._drop(packet, error.reason)
                self._bad(error, packet)
            except Unavailable as error:
                self._drop(packet, UNAVAILABLE)
                self._close_quietly()
                self._wait_for(error)
            except BaseException as error:
                self._raised(error, packet)
            meters.busy_ns += now_ns() - began_ns
            self.busy_since_ns = 0
        if out:
            meters.emitted += len(out)
            self.last = out[-1]
        return out

    def flush(self) -> list[AnyPacket]:
        """What the stage still holds when the stream ends."""
        return []

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        raise NotImplementedError

    def _told(self, packet: AnyPacket) -> AnyPacket:
        """The packet with what was lost before it here; settle `_owed_lost` once it is answered."""
        if self._owed_lost:
            return packet._replace(lost=packet.lost + self._owed_lost)
        return packet

    def _drop(self, packet: AnyPacket, reason: str) -> None:
        self.meters.dropped[reason] += 1
        self._owed_lost += 1 + packet.lost

    # -- trouble ----------------------------------------------------------------------------

    def _is_stop(self, error: BaseException) -> bool:
        """Whether this is the shutdown passing through, and not a stage that raises the like.

        On a thread of ours nothing else has a meaning outside a stage: SystemExit, KeyboardInterrupt
        and CancelledError are a stage's faults, too.
        """
        return isinstance(error, Stopping) and self._life.stopping.is_set()

    @staticmethod
    def _let_out(error: BaseException) -> None:
        """Raise a Ctrl-C on: only the main thread, which runs steps and tests, can be sent one."""
        if (
            isinstance(error, KeyboardInterrupt)
            and threading.current_thread() is threading.main_thread()
        ):
            raise error

    def _bad(self, error: BadPacket, packet: AnyPacket) -> None:
        dropped = self.meters.dropped[error.reason]
        if dropped & (dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th...: bounded, and never silent
            self.log.warning(
                "packet dropped",
                stage=self.id,
                packet=_name(packet),
                problem=str(error),
                dropped_so_far=dropped,
            )

    def _wait_for(self, error: Unavailable) -> None:
        if self._opened_ns and self._now_ns() - self._opened_ns > STEADY_NS:
            self._backoff.reset()
        self._opened_ns = 0
        self._why_closed = UNAVAILABLE
        self._retry_ns = self._now_ns() + ns(self._backoff.next_s())
        if self.waiting_for != str(error):
            self.waiting_for = str(error)
            self.log.warning("unavailable, retrying", problem=str(error))

    def _raised(self, error: BaseException, packet: AnyPacket) -> None:
        """Drop the packet; rebuild the stage, unless it only let the shutdown pass."""
        self._drop(packet, STOPPING if self._is_stop(error) else FAULT)
        if self._blame(error, packet) == FAULT:
            self._close_quietly()
            if self._life.drop_reason is None:
                self.open()

    def _blame(self, error: BaseException, packet: AnyPacket | None) -> str:
        """Why packets are dropped after this error; counted and logged where it is a fault."""
        self._let_out(error)
        if self._is_stop(error):
            return STOPPING
        self.waiting_for = None
        self._fault(error, packet)
        return FAULT

    def _fault(self, error: BaseException, packet: AnyPacket | None) -> bool:
        """Count and log a fault; False when the budget is spent and the pipeline comes down."""
        self.meters.faults += 1
        self.log.error(
            "stage raised",
            packet=None if packet is None else _name(packet),
            exc_info=(type(error), error, error.__traceback__),
        )
        if self._life.budget.spend():
            return True
        self._life.fail(f"stage '{self.id}' keeps raising: {error!r}")
        return False


class TransformSlot(Slot):
    """A transform: answers with none, one or many."""

    def _bind(self, stage: Any) -> None:
        self._process: Callable[[AnyPacket], Any] = stage.process
        if self.plan.plugin.is_async:
            process = _listed(stage.process)
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
                raise _no_payload(value, "process_many()")

    def _say_many_failed(self, problem: str) -> None:
        if not self._many_failed:
            self._many_failed = True
            self.log.warning("process_many failed, packets are taken singly", problem=problem)

    _many_failed = False

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        self._answer(packet, self._process(packet), out)
        self._newest_in = packet

    def _answer(self, packet: AnyPacket, result: Any, out: list[AnyPacket]) -> None:
        if isinstance(result, Payload):
            _, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail = packet
            if self._owed_lost:
                lost, self._owed_lost = lost + self._owed_lost, 0
            if self._parts_of is not None:
                part = self._first_part(packet)
                self._parts = part + 1
            out.append(
                _packet((result, origin, epoch, seq, part, t_ns, taken_ns, span_ns, lost, trail))
            )
        elif result is None:
            self._owed_lost += packet.lost
        else:
            several = (result,) if type(result) is At else result
            self._spread(packet, _several(several, "process()"), out)

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
                _packet((value, origin, epoch, seq, part, at_ns, taken_ns, covers_ns, lost, trail))
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
            self._spread(after, _several(self._stage_flush(), "flush()"), out)
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


class ModelSlot(Slot):
    """A model stage: refuses what is too old, then asks the model."""

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
        deadline_ms = plan.deadline_ms if may_drop else None
        self._deadline_ns = None if deadline_ms is None else round(deadline_ms * 1e6)

    def _build(self) -> Any:
        from edgeapp.models.model import ModelStage

        return ModelStage(self.plan, self.context, self.dial, self._kit.pool)

    def _bind(self, stage: Any) -> None:
        self._process: Callable[[AnyPacket], AnyPacket] = stage.process

    def _one(self, packet: AnyPacket, out: list[AnyPacket]) -> None:
        if (
            self._deadline_ns is not None
            and self.busy_since_ns - packet.taken_ns > self._deadline_ns
        ):
            raise BadPacket("older than deadline_ms before inference", reason=LATE)
        answer = self._process(packet)
        if not isinstance(answer.value, Payload):
            raise _no_payload(answer.value, "decode()")
        out.append(self._told(answer))
        self._owed_lost = 0
        self.meters.age.record(self._now_ns() - packet.taken_ns)


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


class Gate:
    """Lets one packet in `divisor` through, as the dial of the model stage further down says.

    It counts the packets that come, not their `seq`: where a link or a filter before it leaves out
    every other one, a rule on `seq` might let none through.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._shut = 0  # how many of those that come next are shed
        self._owed_lost = 0  # carried by packets that were shed

    def passed(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        """Those of a burst to answer; a loss told by one that is shed is told by the next."""
        divisor = self._dial.wanted().divisor
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


def _listed(process: Callable[[AnyPacket], Any]) -> Callable[[AnyPacket], Any]:
    """An async stage's `process` as a coroutine function, also where it is an async generator."""
    if not inspect.isasyncgenfunction(process):
        return process

    async def listed(packet: AnyPacket) -> list[Any]:
        return [result async for result in process(packet)]

    return listed


def _several(results: Any, method: str) -> list[Any]:
    """What a method gave, where it is neither one payload nor None.

    Raises:
        TypeError: it is not several payloads.
        ValueError: there are more than can be meant.
    """
    if not isinstance(results, Iterable):
        raise _no_payload(results, method)
    some = list(islice(results, MOST_RESULTS + 1))
    if len(some) > MOST_RESULTS:
        raise ValueError(f"{method} gave more than {MOST_RESULTS:,} results for one packet")
    for result in some:
        value = result.value if type(result) is At else result
        if not isinstance(value, Payload):
            raise _no_payload(value, method)
    return some


def _no_payload(value: object, method: str) -> TypeError:
    return TypeError(f"{method} gave a {type(value).__name__}, which is no payload")


def _name(packet: AnyPacket) -> str:
    name = f"{packet.origin}/{packet.epoch}/{packet.seq}"
    return f"{name}.{packet.part}" if packet.part else name
