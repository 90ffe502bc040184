"""The main flow: open a pipeline's lanes, run them, drain them, close them.

`run_once` is the whole life of a pipeline, from its plan to its outcome. The event loop only
starts threads and waits for them; packets never pass through it. `supervise` calls it again.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, NoReturn

from edgeapp.core.clock import NS
from edgeapp.core.dial import Dial
from edgeapp.core.link import AnyPacket, Inbox, Link, LinkSettings
from edgeapp.core.meters import StageMeters
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.inlet import Inlet
from edgeapp.runtime.kit import FaultBudget, Kit, Life
from edgeapp.runtime.lane import Lane, Lanes, Node, Outlet
from edgeapp.runtime.model_slot import Gate, ModelSlot
from edgeapp.runtime.slot import Slot
from edgeapp.runtime.slots import slot_class

BURST = 64
"""The most packets that a lane takes from a link at once."""
_LAST_CALL_S = 1.0
"""How long threads have, once what they still get is dropped."""
_LOOK_S = 1.0
"""How often a running pipeline is searched for calls that do not come back."""

Ending = Literal["finished", "stopped", "failed", "paused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of a pipeline ended."""

    ending: Ending
    why: str = ""
    stuck: tuple[str, ...] = ()
    """Stages whose thread did not come back; only the end of the process ends them."""


class Runner:
    """A named daemon thread that runs `work`, and two events for those who wait for it."""

    def __init__(
        self,
        name: str,
        slots: list[Slot],
        life: Life,
        open_: Callable[[], None],
        work: Callable[[], None],
    ) -> None:
        self.name = name
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.started = False
        self._slots = slots
        self._life = life
        self._tell_opened = _from_threads(self.opened)
        self._tell_ended = _from_threads(self.ended)
        self._go = threading.Event()
        self._open = open_
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.crash: BaseException | None = None

    def start(self) -> None:
        """Start the thread: it opens its stages and waits for `go`."""
        self._thread.start()
        self.started = True

    def go(self) -> None:
        """Let it work."""
        self._go.set()

    def busy(self) -> tuple[str, ...]:
        """Ids of the stages it is in a call of; where there is none, of the first one."""
        ids = tuple(slot.id for slot in self._slots)
        return tuple(slot.id for slot in self._slots if slot.busy_since_ns) or ids[:1]

    def _run(self) -> None:
        try:
            self._open()
            self._tell_opened()
            self._go.wait()
            self._work()
        except BaseException as error:  # a thread must never die unnoticed
            self.crash = error
            self._life.fail(f"thread '{self.name}' crashed: {error!r}")
        finally:
            self._tell_opened()
            self._tell_ended()


