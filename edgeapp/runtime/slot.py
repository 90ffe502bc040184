"""The slot of a stage: builds it, keeps it open, rebuilds it after a fault, counts what it does.

A slot lives on one thread. `handle` takes a burst of packets and returns what the stage made of
them; whatever a stage raises ends here. How a stage of each kind answers one packet stands in
`transform_slot`, `model_slot` and `sink_slots`; a source's slot is the `inlet`.
"""

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from edgeapp.core.clock import NS, ns
from edgeapp.core.context import Context
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Watched
from edgeapp.core.meters import FAILED, FAULT, STOPPING, UNAVAILABLE, LastFault, StageMeters
from edgeapp.core.packet import ends_event
from edgeapp.core.plugin import watched_topics
from edgeapp.core.revealed import hidden
from edgeapp.errors import BadPacket, PluginError, Stopping, Unavailable
from edgeapp.plan.graph import StagePlan
from edgeapp.runtime.kit import Kit, Life
from edgeapp.runtime.memory import Memory, check_plain
from edgeapp.runtime.signs import Signs

RETRY_FIRST_S = 0.25
RETRY_MOST_S = 1.0
_LONGEST_FAULT = 1_000
STEADY_NS = 10 * NS
"""What worked for so long makes the next retry start from the shortest wait."""
OPEN_HANG_S = 300.0
"""So long a stage may take to open, whatever its `hang_s`: models are loaded and warmed."""


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

    one_by_one = False
    """Whether each answer goes on before the next packet of a burst is looked at."""

    def __init__(
        self, plan: StagePlan, pipeline: str, kit: Kit, life: Life, meters: StageMeters
    ) -> None:
        self.plan = plan
        self.id = plan.id
        self.meters = meters
        self.last: AnyPacket | None = None
        """The newest packet that came out (of a sink: went in), for whoever looks."""
        self.busy_since_ns = 0
        """When the call that the stage is in began; 0 while it is in none, or is opened."""
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
            stopping=Signs(life.stopping),
            watch=self._watch,
        )
        self._stage: Any = None
        self._open_things = ExitStack()
        self._backoff = Backoff(chance)
        self._retry_ns = 0
        self._opened_ns = 0
        self._why_closed = FAULT
        self.memory: Memory | None = None
        """What the stage is to recall once it opens; after `wind_up`, what it remembered."""
        self._owed_lost = 0  # lost here or carried by packets that went nowhere

    # -- life -------------------------------------------------------------------------------

    def open(self) -> bool:
        """Build and open the stage; False while something that it needs is not there."""
        if self._stage is not None:
            return True
        if self._retry_ns and self._now_ns() < self._retry_ns:
            return False
        self._signs.opening_since_ns = self._now_ns()
        try:
            stage = self._set_up()
            if self.memory is not None and not self._recall(stage, self.memory):
                self._close_quietly()
                stage = self._set_up()  # afresh
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
            self._signs.opening_since_ns = 0
        self._stage = stage
        self._opened_ns = self._now_ns()
        self._retry_ns = 0
        if self.waiting_for is not None:
            self.log.info("available again")
            self.waiting_for = None
        return True

    def _set_up(self) -> Any:
        stage = self._build()
        if hasattr(stage, "__enter__"):
            self._open_things.enter_context(stage)
        if self.plan.plugin.is_async:
            self._runner = self._open_things.enter_context(asyncio.Runner())
        self._bind(stage)
        return stage

    def _recall(self, stage: Any, memory: Memory) -> bool:
        """Give a stage what it knew in the pipeline before; False when it could not take it."""
        self.memory = None
        try:
            stage.recall(memory.known)
        except BaseException as error:
            self._let_out(error)
            self._tell("stage could not recall, and starts afresh", error)
            return False
        return True

    def wind_up(self) -> list[AnyPacket]:
        """The stream ended: what the stage still holds, unless it remembers that for another."""
        return [] if self.id in self._life.keep and self._remember() else self.flush()

    def _remember(self) -> bool:
        """Ask the stage what it knows; whether there is something to recall."""
        if self._stage is None:
            return self.memory is not None  # it never came to recall that
        self.busy_since_ns = self._now_ns()
        try:
            known = self._stage.remember()
            check_plain(known)
        except BaseException as error:
            self._let_out(error)
            self._tell("stage could not remember", error)
            return False
        finally:
            self.busy_since_ns = 0
        self.memory = self._memory(known)
        return True

    def _memory(self, known: Any) -> Memory:
        return Memory(known)

    def _tell(self, event: str, error: BaseException) -> None:
        self.log.error(event, exc_info=(type(error), error, error.__traceback__))

    @property
    def busy(self) -> bool:
        """Whether it is inside a call, or being opened."""
        return bool(self.busy_since_ns or self._signs.opening_since_ns)

    def hung_s(self, now_ns: int) -> float | None:
        """For how long nothing has been seen of a call; None unless that is too long.

        The end of a call is seen, and that the stage looks whether it is to stop. To be asked about
        once a second, by any thread.
        """
        since_ns, limit_s = self._signs.opening_since_ns, max(OPEN_HANG_S, self.plan.hang_s)
        if not since_ns:
            since_ns, limit_s = self._silent_since_ns(now_ns), self._hang_s
        silent_s = (now_ns - since_ns) / NS
        return silent_s if since_ns and silent_s > limit_s else None

    @property
    def _signs(self) -> Signs:
        # No attribute: of an object with more than 30 of them Python finds each one more slowly.
        signs = self.context.stopping
        assert isinstance(signs, Signs), "made above"
        return signs

    @property
    def _hang_s(self) -> float:
        return self.plan.hang_s

    def _silent_since_ns(self, now_ns: int) -> int:
        """When the last was seen of the call that it is in; 0: it is in none."""
        seen_ns = self._signs.last_ns(now_ns)
        since_ns = self.busy_since_ns
        return max(since_ns, seen_ns) if since_ns else 0

    def close(self) -> None:
        """Close the stage. What it raises is logged and goes no further."""
        self._close_quietly()

    def tune(self, plan: StagePlan) -> None:
        """Go over to other live options before the next burst, and keep them. Any thread."""
        self.plan = plan
        # For one call: the others cost nothing more.
        self.handle = self._tune_and_handle  # type: ignore[method-assign]  # on purpose

    def _tune_and_handle(self, burst: list[AnyPacket]) -> list[AnyPacket]:
        with suppress(AttributeError):  # two tunes at once, of which this call did both
            del self.handle
        if self._stage is not None:
            self.busy_since_ns = self._now_ns()
            try:
                self._tune(self._stage)
            except BaseException as error:
                self._blame(error, None)
                self._close_quietly()  # it is built anew, with its new options
            finally:
                self.busy_since_ns = 0
        return self.handle(burst)

    def _tune(self, stage: Any) -> None:
        stage.tune(self.plan.options)

    def _watch(self, topic: str) -> Watched:
        """Only what options name: by these it is known whether a broker is needed at all."""
        if topic not in watched_topics(self.plan.options):
            raise PluginError(f"'{topic}' is watched, but in no option of the type WatchTopic")
        return self._kit.uplink.watch(topic)

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
        meters.taken += len(burst)
        out: list[AnyPacket] = []
        for packet in burst:
            if life.drop_reason is not None and not (
                life.drop_reason == FAILED and ends_event(packet)
            ):
                self._drop(packet, life.drop_reason)
                continue
            if self._stage is None and not self.open():
                self._drop(packet, self._why_closed)
                continue
            self.busy_since_ns = began_ns = now_ns()
            try:
                self._one(packet, out)
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

    def idle(self) -> None:
        """No packet comes: it was shed further up, or there is none."""

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
        problem = hidden(str(error))
        if self.waiting_for != problem:
            self.waiting_for = problem
            self.log.warning("unavailable, retrying", problem=problem)

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
        self.meters.last_fault = LastFault(_sentence(error), self._now_ns())
        at = {} if packet is None else {"packet": _name(packet)}
        self.log.error(
            "stage raised",
            **at,
            exc_info=(type(error), error, error.__traceback__),
        )
        if self._life.budget.spend():
            return True
        self._life.fail(f"stage '{self.id}' keeps raising: {error!r}")
        return False


def _sentence(error: BaseException) -> str:
    """What was raised, in a line: the message may be missing, long, or raise itself."""
    try:
        said = hidden(str(error))[:_LONGEST_FAULT]  # half a secret would not be recognised
    except Exception:
        said = ""
    kind = type(error).__name__
    return f"{kind}: {said}" if said else kind


def _name(packet: AnyPacket) -> str:
    name = f"{packet.origin}/{packet.epoch}/{packet.seq}"
    return f"{name}.{packet.part}" if packet.part else name
