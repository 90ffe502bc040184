"""The application: all pipelines of a device, the uplink, and one way to stop them."""

import asyncio
import itertools
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from edgeapp.plan.graph import Plan
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.signals import tell
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.runtime.supervise import keep_up, supervise
from edgeapp.runtime.trim import trim_memory

SWITCH_INTERVAL_S = 0.0002
"""How soon a busy Python thread lets another one run.

With the default of 5 ms, a pure-Python stage was measured to delay another pipeline's p99 from
0.5 ms to over 2 s: each item takes the interpreter's lock about four times.
"""

HOUSEKEEPING_S = 10.0
TRIM_EVERY = 6
"""Of these. Each takes some milliseconds; without them pieces that are freed in another order than
they were taken add up to megabytes in an hour."""


class App:
    """Runs pipelines until they all end or `stop` is set. Which ones can change on the way."""

    def __init__(self, plans: Sequence[Plan], kit: Kit, *, stays: bool = False) -> None:
        """Prepare; `stays`: until `stop`, as a service does, whether anything is left to run."""
        self.kit = kit
        self._stays = stays
        self.pipelines = [Pipeline(plan, kit) for plan in plans]
        self._running: dict[Pipeline, _Running] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._stop: asyncio.Event | None = None
        self._began = False
        self._change: asyncio.Future[None] | None = None
        self._holding: set[asyncio.Future[None]] = set()
        self.uplink_problem = ""
        """Why the uplink did not come to a proper end; empty: it did, or has not ended yet."""

    @property
    def stopping(self) -> bool:
        """Whether all is about to end, or has ended."""
        return self._began and (self._stop is None or self._stop.is_set())

    async def run(self, stop: asyncio.Event) -> dict[str, Outcome]:
        """Run every pipeline, each on its own; returns how each of them ended."""
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._stop, self._began = stop, True
        house = asyncio.ensure_future(self._house_kept())
        passing_on = asyncio.ensure_future(self._pass_on(stop))
        try:
            for pipeline in self.pipelines:
                self._start(pipeline)
            told = [passing_on] if self._stays else []
            while work := self._unfinished() or [one for one in told if not one.done()]:
                await asyncio.wait(work)
        finally:
            self._stop = None
            for task in (house, passing_on, *self._holding, *self._unfinished()):
                task.cancel()
            sys.setswitchinterval(interval_s)
        for pipeline in self.pipelines:
            self._running[pipeline].task.result()
            self._account_for(pipeline)
        return {p.plan.name: self._outcomes[p.plan.name] for p in self.pipelines}

    async def change(self, gone: Collection[str], plans: Sequence[Plan]) -> None:
        """Let pipelines go, by their names, and run others; the rest notices nothing.

        A pipeline that goes answers what it has taken in, and closes its devices, before any new
        one opens. A new one takes the place and goes on where the one of its name was, as
        `Pipeline.follow` says; models that it needs stay in memory meanwhile. One change at a time;
        on the event loop.

        Raises:
            RuntimeError: the application is not running, or stops.
        """
        stop = self._stop
        if stop is None or stop.is_set():
            raise RuntimeError("the application is stopping")
        while self._change is not None and not self._change.done():
            await asyncio.wait([self._change])
        self._change = asyncio.get_running_loop().create_future()
        try:
            await self._exchange(frozenset(gone), plans)
        finally:
            self._change.set_result(None)

    async def _exchange(self, gone: Collection[str], plans: Sequence[Plan]) -> None:
        assert self._stop is not None
        coming = {plan.name: Pipeline(plan, self.kit) for plan in plans}
        leaving = [pipeline for pipeline in self.pipelines if pipeline.plan.name in gone]
        running = [self._running[pipeline] for pipeline in leaving]
        self._hold_models(tuple(coming.values()))
        for pipeline in leaving:
            if pipeline.plan.name in coming:
                pipeline.keep_for(coming[pipeline.plan.name].plan)
        for one in running:
            one.stop.set()
        if running:
            await asyncio.wait([one.task for one in running])
        before = {pipeline.plan.name: pipeline for pipeline in leaving}
        for pipeline in leaving:
            self._account_for(pipeline)
            del self._running[pipeline]
            self._outcomes.pop(pipeline.plan.name, None)
        for name, pipeline in coming.items():
            if name in before:
                pipeline.follow(before[name])
        kept = [coming.pop(p.plan.name, p) for p in self.pipelines]
        self.pipelines = [*(p for p in kept if p not in leaving), *coming.values()]
        for pipeline in self.pipelines:
            if pipeline not in self._running:
                self._start(pipeline)

    def _hold_models(self, coming: Sequence[Pipeline]) -> None:
        """Keep models in memory, however long the change takes, until those that come have theirs."""
        pool = self.kit.pool
        files = {v.file for p in coming for s in p.plan.stages.values() for v in s.variants}
        if pool is None or not files:
            return
        let_go = pool.hold(files)

        async def until_settled() -> None:
            try:
                for pipeline in coming:
                    await pipeline.settled.wait()
            finally:
                let_go()

        task = asyncio.ensure_future(until_settled())
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)

    def _start(self, pipeline: Pipeline) -> None:
        stop = asyncio.Event()
        if self._stop is not None and self._stop.is_set():
            stop.set()
        task = asyncio.ensure_future(self._supervised(pipeline, stop))
        self._running[pipeline] = _Running(stop, task)

    async def _supervised(self, pipeline: Pipeline, stop: asyncio.Event) -> None:
        self._outcomes[pipeline.plan.name] = await supervise(pipeline, stop)

    async def _pass_on(self, stop: asyncio.Event) -> None:
        """The end of all is the end of each."""
        await stop.wait()
        for running in self._running.values():
            running.stop.set()

    def _unfinished(self) -> list[asyncio.Future[None]]:
        work: list[asyncio.Future[None]] = [running.task for running in self._running.values()]
        if self._change is not None:
            work.append(self._change)
        return [one for one in work if not one.done()]

    def _account_for(self, pipeline: Pipeline) -> None:
        status = status_of(pipeline)
        for sentence in status.unaccounted():
            self.kit.log.error("packets unaccounted for", pipeline=status.name, what=sentence)

    async def _house_kept(self) -> None:
        await keep_up("housekeeping", self._keep_house, asyncio.Event(), self.kit)

    async def _keep_house(self, _stop: asyncio.Event) -> None:
        """Let models go that nobody has used for a while, and give free memory back."""
        for count in itertools.count(1):
            await asyncio.sleep(HOUSEKEEPING_S)
            if self.kit.pool is not None:
                self.kit.pool.sweep()
            if count % TRIM_EVERY == 0:
                trim_memory()

    def status(self) -> tuple[PipelineStatus, ...]:
        """Every pipeline at this moment. Any thread."""
        return tuple(status_of(pipeline) for pipeline in self.pipelines)


