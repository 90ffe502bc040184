"""What the broker keeps about this device: pipelines, variants and settings, as they are now."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

import msgspec

from edgeapp.core.message import Message
from edgeapp.document.render import clean
from edgeapp.plan.tuning import settings_of
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import state_of
from edgeapp.uplink.notices import (
    Notice,
    OutboxNotice,
    PipelineNotice,
    SettingsNotice,
    VariantNotice,
)
from edgeapp.uplink.outbox import OutboxStatistics

LOOK_S = 1.0
FIRST_LOOK_S = 0.1
"""By then pipelines have begun to start."""
_LONGEST_WHY = 500


class Keeper(Protocol):
    """What states need of the uplink."""

    def hold(self, message: Message) -> None:
        """Let the broker keep a state, the newest of each topic."""

    def let_go(self, topic: str) -> None:
        """Make the broker forget a topic, named in full."""


class States:
    """Tells the broker of each state when it changes; the uplink does so at every reconnect."""

    def __init__(
        self,
        app: App,
        uplink: Keeper,
        *,
        below: str,
        outbox: Callable[[], OutboxStatistics] | None,
        store: Literal["disk", "memory"],
        more: Callable[[], Iterable[tuple[str, Notice]]] = tuple,
    ) -> None:
        """Prepare.

        `below`: the device's topics, with a slash at the end. `outbox`: None where it is nobody's
        business. `store`: where messages wait while all is well. `more`: what others want to have
        told at this moment, by topic.
        """
        self._more = more
        self._app = app
        self._uplink = uplink
        self._below = below
        self._outbox = outbox
        self._store = store
        self._told: dict[str, bytes] = {}

    async def run(self) -> None:
        """Look about once a second, until cancelled."""
        await asyncio.sleep(FIRST_LOOK_S)
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Tell what has changed. On the event loop; quick."""
        now = {topic: msgspec.json.encode(notice) for topic, notice in self._notices()}
        for topic in self._told.keys() - now.keys():
            self._uplink.let_go(f"{self._below}{topic}")
        for topic, body in now.items():
            if self._told.get(topic) != body:
                taken_ns = self._app.kit.clock.now_ns()
                self._uplink.hold(Message(topic, body, taken_ns, retain=True))
        self._told = now

    def _notices(self) -> Iterator[tuple[str, Notice]]:
        for pipeline in self._app.pipelines:
            yield from _of_pipeline(pipeline)
        yield from self._more()
        if self._outbox is not None:
            now = self._outbox()
            yield (
                "outbox",
                OutboxNotice(
                    schema="edgeapp/outbox/1",
                    store="memory" if now.problem else self._store,
                    problem=clean(now.problem)[:_LONGEST_WHY],
                    dead=now.dead,
                ),
            )


def _of_pipeline(pipeline: Pipeline) -> Iterator[tuple[str, Notice]]:
    name = pipeline.plan.name
    state, why = state_of(pipeline)
    yield (
        f"{name}/state",
        PipelineNotice(
            schema="edgeapp/pipeline/1",
            pipeline=name,
            state=state,
            why=clean(why)[:_LONGEST_WHY],
        ),
    )
    for stage in pipeline.plan.stages.values():
        rung = 0
        if stage.variants:
            dial = pipeline.dials[stage.id]
            actual = dial.actual
            rung = actual.rung
            yield (
                f"{name}/{stage.id}/variant",
                VariantNotice(
                    schema="edgeapp/variant/1",
                    pipeline=name,
                    stage=stage.id,
                    variant=stage.variants[rung].name,
                    rung=rung,
                    divisor=actual.divisor,
                    pinned=dial.pinned is not None,
                ),
            )
        settings = settings_of(stage, rung)
        if settings:
            yield (
                f"{name}/{stage.id}/settings",
                SettingsNotice(
                    schema="edgeapp/settings/1",
                    pipeline=name,
                    stage=stage.id,
                    values=dict(settings),
                ),
            )
