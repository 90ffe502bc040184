"""The application: all pipelines of a device, the uplink, and one way to stop them."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from edgeapp.core.context import Log
from edgeapp.plan.graph import Plan
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.runtime.supervise import supervise

SWITCH_INTERVAL_S = 0.0002
"""How soon a busy Python thread lets another one run.

With the default of 5 ms, a pure-Python stage was measured to delay another pipeline's p99 from
0.5 ms to over 2 s: each item takes the interpreter's lock about four times.
"""

HOUSEKEEPING_S = 10.0


class App:
    """Runs pipelines until they all end or `stop` is set."""

    def __init__(self, plans: Sequence[Plan], kit: Kit) -> None:
        self.kit = kit
        self.pipelines = [Pipeline(plan, kit) for plan in plans]

    async def run(self, stop: asyncio.Event) -> dict[str, Outcome]:
        """Run every pipeline, each on its own; returns how each of them ended."""
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        house = asyncio.ensure_future(self._keep_house())
        try:
            outcomes = await asyncio.gather(*(supervise(p, stop) for p in self.pipelines))
        finally:
            house.cancel()
            sys.setswitchinterval(interval_s)
        for status in self.status():
            for sentence in status.unaccounted():
                self.kit.log.error("packets unaccounted for", pipeline=status.name, what=sentence)
        return {
            pipeline.plan.name: outcome
            for pipeline, outcome in zip(self.pipelines, outcomes, strict=True)
        }

    async def _keep_house(self) -> None:
        """Let models go that nobody has used for a while."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            if self.kit.pool is not None:
                self.kit.pool.sweep()

    def status(self) -> tuple[PipelineStatus, ...]:
        """Every pipeline at this moment. Any thread."""
        return tuple(status_of(pipeline) for pipeline in self.pipelines)


async def run_until_stopped(
    app: App,
    uplink: Callable[[asyncio.Event], Awaitable[object]],
    *,
    for_s: float | None = None,
    beside: Callable[[App], Awaitable[object]] | None = None,
) -> dict[str, Outcome]:
    """Run an application with its uplink until all pipelines end, a signal comes or time is up.

    SIGTERM, SIGINT and `for_s` take the same path. `uplink` runs until the event that it is given
    is set, which happens once the pipelines are drained; it may take its own time to settle.
    `beside` is cancelled at the end: the live view. The signals stay with the loop until it is
    closed, so that one more of them ends nothing halfway.
    """
    loop = asyncio.get_running_loop()
    stop, drained = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    timer = None if for_s is None else loop.call_later(for_s, stop.set)
    log = app.kit.log
    view = None if beside is None else asyncio.ensure_future(_told("view", beside(app), log))
    uplink_task = asyncio.ensure_future(_told("uplink", uplink(drained), log))
    try:
        return await app.run(stop)
    finally:
        drained.set()
        await asyncio.wait([uplink_task])
        if view is not None:
            view.cancel()
            await asyncio.wait([view])
        if timer is not None:
            timer.cancel()


async def _told(what: str, work: Awaitable[object], log: Log) -> None:
    """Do what runs beside the pipelines. If it crashes that is logged, and they go on."""
    try:
        await work
    except Exception:
        log.error("crashed", what=what, exc_info=True)  # noqa: G201  a Log has no exception()
