"""The main flow: open a pipeline's lanes, run them, drain them, close them.

`run_once` is the whole life of a pipeline, from its plan to its outcome. The event loop only
starts threads and waits for them; packets never pass through it. `supervise` calls it again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NoReturn

from edgeapp.core.dial import Dial
from edgeapp.core.link import Inbox, Link, LinkSettings
from edgeapp.core.meters import StageMeters
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.plan.tuning import with_tuned
from edgeapp.runtime.inlet import Inlet
from edgeapp.runtime.kit import FaultBudget, Kit, Life
from edgeapp.runtime.lane import Lane, Lanes, Outlet
from edgeapp.runtime.memory import Memory, remembering
from edgeapp.runtime.model_slot import Gate, ModelSlot
from edgeapp.runtime.runner import (
    Runner,
    all_ended,
    all_links_to,
    each_link_to,
    ended_within,
    ending,
    first_of,
    from_threads,
    lane_runner,
)
from edgeapp.runtime.slot import Slot
from edgeapp.runtime.slots import slot_class

_LAST_CALL_S = 1.0
"""How long threads have, once what they still get is dropped."""
_SEEDS = 1 << 32
"""Between the seeds of two runs; no seed that is drawn is as great."""
_LOOK_S = 1.0
"""How often a running pipeline is searched for calls that do not come back."""

USER = "user"
"""Who holds a pipeline paused, unless it is said."""
WATCHDOG = "watchdog"
"""Who does so for the heat's sake."""

