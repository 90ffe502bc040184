"""Pipelines built in code, of plugins made for the test."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeapp.core.clock import Clock, MonotonicClock
from edgeapp.core.link import LinkSettings
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.plan.registry import register
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.testing import RecordingUplink
from edgeapp.testing.stage import LogBook


def chain(*stages: tuple[str, type[Any], dict[str, Any]], **changes: dict[str, Any]) -> Plan:
    """A plan in which each stage reads the one before it, unless `changes[id]["reads"]`."""
    plans: list[StagePlan] = []
    for position, (stage_id, cls, options) in enumerate(stages):
        plugin = register(cls)
        plan = StagePlan(
            id=stage_id,
            plugin=plugin,
            options=plugin.options(**options),
            reads=(stages[position - 1][0],) if position else (),
            consumers=(),
        )
        if plugin.kind == "action":
            plan = replace(plan, cut="hands", link=LinkSettings(16, "drop_newest"))
        if plan.live:
            plan = replace(plan, link=LinkSettings(64, "wait"))
        plans.append(replace(plan, **changes.get(stage_id, {})))
    return Plan(
        "test",
        "",
        None,
        {
            plan.id: replace(
                plan, consumers=tuple(other.id for other in plans if plan.id in other.reads)
            )
            for plan in plans
        },
    )


def all_threads_end() -> None:
    """Wait for every thread of the pipelines called «test»; fails when one stays."""
    deadline_s = time.monotonic() + 60
    while ours := [t for t in threading.enumerate() if t.name.startswith("test/")]:
        assert time.monotonic() < deadline_s, ours
        ours[0].join(0.1)


@dataclass
class Rig:
    """A device for one test."""

    data_dir: Path
    clock: Clock = field(default_factory=MonotonicClock)
    log: LogBook = field(default_factory=LogBook)
    uplink: RecordingUplink = field(default_factory=RecordingUplink)

    @property
    def kit(self) -> Kit:
        return Kit(
            clock=self.clock,
            uplink=self.uplink,
            pool=None,
            log=self.log,
            data_dir=self.data_dir,
            seed=0,
            drain_s=60.0,  # so long only where something is stuck
        )

    def run(
        self, plan: Plan, during: Callable[[Pipeline, asyncio.Event], Any] | None = None
    ) -> tuple[Outcome, PipelineStatus]:
        """Run a plan once on real threads; `during` may set the stop event."""

        async def once() -> tuple[Outcome, PipelineStatus]:
            pipeline = Pipeline(plan, self.kit)
            stop = asyncio.Event()
            beside = None
            if during is not None:
                beside = asyncio.ensure_future(during(pipeline, stop))
            outcome = await pipeline.run_once(stop)
            if beside is not None:
                await beside
            return outcome, status_of(pipeline)

        return asyncio.run(once())
