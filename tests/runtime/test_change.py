"""Pipelines are exchanged while the application runs, and the others notice nothing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from edgeapp.api import Context, Emit, Field, Options, Score, source
from edgeapp.core.link import LinkSettings
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import Outcome
from tests.runtime.parts import Blocked, Slow, Tap
from tests.runtime.rig import Rig, chain


class CountOptions(Options):
    most: int = Field(10_000_000, description="How many numbers.")


@source("count")
class Count:
    """Counts, a thousand numbers a second, until it is stopped."""

    def __init__(self, options: CountOptions, context: Context) -> None:
        self.options = options
        self.context = context

    def run(self, emit: Emit[Score], /) -> None:
        for number in range(self.options.most):
            emit(Score(float(number)))
            self.context.sleep(0.001)


def named(
    name: str, into: list[Any], *between: tuple[str, type[Any], dict[str, Any]], **options: Any
) -> Plan:
    plan = chain(("count", Count, options), *between, ("tap", Tap, {"into": into}))
    stages = {
        **plan.stages,
        "count": replace(plan.stages["count"], link=LinkSettings(1000, "wait")),
    }
    return replace(plan, name=name, stages=stages)


def while_running(
    rig: Rig, plans: list[Plan], script: Callable[[App, asyncio.Event], Awaitable[None]]
) -> tuple[dict[str, Outcome], App]:
    async def main() -> tuple[dict[str, Outcome], App]:
        app = App(plans, rig.kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        try:
            async with asyncio.timeout(60):
                await script(app, stop)
        finally:
            stop.set()
            outcomes = await running
        for status in app.status():
            assert status.unaccounted() == []
        return outcomes, app

    return asyncio.run(main())


async def some(*taps: list[Any]) -> None:
    """Until each has got a few more."""
    before = [len(tap) for tap in taps]
    while any(len(tap) < count + 5 for tap, count in zip(taps, before, strict=True)):
        await asyncio.sleep(0.001)


def whole(tap: list[Any]) -> bool:
    """Whether nothing is missing, between its first packet and its last one."""
    return [packet.seq for packet in tap] == list(range(len(tap)))


def test_one_is_exchanged_and_the_other_loses_nothing(rig: Rig) -> None:
    first: list[Any] = []
    second: list[Any] = []
    other: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(first, other)
        kept = app.pipelines[1]
        await app.change({"belt"}, [named("belt", second)])
        assert app.pipelines[1] is kept
        await some(second, other)

    outcomes, app = while_running(rig, [named("belt", first), named("yard", other)], script)
    assert [pipeline.plan.name for pipeline in app.pipelines] == ["belt", "yard"]
    assert {name: outcome.ending for name, outcome in outcomes.items()} == {
        "belt": "stopped",
        "yard": "stopped",
    }
    assert whole(first)
    assert whole(second)
    assert whole(other)
    assert {packet.epoch for packet in other} == {0}
    assert not any(event == "packets unaccounted for" for _, event, _ in rig.log.events)


def test_what_goes_answers_all_that_it_took_before_the_new_one_opens(rig: Rig) -> None:
    """So never two of them at one camera."""
    first: list[Any] = []
    second: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(first)
        old = app.pipelines[0]
        await app.change({"belt"}, [named("belt", second)])
        assert old.meters["count"].emitted == len(first)
        await some(second)
        assert old.meters["count"].emitted == len(first)

    while_running(rig, [named("belt", first, ("slow", Slow, {"seconds": 0.002}))], script)
    assert whole(first)


def test_no_key_of_a_packet_comes_twice(rig: Rig) -> None:
    first: list[Any] = []
    second: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(first)
        await app.change({"belt"}, [named("belt", second)])
        await some(second)

    while_running(rig, [named("belt", first)], script)
    assert max(packet.epoch for packet in first) < min(packet.epoch for packet in second)


def test_pipelines_come_and_go(rig: Rig) -> None:
    belt: list[Any] = []
    yard: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(belt)
        await app.change({"belt"}, [named("yard", yard)])
        await some(yard)
        assert [status.name for status in app.status()] == ["yard"]

    outcomes, _ = while_running(rig, [named("belt", belt)], script)
    assert list(outcomes) == ["yard"]


def test_the_only_one_may_be_exchanged(rig: Rig) -> None:
    """The application does not take the end of it for its own, however often."""
    taps: list[list[Any]] = [[] for _ in range(4)]

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        for tap in taps[1:]:
            await app.change({"belt"}, [named("belt", tap)])
            await some(tap)

    while_running(rig, [named("belt", taps[0])], script)
    assert all(whole(tap) for tap in taps)


def test_one_that_has_finished_may_come_again(rig: Rig) -> None:
    belt: list[Any] = []
    yard: list[Any] = []
    again: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        while app.pipelines[0].state != "finished":
            await asyncio.sleep(0.001)
        await app.change({"belt"}, [named("belt", again, most=3)])
        while app.pipelines[0].state != "finished":
            await asyncio.sleep(0.001)

    outcomes, _ = while_running(rig, [named("belt", belt, most=3), named("yard", yard)], script)
    assert outcomes["belt"].ending == "finished"
    assert len(again) == 3


def test_a_paused_one_comes_back_paused(rig: Rig) -> None:
    belt: list[Any] = []
    again: list[Any] = []

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(belt)
        app.pipelines[0].pause()
        await app.change({"belt"}, [named("belt", again)])
        while app.pipelines[0].state != "paused":
            await asyncio.sleep(0.001)
        assert again == []
        app.pipelines[0].resume()
        await some(again)

    while_running(rig, [named("belt", belt)], script)


def test_a_stop_in_the_middle_ends_the_new_ones_too(rig: Rig) -> None:
    belt: list[Any] = []
    again: list[Any] = []

    async def script(app: App, stop: asyncio.Event) -> None:
        await some(belt)
        change = asyncio.ensure_future(app.change({"belt"}, [named("belt", again)]))
        await asyncio.sleep(0)
        stop.set()
        await change

    outcomes, _ = while_running(rig, [named("belt", belt)], script)
    assert outcomes["belt"].ending == "stopped"


def test_after_the_stop_nothing_is_exchanged(rig: Rig) -> None:
    belt: list[Any] = []

    async def script(app: App, stop: asyncio.Event) -> None:
        await some(belt)
        stop.set()
        with pytest.raises(RuntimeError, match="stopping"):
            await app.change({"belt"}, [])

    outcomes, _ = while_running(rig, [named("belt", belt)], script)
    assert outcomes["belt"].ending == "stopped"


def test_two_changes_at_once_come_one_after_the_other(rig: Rig) -> None:
    taps: list[list[Any]] = [[] for _ in range(3)]

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        await asyncio.gather(
            app.change({"belt"}, [named("belt", taps[1])]),
            app.change({"belt"}, [named("belt", taps[2])]),
        )
        await some(taps[2])

    while_running(rig, [named("belt", taps[0])], script)
    assert whole(taps[2])
    assert max((p.epoch for p in taps[1]), default=0) < min(p.epoch for p in taps[2])


def test_one_that_is_stuck_keeps_its_device_until_its_thread_is_back(rig: Rig) -> None:
    gate = threading.Event()
    belt: list[Any] = []
    again: list[Any] = []
    rig_kit = replace(rig.kit, drain_s=0.05)

    async def main() -> None:
        plan = named("belt", belt, ("blocked", Blocked, {"gate": gate}))
        app = App([plan], rig_kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(app.run(stop))
        while not app.pipelines[0].meters["blocked"].taken:
            await asyncio.sleep(0.001)
        await app.change({"belt"}, [named("belt", again)])
        await asyncio.sleep(0.05)
        assert again == []
        gate.set()
        await some(again)
        stop.set()
        await running

    asyncio.run(main())