Ending = Literal["finished", "stopped", "failed", "paused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of a pipeline ended."""

    ending: Ending
    why: str = ""
    stuck: tuple[str, ...] = ()
    """Stages whose thread did not come back; only the end of the process ends them."""


class Pipeline:
    """A pipeline over all its runs: what outlives one of them, and the way to see inside."""

    def __init__(self, plan: Plan, kit: Kit) -> None:
        self.plan = plan
        self.given = plan
        """The plan as its file has it, without what was tuned since."""
        self.kit = kit
        self.log = kit.log.bind(pipeline=plan.name)
        self.state: str = "stopped"
        """starting, running, failed, paused, finished or stopped."""
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
        self.memories: dict[str, Memory] = {}
        """What stages are to recall once they open."""
        self.settled = asyncio.Event()
        """Set once the first run has opened everything, or has ended without."""
        self._life: Life | None = None  # of the current run
        self._run_kit = kit
        """As `kit`, with a seed for this run: else each would give its events the same names."""
        self._left: list[Runner] = []  # threads of a run before that did not come back
        self._holders: set[str] = set()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._pausing = asyncio.Event()  # one for each run, which stays set: `resume` undoes no end

    @property
    def held(self) -> bool:
        """Whether it is paused, or about to be."""
        return not self._resumed.is_set()

    @property
    def held_by(self) -> frozenset[str]:
        """Who holds it paused."""
        return frozenset(self._holders)

    def pause(self, by: str = USER) -> None:
        """Drain and close everything, and stay closed until all who hold it resume it.

        On the event loop.
        """
        self._holders.add(by)
        self._resumed.clear()
        self._pausing.set()

    def resume(self, by: str = USER) -> None:
        """Hold it no more; nobody else doing so, it opens again once all is closed.

        On the event loop.
        """
        self._holders.discard(by)
        if not self._holders:
            self._resumed.set()

    def follow(self, before: "Pipeline") -> None:
        """Go on where one of the same name was, before the first run: no packet's key comes twice.

        What people set while that ran stays where it can: pauses, pins, and values of live options
        of which the file has not changed. So does what its stages remembered.
        """
        # Their devices are in use until those threads are back.
        self._left = before._left  # noqa: SLF001  of its own kind
        if self.kit.seed is not None:  # else events would get the names that others had
            self._run_kit = replace(self.kit, seed=before._run_kit.seed)  # noqa: SLF001
        self.epochs |= {s: epoch for s, epoch in before.epochs.items() if s in self.epochs}
        same = remembering(before.given, self.given)
        self.memories = {id_: m for id_, m in before.memories.items() if id_ in same}
        self.plan = with_tuned(self.plan, before.given, before.plan)
        for stage, dial in self.dials.items():
            if stage in before.dials:
                names = [variant.name for variant in self.plan.stages[stage].variants]
                known = enumerate(before.plan.stages[stage].variants)
                rungs = {rung: names.index(v.name) for rung, v in known if v.name in names}
                dial.follow(before.dials[stage], rungs)
        for holder in before.held_by:
            self.pause(holder)

    def keep_for(self, coming: Plan) -> None:
        """Before a stop: let stages that are the same in another plan remember what they know.

        What they have open is then not ended; `follow` hands it on. On the event loop.
        """
        if self._life is not None:
            self._life.keep = remembering(self.given, coming)

    def tune(self, stage: StagePlan) -> None:
        """Put other live options into a stage, for this run and those to come. On the event loop.

        `stage`: as it is in the plan, but for values of its live options.
        """
        self.plan = replace(self.plan, stages={**self.plan.stages, stage.id: stage})
        slot = self.slots.get(stage.id)
        if slot is not None:
            slot.tune(stage)

    async def until_paused(self, stop: asyncio.Event) -> None:
        """Wait for a `pause` since the last run began, or for `stop`."""
        await first_of(stop.wait(), self._pausing.wait())

    async def until_resumed(self, stop: asyncio.Event) -> None:
        """Wait for `resume`, or for `stop`."""
        await first_of(stop.wait(), self._resumed.wait())

    async def run_once(self, stop: asyncio.Event) -> Outcome:
        """Open, run until the end, `stop` or `pause`, drain, close."""
        await first_of(stop.wait(), all_ended(self._left))  # never two runs at once
        if self.held and not stop.is_set():
            self.state, self.why = "paused", ""
            self.settled.set()
            return Outcome("paused")
        self._pausing = pausing = asyncio.Event()
        failed = asyncio.Event()
        self._life = life = Life(self.budget, wake=from_threads(failed))
        self.state, self.why = "starting", ""
        runners = self._build(life)
        try:
            if not stop.is_set():
                await first_of(stop.wait(), pausing.wait(), failed.wait(), self._opened(runners))
            if not (stop.is_set() or pausing.is_set() or failed.is_set()):
                for runner in reversed(runners):
                    runner.go()
                self.state = "running"
                self.settled.set()
                hangs = self._tell_hangs()
                ended = all_ended(runners)
                await first_of(stop.wait(), pausing.wait(), failed.wait(), ended, hangs)
        finally:
            paused = pausing.is_set()
            life.stopping.set()  # sources end first; each lane's end closes the links behind it
            stuck = await self._drained(runners, life)
            self._life = None
            self.memories = {id_: s.memory for id_, s in self.slots.items() if s.memory is not None}
            self._run_kit = _reseeded(self._run_kit)
        for crash in [runner.crash for runner in runners if runner.crash is not None]:
            self.log.error("a thread crashed", exc_info=(type(crash), crash, crash.__traceback__))
        if life.failure is not None:
            outcome = Outcome("failed", life.failure, stuck)
        elif stop.is_set():
            outcome = Outcome("stopped", stuck=stuck)
        elif paused:
            outcome = Outcome("paused", stuck=stuck)
        else:
            outcome = Outcome("finished", stuck=stuck)
        self.state, self.why = outcome.ending, outcome.why
        self.settled.set()
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
                behind.append(lane_runner(lane, inbox, all_links_to(lane), life))
            else:
                inlet = self.inlet(source, life, lane.entry())
                sources.append(self._source_runner(inlet, life, lane, ending(lane)))
        for inbox, nodes, lane in lanes.fed:
            behind.append(lane_runner(lane, inbox, each_link_to(nodes), life))
        return [*sources, *behind]

    def lanes(self, life: Life, *, cuts: bool) -> Lanes:
        """The stages of this pipeline in fresh slots, cut into lanes or all in one."""
        lanes = Lanes(self.plan, lambda stage: self._slot(stage, life), self._gate, cuts=cuts)
        self.slots = {slot.id: slot for slot in lanes.slots()}
        for slot in self.slots.values():
            slot.memory = self.memories.get(slot.id)
        return lanes

    def inlet(self, source: StagePlan, life: Life, push: Callable[..., None]) -> Inlet:
        """A fresh slot for a source, which hands its packets to `push`."""
        inlet = Inlet(
            source,
            self.plan.name,
            self._run_kit,
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
        name, kit, meters = self.plan.name, self._run_kit, self.meters[stage.id]
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
        if not await ended_within(self.kit.drain_s, started):
            life.hurry()
            for link in self.links.values():
                link.abandon()
            await ended_within(_LAST_CALL_S, started)
        self._left = [r for r in (*self._left, *started) if not r.ended.is_set()]
        if not self._left:
            return ()
        stuck = tuple(dict.fromkeys(stage for runner in self._left for stage in runner.busy()))
        threads = [runner.name for runner in self._left]
        self.log.error("stuck threads are left behind", threads=threads, stages=stuck)
        return stuck or tuple(threads)

    def hung(self) -> dict[str, float]:
        """For each stage that has been inside one call for longer than its `hang_s`: how long.

        Also of those that an earlier run left behind. To be asked about once a second; any thread.
        """
        now_ns = self.kit.clock.now_ns()
        left = [slot for runner in self._left for slot in runner.slots]
        hung = [(slot.id, slot.hung_s(now_ns)) for slot in (*left, *self.slots.values())]
        return {stage: for_s for stage, for_s in hung if for_s is not None}

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


def _reseeded(kit: Kit) -> Kit:
    return kit if kit.seed is None else replace(kit, seed=kit.seed + _SEEDS)
