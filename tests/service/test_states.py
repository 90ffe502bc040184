"""What the broker keeps about a device is what is so, and goes with what it is about."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from edgeapp.core.clock import FakeClock
from edgeapp.core.dial import Dial, Setting
from edgeapp.core.message import Message
from edgeapp.plan.tuning import tuned
from edgeapp.runtime.app import App
from edgeapp.service.states import States
from edgeapp.testing import Abort, Pause, Script, Scripted
from edgeapp.uplink.notices import NOTICES
from edgeapp.uplink.outbox import OutboxStatistics
from tests.runtime.parts import Tap, numbers
from tests.runtime.rig import Rig, chain
from tests.runtime.test_tuning import Add

OUTBOX = OutboxStatistics(0, 0, {}, 0, 0, 0)


class Broker:
    """Keeps what is held, as a broker does, and counts how often it was told."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.times = 0

    def hold(self, message: Message) -> None:
        message.check()
        assert message.retain
        body = json.loads(message.body)
        kind = body["schema"].split("/")[1]
        msgspec.json.decode(message.body, type=NOTICES[kind])  # no other fields than those
        self.kept[f"edgeapp/dev/{message.topic}"] = body
        self.times += 1

    def let_go(self, topic: str) -> None:
        del self.kept[topic]


def while_running(
    folder: Path, script: Callable[[App, States, Broker], Awaitable[None]], *items: Any
) -> None:
    rig = Rig(folder)
    plan = chain(
        ("source", Scripted, {"script": Script(*items), "live": True}),
        ("add", Add, {}),
        ("tap", Tap, {"into": []}),
    )

    async def main() -> None:
        app, broker = App([replace(plan, name="belt")], rig.kit), Broker()
        states = States(app, broker, below="edgeapp/dev/", outbox=lambda: OUTBOX, store="disk")
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        try:
            async with asyncio.timeout(20):
                await script(app, states, broker)
        finally:
            stop.set()
            await running

    asyncio.run(main())


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.001)


def test_states_are_told_once_and_again_when_they_change(tmp_path: Path) -> None:
    async def script(app: App, states: States, broker: Broker) -> None:
        pipeline = app.pipelines[0]
        await until(lambda: pipeline.state == "running")
        for _ in range(3):
            states.look()
        assert broker.kept == {
            "edgeapp/dev/belt/state": {
                "schema": "edgeapp/pipeline/1",
                "pipeline": "belt",
                "state": "running",
                "why": "",
            },
            "edgeapp/dev/belt/add/settings": {
                "schema": "edgeapp/settings/1",
                "pipeline": "belt",
                "stage": "add",
                "values": {"more": 0.0},
            },
            "edgeapp/dev/outbox": {
                "schema": "edgeapp/outbox/1",
                "store": "disk",
                "problem": "",
                "dead": 0,
            },
        }
        assert broker.times == 3
        pipeline.tune(tuned(pipeline.plan.stages["add"], "more", "2"))
        pipeline.pause()
        await until(lambda: pipeline.state == "paused")
        states.look()
        assert broker.kept["edgeapp/dev/belt/state"]["state"] == "paused"
        assert broker.kept["edgeapp/dev/belt/add/settings"]["values"] == {"more": 2.0}
        assert broker.times == 5

    while_running(tmp_path, script, *numbers(3), Pause(3600))


def test_what_is_missing_is_named_without_what_is_secret(tmp_path: Path) -> None:
    async def script(app: App, states: States, broker: Broker) -> None:
        pipeline = app.pipelines[0]
        await until(lambda: pipeline.state == "running")
        await until(lambda: pipeline.slots["source"].waiting_for is not None)
        states.look()
        told = broker.kept["edgeapp/dev/belt/state"]
        assert told["state"] == "waiting"
        assert told["why"].startswith("source: no answer from rtsp://***@camera/")
        assert len(told["why"]) <= 500

    gone = Abort("no answer from rtsp://me:hunter2@camera/" + "x" * 5_000)
    while_running(tmp_path, script, gone, Pause(3600))


def test_what_is_gone_is_forgotten_by_the_broker(tmp_path: Path) -> None:
    yard = replace(chain(("source", Scripted, {"script": Script(Pause(3600))})), name="yard")

    async def script(app: App, states: States, broker: Broker) -> None:
        await until(lambda: app.pipelines[0].state == "running")
        states.look()
        await app.change({"belt"}, [yard])
        states.look()
        assert set(broker.kept) == {"edgeapp/dev/yard/state", "edgeapp/dev/outbox"}

    while_running(tmp_path, script, Pause(3600))


def test_a_stage_that_is_stuck_is_told_of_once() -> None:
    """And not each second anew, with how long."""
    seconds = iter(range(31, 100))
    app: Any = SimpleNamespace(
        pipelines=[
            SimpleNamespace(
                plan=SimpleNamespace(name="belt", stages={}),
                state="running",
                why="",
                slots={},
                hung=lambda: {"detect": float(next(seconds))},
            )
        ],
        kit=SimpleNamespace(clock=FakeClock()),
    )
    broker = Broker()
    states = States(app, broker, below="edgeapp/dev/", outbox=None, store="memory")
    for _ in range(5):
        states.look()
    assert broker.times == 1
    assert broker.kept["edgeapp/dev/belt/state"]["state"] == "stuck"
    assert "detect" in broker.kept["edgeapp/dev/belt/state"]["why"]


def test_which_variant_answers_is_told(tmp_path: Path) -> None:
    """With the settings that are those of this variant."""

    async def script(app: App, states: States, broker: Broker) -> None:
        pipeline = app.pipelines[0]
        add = pipeline.plan.stages["add"]
        variants: Any = tuple(
            SimpleNamespace(name=name, options=add.options.model_copy(update={"more": more}))
            for name, more in (("best", 1.0), ("light", 2.0))
        )
        pipeline.plan = replace(
            pipeline.plan, stages={**pipeline.plan.stages, "add": replace(add, variants=variants)}
        )
        dial = pipeline.dials["add"] = Dial(2, app.kit.clock)
        dial.actual = Setting(1, 4)
        dial.pin(Setting(1, 4))
        states.look()
        assert broker.kept["edgeapp/dev/belt/add/variant"] == {
            "schema": "edgeapp/variant/1",
            "pipeline": "belt",
            "stage": "add",
            "variant": "light",
            "rung": 1,
            "divisor": 4,
            "pinned": True,
        }
        assert broker.kept["edgeapp/dev/belt/add/settings"]["values"] == {"more": 2.0}

    while_running(tmp_path, script, Pause(3600))


def test_messages_that_are_not_on_the_disk_are_told_of() -> None:
    now = OUTBOX
    app: Any = SimpleNamespace(pipelines=[], kit=SimpleNamespace(clock=FakeClock()))
    broker = Broker()
    states = States(app, broker, below="edgeapp/dev/", outbox=lambda: now, store="disk")
    states.look()
    now = replace(OUTBOX, problem="the disk is full", dead=2)
    states.look()
    assert broker.kept["edgeapp/dev/outbox"] == {
        "schema": "edgeapp/outbox/1",
        "store": "memory",
        "problem": "the disk is full",
        "dead": 2,
    }