class _Running(NamedTuple):
    """A pipeline at work."""

    stop: asyncio.Event
    task: asyncio.Future[None]


async def run_until_stopped(
    app: App,
    uplink: Callable[[asyncio.Event], Awaitable[object]],
    *,
    for_s: float | None = None,
    beside: Callable[[App], Awaitable[object]] | None = None,
) -> dict[str, Outcome]:
    """Run an application with its uplink until all pipelines end, a signal comes or time is up.

    SIGTERM, SIGINT and `for_s` take the same path. `uplink` runs until the event that it is given
    is set, which happens once the pipelines are drained; it may take its own time to settle. If it
    raises it is started again; where even the last attempt failed, `app.uplink_problem` says why.
    `beside` is cancelled at the end: the live view. The signals stay taken, so that one more of
    them ends nothing halfway.
    """
    loop = asyncio.get_running_loop()
    stop, drained = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        tell(loop, number, stop.set)
    timer = None if for_s is None else loop.call_later(for_s, stop.set)
    view = None if beside is None else asyncio.ensure_future(_beside(app, beside))
    uplink_task = asyncio.ensure_future(keep_up("uplink", uplink, drained, app.kit))
    try:
        return await app.run(stop)
    finally:
        drained.set()
        await asyncio.wait([uplink_task])
        app.uplink_problem = uplink_task.result()
        if view is not None:
            view.cancel()
            await asyncio.wait([view])
        if timer is not None:
            timer.cancel()


async def _beside(app: App, beside: Callable[[App], Awaitable[object]]) -> None:
    """Do what runs beside the pipelines. If it crashes it is done anew, and they go on."""
    await keep_up("what runs beside", lambda _: beside(app), asyncio.Event(), app.kit)
