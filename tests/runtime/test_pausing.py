"""Pausing and resuming at every moment of a pipeline's life; the supervisor sees to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edgeapp.api import Score
from edgeapp.plan.graph import Plan
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.runtime.supervise import supervise
from edgeapp.testing import Pause, Script, Scripted
from tests.runtime.parts import RaiseEvery, Slow, Tap, numbers
from tests.runtime.rig import Rig, all_threads_end, chain
from tests.runtime.test_events import Fragile


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.001)


def supervised(
    rig: Rig, plan: Plan, script: Callable[[Pipeline, asyncio.Event], Awaitable[None]]
) -> Outcome:
    """How a supervised pipeline ends, beside a script that pauses and stops it."""

    async def main() -> Outcome:
        pipeline = Pipeline(plan, rig.kit)
        stop = asyncio.Event()
        running = asyncio.ensure_future(supervise(pipeline, stop))
        try:
            await script(pipeline, stop)
        finally:
            stop.set()
            outcome = await running
        assert status_of(pipeline).unaccounted() == []
        return outcome

    outcome = asyncio.run(main())
    all_threads_end()
    return outcome


def flow(*behind: tuple[str, type[Any], dict[str, Any]]) -> Plan:
    """A live source that gives 20 numbers and waits for ever, in two runs."""
    script = Script(*numbers(20), Pause(3600), *numbers(20), Pause(3600))
    return chain(("source", Scripted, {"script": script, "live": True}), *behind)


def test_resumed_while_it_still_drains_it_opens_again(rig: Rig) -> None:
    """And is not taken for one that came to its end."""

    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.meters["slow"].taken)
        pipeline.pause()
        await asyncio.sleep(0.01)
        pipeline.resume()
        await until(lambda: pipeline.meters["source"].emitted == 40)

    outcome = supervised(rig, flow(("slow", Slow, {"seconds": 0.01})), script)
    assert outcome.ending == "stopped"


def test_paused_and_resumed_at_once_it_opens_again(rig: Rig) -> None:
    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.meters["source"].emitted == 20)
        pipeline.pause()
        pipeline.resume()
        await until(lambda: pipeline.meters["source"].emitted == 40)

    assert supervised(rig, flow(("tap", Tap, {"into": []})), script).ending == "stopped"


def test_paused_before_it_began_it_opens_nothing(rig: Rig) -> None:
    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        pipeline.pause()
        await until(lambda: pipeline.state == "paused")
        assert pipeline.meters["source"].taken == 0
        pipeline.resume()
        await until(lambda: pipeline.meters["source"].emitted == 20)

    assert supervised(rig, flow(("tap", Tap, {"into": []})), script).ending == "stopped"


def test_one_that_waits_to_be_reopened_is_paused_at_once_and_resumed_at_once(rig: Rig) -> None:
    """A person need not wait for the minutes that the supervisor would have waited."""
    plan = flow(("raise", RaiseEvery, {"every": 1}), ("tap", Tap, {"into": []}))

    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.state == "failed")
        pipeline.pause()
        await until(lambda: pipeline.state == "paused")
        pipeline.resume()
        runs = pipeline.epochs["source"]
        await until(lambda: pipeline.epochs["source"] > runs)

    supervised(rig, plan, script)


def test_it_stays_paused_as_long_as_anybody_holds_it(rig: Rig) -> None:
    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.meters["source"].emitted == 20)
        pipeline.pause()
        pipeline.pause("governor")
        await until(lambda: pipeline.state == "paused")
        assert pipeline.held_by == {"user", "governor"}
        pipeline.resume()
        pipeline.resume("nobody")
        await asyncio.sleep(0.01)
        assert (pipeline.state, pipeline.held) == ("paused", True)
        pipeline.resume("governor")
        assert not pipeline.held
        await until(lambda: pipeline.meters["source"].emitted == 40)

    assert supervised(rig, flow(("tap", Tap, {"into": []})), script).ending == "stopped"


def test_the_next_of_its_name_is_held_by_the_same(rig: Rig) -> None:
    """After a reload neither a person's pause nor the governor's is forgotten."""

    async def follow() -> frozenset[str]:
        plan = flow(("tap", Tap, {"into": []}))
        before, after = Pipeline(plan, rig.kit), Pipeline(plan, rig.kit)
        before.pause("governor")
        before.pause()
        after.follow(before)
        return after.held_by

    assert asyncio.run(follow()) == {"user", "governor"}


def test_a_stop_ends_one_that_is_paused(rig: Rig) -> None:
    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        pipeline.pause()
        await until(lambda: pipeline.state == "paused")

    outcome = supervised(rig, flow(("tap", Tap, {"into": []})), script)
    assert outcome.ending == "stopped"
    assert "pipeline resumed" not in rig.log.said("info")


@pytest.mark.parametrize("resumed", [True, False])
def test_a_pause_does_not_bring_back_what_has_finished(rig: Rig, *, resumed: bool) -> None:
    plan = chain(("source", Scripted, {"script": Script(Score(1.0))}), ("tap", Tap, {"into": []}))

    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.state == "finished")
        pipeline.pause()
        if resumed:
            pipeline.resume()
        await asyncio.sleep(0.01)
        assert pipeline.meters["source"].emitted == 1

    assert supervised(rig, plan, script).ending == "finished"


def test_each_run_with_a_seed_has_event_ids_of_its_own(rig: Rig) -> None:
    """A recording fixes the seed of a pipeline that may fail, or be paused, on the way."""
    seen: list[Any] = []
    plan = flow(
        ("fragile", Fragile, {"breaks_at": 100.0, "gone": False}), ("tap", Tap, {"into": seen})
    )

    async def script(pipeline: Pipeline, _: asyncio.Event) -> None:
        await until(lambda: pipeline.meters["source"].emitted == 20)
        pipeline.pause()
        pipeline.resume()
        await until(lambda: pipeline.meters["source"].emitted == 40)

    supervised(rig, plan, script)
    assert rig.kit.seed is not None
    assert len({packet.value.event for packet in seen}) == 40
    assert len(seen) == 80