class Pipeline:
    """A pipeline over all its runs: what outlives one of them, and the way to see inside."""

    def __init__(self, plan: Plan, kit: Kit) -> None:
        self.plan = plan
        self.kit = kit
        self.log = kit.log.bind(pipeline=plan.name)
        self.state: str = "stopped"
        """starting, running, waiting, failed, paused, finished or stopped."""
        self.why = ""
        self.meters = {stage_id: StageMeters() for stage_id in plan.stages}
        divided = {stage.gate_for for stage in plan.stages.values()}
        self.dials = {
            stage.id: Dial(len(stage.variants), kit.clock, may_divide=stage.id in divided)
            for stage in plan.stages.values()
            if stage.variants
        }
        self.budget = FaultBudget(kit.clock)
        self.epochs = {source.id: 0 for source in plan.sources}
        self.slots: dict[str, Slot] = {}
        """Of the current run."""
        self.links: dict[tuple[str, str], Link] = {}
        """Of this run or the last, by id of the stage before the link and of the one behind it;
        the one after a live source stands for all of its readers: (source, "")."""
        self.retired: dict[tuple[str, str], int] = {}
        """What the links of the runs before dropped."""
        self._left: list[Runner] = []  # threads of a run before that did not come back
        self._paused = asyncio.Event()
        self._resumed = asyncio.Event()

    def pause(self) -> None:
        """Drain and close everything, and stay closed until `resume`. On the event loop."""
        self._resumed.clear()
        self._paused.set()

    def resume(self) -> None:
        """Open again. On the event loop."""
        self._paused.clear()
        self._resumed.set()

    async def until_resumed(self, stop: asyncio.Event) -> None:
        """Wait for `resume`, or for `stop`."""
        await _first_of(stop.wait(), self._resumed.wait())

    async def run_once(self, stop: asyncio.Event) -> Outcome:
        """Open, run until the end, `stop` or `pause`, drain, close."""
        await _first_of(stop.wait(), _all_ended(self._left))  # never two runs at once
        paused = self._paused
        if paused.is_set() and not stop.is_set():
            self.state, self.why = "paused", ""
            return Outcome("paused")
        failed = asyncio.Event()
        life = Life(self.budget, wake=_from_threads(failed))
        self.state, self.why = "starting", ""
        runners = self._build(life)
        try:
            if not stop.is_set():
                await _first_of(stop.wait(), paused.wait(), failed.wait(), self._opened(runners))
            if not (stop.is_set() or paused.is_set() or failed.is_set()):
                for runner in reversed(runners):
                    runner.go()
                self.state = "running"
                hangs = self._tell_hangs()
                ended = _all_ended(runners)
                await _first_of(stop.wait(), paused.wait(), failed.wait(), ended, hangs)
        finally:
            life.stopping.set()  # sources end first; each lane's end closes the links behind it
            stuck = await self._drained(runners, life)
        for crash in [runner.crash for runner in runners if runner.crash is not None]:
            self.log.error("a thread crashed", exc_info=(type(crash), crash, crash.__traceback__))
        if life.failure is not None:
            outcome = Outcome("failed", life.failure, stuck)
        elif stop.is_set():
            outcome = Outcome("stopped", stuck=stuck)
        elif paused.is_set():
            outcome = Outcome("paused", stuck=stuck)
        else:
            outcome = Outcome("finished", stuck=stuck)
        self.state, self.why = outcome.ending, outcome.why
        return outcome

    # -- building ---------------------------------------------------------------------------

    def _build(self, life: Life) -> list[Runner]:
        """One runner for each thread, sources first."""
        plan = self.plan
        self._retire()
        lanes = self.lanes(life, cuts=True)
        self.links = dict(lanes.links)
        sources: list[Runner] = []
        behind: list[Runner] = []
        for source in plan.sources:
            lane = lanes.of_source[source.id]
            if source.link is not None:
                inbox = Inbox()
                link = inbox.link(source.link)
                self.links[source.id, ""] = link
                inlet = self.inlet(source, life, Outlet(link).push)
                sources.append(self._source_runner(inlet, life, None, link.close))
                behind.append(_lane_runner(lane, inbox, _all_links_to(lane), life))
            else:
                inlet = self.inlet(source, life, lane.entry())
                sources.append(self._source_runner(inlet, life, lane, _ending(lane)))
        for inbox, nodes, lane in lanes.fed:
            behind.append(_lane_runner(lane, inbox, _each_link_to(nodes), life))
        return [*sources, *behind]

    def lanes(self, life: Life, *, cuts: bool) -> Lanes:
        """The stages of this pipeline in fresh slots, cut into lanes or all in one."""
        lanes = Lanes(self.plan, lambda stage: self._slot(stage, life), self._gate, cuts=cuts)
        self.slots = {slot.id: slot for slot in lanes.slots()}
        return lanes

    def inlet(self, source: StagePlan, life: Life, push: Callable[..., None]) -> Inlet:
        """A fresh slot for a source, which hands its packets to `push`."""
        inlet = Inlet(
            source,
            self.plan.name,
            self.kit,
            life,
            self.meters[source.id],
            first_epoch=self.epochs[source.id],
            push=push,
        )
        self.slots[source.id] = inlet
        return inlet

    def _source_runner(
        self, inlet: Inlet, life: Life, lane: Lane | None, end: Callable[[], None]
    ) -> Runner:
        """The thread of a source; `lane`: what it runs inside `emit`."""

        def work() -> None:
            try:
                inlet.run()
            finally:
                self.epochs[inlet.id] = inlet.epoch + 1
                end()

        slots: list[Slot] = [inlet, *(lane.slots() if lane else ())]
        open_ = partial(lane.open, life.stopping) if lane else lambda: None
        return Runner(f"{self.plan.name}/{inlet.id}/source", slots, life, open_, work)

    def _slot(self, stage: StagePlan, life: Life) -> Slot:
        name, kit, meters = self.plan.name, self.kit, self.meters[stage.id]
        kind = stage.plugin.kind
        if kind == "model":
            return ModelSlot(
                stage,
                name,
                kit,
                life,
                meters,
                dial=self.dials[stage.id],
                may_drop=self._may_drop(stage),
            )
        return slot_class(stage.plugin)(stage, name, kit, life, meters)

    def _may_drop(self, stage: StagePlan) -> bool:
        """Whether the link that feeds this stage's lane lets packets go."""
        settings: LinkSettings | None = stage.link
        while settings is None and stage.upstream is not None:
            stage = self.plan.stages[stage.upstream]
            settings = stage.link
        return settings is not None and settings.when_full != "wait"

    def _gate(self, stage: StagePlan) -> Gate | None:
        if stage.gate_for is None:
            return None
        return Gate(self.dials[stage.gate_for])

    # -- waiting ----------------------------------------------------------------------------

    async def _opened(self, runners: list[Runner]) -> None:
        """Start the threads, consumers first, each once the one before has opened its stages."""
        for runner in reversed(runners):
            runner.start()
            while not runner.opened.is_set():
                try:
                    async with asyncio.timeout(self.kit.open_s):
                        await runner.opened.wait()
                except TimeoutError:
                    self.log.warning("still opening", lane=runner.name, after_s=self.kit.open_s)

    async def _drained(self, runners: list[Runner], life: Life) -> tuple[str, ...]:
        """Wait for every thread, within the deadline; returns the stages that are stuck."""
        started = [runner for runner in runners if runner.started]
        if len(started) < len(runners):  # nothing was emitted yet, and not all would close theirs
            for link in self.links.values():
                link.close()
        for runner in started:
            runner.go()
        if not await _ended_within(self.kit.drain_s, started):
            life.hurry()
            for link in self.links.values():
                link.abandon()
            await _ended_within(_LAST_CALL_S, started)
        self._left = [r for r in (*self._left, *started) if not r.ended.is_set()]
        if not self._left:
            return ()
        stuck = tuple(dict.fromkeys(stage for runner in self._left for stage in runner.busy()))
        threads = [runner.name for runner in self._left]
        self.log.error("stuck threads are left behind", threads=threads, stages=stuck)
        return stuck or tuple(threads)

    def hung(self) -> dict[str, float]:
        """For each stage that has been inside one call for longer than its `hang_s`: how long."""
        now_ns = self.kit.clock.now_ns()
        busy = [(slot, slot.busy_since_ns) for slot in self.slots.values()]
        return {
            slot.id: (now_ns - since_ns) / NS
            for slot, since_ns in busy
            if since_ns and now_ns - since_ns > slot.plan.hang_s * NS
        }

    async def _tell_hangs(self) -> NoReturn:
        """Log once for each call that does not come back; its thread cannot be killed."""
        told: set[str] = set()
        while True:
            await asyncio.sleep(_LOOK_S)
            hung = self.hung()
            for stage in hung.keys() - told:
                self.log.error("stage is stuck", stage=stage, for_s=round(hung[stage], 1))
            for stage in told - hung.keys():
                self.log.info("stage came back", stage=stage)
            told = set(hung)

    def _retire(self) -> None:
        """Keep the counts of the last run's links."""
        for between, link in self.links.items():
            self.retired[between] = self.retired.get(between, 0) + link.statistics().dropped
        self.links = {}


