"""What stages knew, and what people set, goes over to the pipeline that takes the place."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest

from edgeapp.api import (
    Context,
    Event,
    FakeClock,
    Features,
    Field,
    Image,
    Live,
    Options,
    Packet,
    Score,
    event_id,
    transform,
)
from edgeapp.core.dial import Dial, Setting
from edgeapp.plan.graph import Plan
from edgeapp.plan.tuning import tuned
from edgeapp.runtime.app import App
from edgeapp.runtime.memory import check_plain, remembering
from tests.runtime.parts import NoOptions
from tests.runtime.rig import Rig
from tests.runtime.test_change import named, some, while_running


class TallyOptions(Options):
    fails: str = Field("", description="Where it raises: remember or recall.")
    live: bool = Field(False, description="Whether it tries to hand over what is no plain data.")
    step: Annotated[int, Live()] = Field(1, description="How much each packet counts.")


@transform("tally")
class Tally:
    """Counts packets, within one event that lasts as long as the stage."""

    def __init__(self, options: TallyOptions, context: Context) -> None:
        self.options = options
        self.context = context
        self.count = 0
        self.event: Event | None = None

    def tune(self, options: TallyOptions) -> None:
        self.options = options

    def process(self, packet: Packet[Score]) -> Event:
        self.count += self.options.step
        phase: Any = "new" if self.event is None else "update"
        name = event_id("tally", self.context.random) if self.event is None else self.event.event
        facts = {"count": self.count}
        self.event = Event(phase, name, "tally", "it", packet.t_ns, facts=facts)
        return self.event

    def flush(self) -> Iterable[Event]:
        event, self.event = self.event, None
        return [] if event is None else [replace(event, phase="end")]

    def remember(self) -> Any:
        if self.options.fails == "remember":
            raise RuntimeError("remember")
        return (lambda: 0) if self.options.live else (self.count, self.event)

    def recall(self, memory: Any) -> None:
        self.count, self.event = memory
        if self.options.fails == "recall":
            raise RuntimeError("recall")


@transform("other")
class Other(Tally):
    """Of another name."""


@transform("as_features")
class AsFeatures:
    """Gives another type."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Features:
        return Features(np.array([packet.value.value]), ("n",), ("",))


def tally(tap: list[Any], cls: type[Any] = Tally, stage_id: str = "tally", **options: Any) -> Plan:
    return named("belt", tap, (stage_id, cls, options))


def reloaded(rig: Rig, *plans: Plan, taps: list[list[Any]]) -> None:
    """Each of the plans after the other, for some packets."""

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        for plan, tap in zip(plans[1:], taps[1:], strict=True):
            await app.change({"belt"}, [plan])
            await some(tap)

    while_running(rig, [plans[0]], script)


def life_of(events: Iterable[Event]) -> dict[str, Counter[str]]:
    """How often each event began and ended."""
    found: dict[str, Counter[str]] = {}
    for event in events:
        found.setdefault(event.event, Counter())[event.phase] += 1
    return found


def test_a_stage_goes_on_and_its_event_with_it(rig: Rig) -> None:
    taps: list[list[Any]] = [[], [], []]
    reloaded(rig, *(tally(tap) for tap in taps), taps=taps)
    events = [packet.value for tap in taps for packet in tap]
    [life] = life_of(events).values()
    assert (life["new"], life["end"]) == (1, 1)
    counts = [event.facts["count"] for event in events if event.phase != "end"]
    assert counts == list(range(1, len(counts) + 1))
    assert not rig.log.said("error")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"fails": "recall"}, {"fails": "recall"}, ["stage could not recall, and starts afresh"]),
        ({"fails": "remember"}, {"fails": "remember"}, ["stage could not remember"]),
        ({"live": True}, {"live": True}, ["stage could not remember"]),
        ({}, {"live": True}, []),
    ],
    ids=["recall raises", "remember raises", "no plain data", "other options"],
)
def test_a_stage_that_cannot_starts_afresh_and_its_events_are_ended(
    rig: Rig, first: dict[str, Any], second: dict[str, Any], said: list[str]
) -> None:
    taps: list[list[Any]] = [[], []]
    reloaded(rig, tally(taps[0], **first), tally(taps[1], **second), taps=taps)
    lives = life_of(packet.value for tap in taps for packet in tap)
    assert len(lives) == 2
    assert all((life["new"], life["end"]) == (1, 1) for life in lives.values())
    assert min(p.value.facts["count"] for p in taps[1] if p.value.phase == "new") == 1
    assert rig.log.said("error") == said
    keys = [packet.key for tap in taps for packet in tap]
    assert len(keys) == len(set(keys)), "no key comes twice"


