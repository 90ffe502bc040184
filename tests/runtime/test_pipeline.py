"""Pipelines on real threads: cuts, faults, losses, stopping."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from edgeapp.core import revealed
from edgeapp.core.link import LinkSettings
from edgeapp.runtime.pipeline import Outcome, Pipeline
from edgeapp.runtime.status import PipelineStatus
from edgeapp.runtime.supervise import supervise
from edgeapp.testing import Abort, Fail, Pause, Script, Scripted
from tests.runtime.parts import (
    Awaits,
    Blocked,
    Collect,
    Double,
    Flaky,
    KeepEven,
    RaiseEvery,
    Say,
    Slow,
    Tap,
    Where,
    numbers,
)
from tests.runtime.rig import Rig, chain


def source(*items: Any, **options: Any) -> tuple[str, type[Any], dict[str, Any]]:
    return ("source", Scripted, {"script": Script(*items), "rate_hz": 1000.0, **options})


def balanced(outcome: Outcome, status: PipelineStatus, ending: str) -> None:
    assert outcome.ending == ending, outcome
    assert status.unaccounted() == []


def test_a_finished_source_ends_its_pipeline_with_everything_answered(rig: Rig) -> None:
    seen: list[Any] = []
    balanced(
        *rig.run(
            chain(
                source(*numbers(200)),
                ("double", Double, {}),
                ("act", Collect, {"into": seen}),
                act={"link": LinkSettings(500, "drop_newest"), "cut": "hands"},
            ),
        ),
        "finished",
    )
    assert [packet.value.value for packet, _ in seen] == [2.0 * n for n in range(200)]


def test_actions_of_a_pipeline_share_one_thread_of_their_own(rig: Rig) -> None:
    seen: list[Any] = []
    rig.run(
        chain(
            source(*numbers(5)),
            ("a", Collect, {"into": seen}),
            ("b", Collect, {"into": seen}),
            b={"reads": ("source",)},
        )
    )
    assert {thread for _, thread in seen} == {"test/hands"}
    assert len(seen) == 10


@pytest.mark.parametrize("cut", ["none", "lane", "hands"])
def test_a_sink_that_reads_two_stages_gets_the_packets_of_both(rig: Rig, cut: Any) -> None:
    """Wherever it runs it is one stage, opened once, and every packet is accounted for."""
    seen: list[Any] = []
    link = None if cut == "none" else LinkSettings(500, "wait")
    sink: Any = Collect if cut == "hands" else Tap
    outcome, status = rig.run(
        chain(
            source(*numbers(100)),
            ("even", KeepEven, {}),
            ("sink", sink, {"into": seen}),
            sink={"cut": cut, "link": link, "reads": ("source", "even")},
        )
    )
    balanced(outcome, status, "finished")
    packets = [kept[0] for kept in seen] if cut == "hands" else seen
    assert sorted(p.value.value for p in packets) == sorted([*range(100), *range(0, 100, 2)])
    assert status.stages[-1].taken == 150


def test_a_lane_that_two_sources_feed_ends_once_both_have(rig: Rig) -> None:
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            source(*numbers(50)),
            ("other", Scripted, {"script": Script(*numbers(70)), "rate_hz": 1000.0}),
            ("tap", Tap, {"into": seen}),
            other={"reads": ()},
            tap={"cut": "lane", "link": LinkSettings(4, "wait"), "reads": ("source", "other")},
        )
    )
    balanced(outcome, status, "finished")
    assert Counter(packet.origin for packet in seen) == {"source": 50, "other": 70}


def test_a_sink_lets_go_what_is_older_than_its_deadline(rig: Rig) -> None:
    """A robot must not act on where something was a while ago."""
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            source(*numbers(20)),
            ("slow", Slow, {}),
            ("tap", Tap, {"into": seen}),
            tap={"deadline_ms": 1e-3},
        )
    )
    balanced(outcome, status, "finished")
    assert seen == []
    assert status.stages[-1].dropped == {"late": 20}


def test_a_live_source_hands_over_to_a_lane_thread(rig: Rig) -> None:
    seen: list[Any] = []

    outcome, status = rig.run(chain(source(*numbers(5), live=True), ("tap", Where, {"into": seen})))
    balanced(outcome, status, "finished")
    assert set(seen) == {"test/source"}


def test_a_slow_lane_drops_the_oldest_frames_and_every_one_is_counted(rig: Rig) -> None:
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            source(*numbers(300), live=True),
            ("slow", Slow, {"seconds": 0.002}),
            ("tap", Tap, {"into": seen}),
            source={"link": LinkSettings(1, "drop_oldest")},
        )
    )
    balanced(outcome, status, "finished")
    dropped = status.stages[1].dropped["full"]
    assert dropped > 0
    assert len(seen) + dropped == 300
    assert sum(p.lost for p in seen) == dropped
    assert seen[-1].value.value == 299


def test_an_async_stage_is_awaited_on_a_thread_of_its_own(rig: Rig) -> None:
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            source(*numbers(20)),
            ("awaits", Awaits, {}),
            ("tap", Tap, {"into": seen}),
            awaits={"cut": "lane", "link": LinkSettings(4, "wait")},
        )
    )
    balanced(outcome, status, "finished")
    assert [p.value.value for p in seen] == [n + 0.5 for n in range(20)]


def test_a_stage_that_raises_loses_its_packet_and_is_rebuilt(rig: Rig) -> None:
    RaiseEvery.built = RaiseEvery.closed = 0
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(source(*numbers(12)), ("r", RaiseEvery, {"every": 3}), ("tap", Tap, {"into": seen}))
    )
    balanced(outcome, status, "finished")
    assert [p.value.value for p in seen] == [0, 1, 3, 4, 6, 7, 9, 10]
    assert status.stages[1].dropped == {"fault": 4}
    assert (RaiseEvery.built, RaiseEvery.closed) == (5, 5)
    assert rig.log.said("error") == ["stage raised"] * 4


def test_a_spent_fault_budget_fails_the_pipeline_and_counts_the_rest(rig: Rig) -> None:
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(source(*numbers(50)), ("r", RaiseEvery, {"every": 2}), ("tap", Tap, {"into": seen}))
    )
    balanced(outcome, status, "failed")
    assert "stage 'r' keeps raising" in outcome.why
    assert status.stages[1].faults == 6


def test_why_a_pipeline_failed_tells_no_secret(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revealed, "_known", {})
    monkeypatch.setattr(revealed, "_pattern", None)
    revealed.remember("scripted")  # which is what the stage says of itself
    outcome, status = rig.run(
        chain(source(*numbers(50)), ("r", RaiseEvery, {"every": 2}), ("tap", Tap, {"into": []}))
    )
    assert outcome.why == "stage 'r' keeps raising: ZeroDivisionError('***')"
    assert status.why == outcome.why
    assert status.stages[1].last_fault is not None
    assert status.stages[1].last_fault.said == "ZeroDivisionError: ***"


def test_a_source_with_a_bug_is_rebuilt_and_goes_on(rig: Rig) -> None:
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(source(*numbers(2), Fail(), *numbers(2)), ("tap", Tap, {"into": seen}))
    )
    balanced(outcome, status, "finished")
    assert [(p.epoch, p.seq) for p in seen] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_what_is_unavailable_is_retried_and_costs_no_fault(stepped_rig: Rig) -> None:
    """On a fake clock: the packets meanwhile are counted under «unavailable»."""
    from edgeapp.runtime.status import status_of
    from edgeapp.runtime.stepped import run_stepped

    Flaky.failures = 2
    seen: list[Any] = []
    plan = chain(
        source(*numbers(20), rate_hz=10.0), ("flaky", Flaky, {}), ("tap", Tap, {"into": seen})
    )
    pipeline = Pipeline(plan, stepped_rig.kit)
    assert run_stepped(pipeline).ending == "finished"
    status = status_of(pipeline)
    assert status.unaccounted() == []
    unavailable = status.stages[1].dropped["unavailable"]
    assert unavailable > 0
    assert len(seen) + unavailable == 20
    assert status.stages[1].faults == 0
    assert seen[0].lost == unavailable


def test_a_source_that_vanishes_does_not_touch_another_pipeline(rig: Rig) -> None:
    """The neighbour loses nothing while one pipeline fails for good."""

    async def both() -> list[Any]:
        seen: list[Any] = []
        bad = Pipeline(
            chain(source(*numbers(500)), ("r", RaiseEvery, {"every": 3}), ("say", Say, {})),
            rig.kit,
        )
        good = Pipeline(
            chain(source(*numbers(500), Abort(), *numbers(500)), ("tap", Tap, {"into": seen})),
            rig.kit,
        )
        stop = asyncio.Event()
        failing = asyncio.ensure_future(supervise(bad, stop))
        outcome = await supervise(good, stop)
        assert outcome.ending == "finished"
        stop.set()
        assert (await failing).ending == "failed"
        return seen

    assert len(asyncio.run(both())) == 1000


@pytest.mark.parametrize("live", [False, True])
def test_stopping_answers_or_counts_every_packet_taken(rig: Rig, live: bool) -> None:
    seen: list[Any] = []

    async def stop_soon(pipeline: Pipeline, stop: asyncio.Event) -> None:
        while pipeline.meters["source"].emitted < 30:
            await asyncio.sleep(0.001)
        stop.set()

    outcome, status = rig.run(
        chain(
            source(*numbers(100_000), live=live),
            ("slow", Slow, {"seconds": 0.0005}),
            ("keep", KeepEven, {}),
            ("act", Collect, {"into": seen}),
        ),
        stop_soon,
    )
    balanced(outcome, status, "stopped")
    assert outcome.stuck == ()
    assert status.stages[0].emitted >= 30


def test_stopping_wakes_a_source_that_sleeps(rig: Rig) -> None:
    async def stop_at_once(pipeline: Pipeline, stop: asyncio.Event) -> None:
        while pipeline.meters["source"].emitted < 2:
            await asyncio.sleep(0.001)
        stop.set()

    outcome, status = rig.run(
        chain(source(*numbers(2), Pause(3600)), ("tap", Tap, {"into": []})), stop_at_once
    )
    balanced(outcome, status, "stopped")


def test_a_stuck_stage_is_named_and_left_behind(rig: Rig) -> None:
    """A thread cannot be killed; the rest must end all the same."""
    gate = threading.Event()

    async def stop_soon(pipeline: Pipeline, stop: asyncio.Event) -> None:
        while not pipeline.meters["blocked"].taken:
            await asyncio.sleep(0.001)
        stop.set()

    from dataclasses import replace

    plan = chain(source(*numbers(50), live=True), ("blocked", Blocked, {"gate": gate}))

    async def once() -> Outcome:
        pipeline = Pipeline(plan, replace(rig.kit, drain_s=0.05))
        stop = asyncio.Event()
        beside = asyncio.ensure_future(stop_soon(pipeline, stop))
        outcome = await pipeline.run_once(stop)
        await beside
        return outcome

    try:
        assert asyncio.run(once()).stuck == ("blocked",)
    finally:
        gate.set()
    assert "stuck threads are left behind" in rig.log.said("error")


def test_messages_reach_the_uplink_in_order(rig: Rig) -> None:
    rig.run(chain(source(*numbers(100)), ("say", Say, {})))
    assert [m.body for m in rig.uplink.messages] == [str(float(n)).encode() for n in range(100)]
    assert {m.topic for m in rig.uplink.messages} == {"test/say"}


def test_what_the_link_of_a_camera_drops_counts_before_an_action_too(rig: Rig) -> None:
    """Two links stand between a live source and an action that reads it."""
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            source(*numbers(300), live=True),
            ("act", Collect, {"into": seen}),
            source={"link": LinkSettings(1, "drop_oldest")},
            act={"link": LinkSettings(1, "drop_newest")},
        )
    )
    balanced(outcome, status, "finished")
    act = status.stages[1]
    assert act.put == 300
    assert act.dropped.get("full", 0) + len(seen) == 300