def _ending(lane: Lane) -> Callable[[], None]:
    def end() -> None:
        try:
            lane.flush()
        finally:
            lane.close()

    return end


Push = Callable[[Link, list[AnyPacket]], None]


def _all_links_to(lane: Lane) -> Push:
    push = lane.entry()
    return lambda _link, burst: push(burst)


def _each_link_to(nodes: dict[Link, Node]) -> Push:
    return lambda link, burst: nodes[link].push(burst)


def _lane_runner(lane: Lane, inbox: Inbox, push: Push, life: Life) -> Runner:
    def work() -> None:
        try:
            while (taken := inbox.take(BURST)) is not None:
                push(*taken)
            lane.flush()
        finally:
            lane.close()

    return Runner(lane.name, lane.slots(), life, partial(lane.open, life.stopping), work)


async def _all_ended(runners: list[Runner]) -> None:
    for runner in runners:
        await runner.ended.wait()


async def _ended_within(seconds: float, runners: list[Runner]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await _all_ended(runners)
    except TimeoutError:
        return False
    return True


async def _first_of(*events: Coroutine[None, None, object]) -> None:
    """Wait until the first of these is done; the others are cancelled. Raises what that raised."""
    tasks = [asyncio.ensure_future(event) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


def _from_threads(event: asyncio.Event) -> Callable[[], None]:
    """A way to set `event` from any thread, also after the loop is closed."""
    loop = asyncio.get_running_loop()

    def set_event() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return set_event