def test_an_event_is_ended_though_no_packet_ever_came_to_who_was_to_go_on(rig: Rig) -> None:
    """The source of the one that takes the place gives nothing."""
    taps: list[list[Any]] = [[], []]

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        await app.change({"belt"}, [named("belt", taps[1], ("tally", Tally, {}), most=0)])
        while app.pipelines[0].state != "finished":
            await asyncio.sleep(0.001)

    while_running(rig, [tally(taps[0])], script)
    [life] = life_of(packet.value for tap in taps for packet in tap).values()
    assert (life["new"], life["end"]) == (1, 1)
    assert [packet.value.phase for packet in taps[1]] == ["end"]


def test_which_stages_recall() -> None:
    """Those of which id, plugin, options and the types that arrive are the same."""
    plan = tally([])
    assert remembering(plan, tally([])) == {"tally"}
    assert remembering(plan, tally([], step=3)) == {"tally"}, "it can be changed live"
    assert remembering(plan, tally([], live=True)) == set()
    assert remembering(plan, tally([], Other)) == set()
    assert remembering(plan, tally([], stage_id="another")) == set()
    wired = named("belt", [], ("as", AsFeatures, {}), ("tally", Tally, {}))
    assert remembering(plan, wired) == set(), "other types arrive"


def test_only_plain_data_goes_over() -> None:
    array = np.zeros((2, 2), np.uint8)
    check_plain({"a": [(1, 2.0, None, "x", b"y", True)], (1, "b"): {1, 2}, "c": array})
    check_plain([Image(array), np.float64(1)])
    for live in (open, object(), lambda: 0, np.array([object()])):
        with pytest.raises(TypeError, match="no plain data"):
            check_plain({"deep": [live]})
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(TypeError, match="levels deep"):
        check_plain(deep)


def test_tuned_values_stay_unless_the_file_says_otherwise(rig: Rig) -> None:
    taps: list[list[Any]] = [[], [], [], []]

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        stage = app.pipelines[0].plan.stages["tally"]
        app.pipelines[0].tune(tuned(stage, "step", "100"))
        for tap, step, holds in zip(taps[1:], (1, 1, 7), (100, 100, 7), strict=True):
            await app.change({"belt"}, [tally(tap, step=step)])
            await some(tap)
            now: Any = app.pipelines[0].plan.stages["tally"].options
            assert now.step == holds

    while_running(rig, [tally(taps[0])], script)
    counts = [packet.value.facts["count"] for packet in taps[2]]
    assert counts[1] - counts[0] == 100


def dial(rungs: int = 3, **options: Any) -> Dial:
    return Dial(rungs, FakeClock(), **options)


def test_a_pin_stays_on_its_variant_wherever_that_stands_now() -> None:
    before = dial()
    before.pin(Setting(1, 4), for_s=60, force=True)
    after = dial(2)
    after.follow(before, {1: 0, 2: 1})
    assert after.pinned == Setting(0, 4)
    gone = dial(2)
    gone.follow(before, {0: 0, 2: 1})
    assert gone.pinned is None
    whole = dial(2, may_divide=False)
    whole.follow(before, {1: 1})
    assert whole.pinned == Setting(1, 1)


def test_what_the_governor_wished_holds_until_it_wishes_anew() -> None:
    """Else a hot device would load its largest model with each reload."""
    before = dial()
    before.want(Setting(2, 2))
    after = dial(2)
    after.follow(before, {0: 0, 1: 1})
    assert after.wanted() == Setting(1, 2)
    fresh = dial()
    fresh.follow(dial(), {0: 0})
    assert fresh.wanted() == Setting(0), "nothing was ever wished"


def test_memory_that_was_not_taken_goes_on_to_the_next(rig: Rig) -> None:
    """A pipeline that never opened goes back: what the first one knew is not lost."""
    taps: list[list[Any]] = [[], [], []]

    @transform("late")
    class Late:
        """Opens never."""

        def __init__(self, options: NoOptions, context: Context) -> None:
            context.sleep(60)

        def process(self, packet: Packet[Event]) -> Event:
            return packet.value

    async def script(app: App, _stop: asyncio.Event) -> None:
        await some(taps[0])
        late = named("belt", taps[1], ("tally", Tally, {}), ("late", Late, {}))
        await app.change({"belt"}, [late])
        while app.pipelines[0].state != "starting":
            await asyncio.sleep(0.001)
        await app.change({"belt"}, [tally(taps[2])])
        await some(taps[2])

    while_running(rig, [tally(taps[0])], script)
    assert not taps[1]
    events = [packet.value for tap in taps for packet in tap]
    [life] = life_of(events).values()
    assert (life["new"], life["end"]) == (1, 1)
    counts = [event.facts["count"] for event in events if event.phase != "end"]
    assert counts == list(range(1, len(counts) + 1))
