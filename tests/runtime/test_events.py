"""Whatever a stage opens is ended, whoever faults, fills up or stops."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.api import (
    Context,
    Event,
    Field,
    Options,
    Packet,
    Phase,
    Score,
    Unavailable,
    event_id,
    transform,
)
from edgeapp.core.link import Inbox, LinkSettings
from edgeapp.core.meters import StageMeters
from edgeapp.plan.graph import StagePlan
from edgeapp.plan.registry import register
from edgeapp.runtime.event_slot import EventSlot
from edgeapp.runtime.kit import FaultBudget, Life
from edgeapp.testing import Script, Scripted
from edgeapp.testing.stage import run_stage
from tests.runtime.parts import Collect, NoOptions, Slow, Tap, numbers
from tests.runtime.rig import Rig, chain


def sent(count: int) -> list[Packet[Score]]:
    """Numbers, each in a packet of its own."""
    return [
        Packet(value, "s", 0, seq, 0, seq * 1000, 0, 0, 0, ())
        for seq, value in enumerate(numbers(count))
    ]


class FragileOptions(Options):
    breaks_at: float = Field(description="From this number on it raises.")
    gone: bool = Field(description="Unavailable, and no bug.")


class MoodyOptions(Options):
    faults: frozenset[float] = Field(frozenset(), description="Values at which it raises.")
    flushes: bool = Field(True, description="Whether it ends its events itself.")


@transform("moody")
class Moody:
    """Opens an event at every third number, ends the oldest at every fifth, and may raise."""

    def __init__(self, options: MoodyOptions, context: Context) -> None:
        self.options = options
        self.context = context
        self.open: list[Event] = []

    def process(self, packet: Packet[Score]) -> Iterable[Event]:
        value = packet.value.value
        if value in self.options.faults:
            raise RuntimeError("moody")
        if value % 3 == 0:
            name = event_id(self.context.id, self.context.random)
            self.open.append(Event("new", name, "test", "it", packet.t_ns))
            yield self.open[-1]
        if value % 5 == 0 and self.open:
            yield self._end(self.open.pop(0))

    def flush(self) -> Iterable[Event]:
        return [self._end(event) for event in self.open] if self.options.flushes else []

    @staticmethod
    def _end(event: Event) -> Event:
        return Event("end", event.event, event.kind, event.label, event.began_ns)


def check(packets: list[Packet[Any]]) -> None:
    """Every event begins once and ends once, in this order."""
    opened: dict[str, str] = {}
    for packet in packets:
        event = packet.value
        if event.phase == "new":
            assert event.event not in opened
        else:
            assert opened[event.event] != "end"
        opened[event.event] = event.phase
    assert set(opened.values()) <= {"end"}


@given(st.frozensets(st.integers(0, 60).map(float), max_size=5), st.booleans())
def test_events_of_a_stage_that_faults_are_ended(faults: frozenset[float], flushes: bool) -> None:
    ran = run_stage(Moody, {"faults": faults, "flushes": flushes}, sent(60), burst=7)

    check(ran.packets)
    opened = [value for value in ran.values if value.phase == "new"]
    assert len(opened) == len([n for n in range(0, 60, 3) if float(n) not in faults])
    if not flushes:
        assert any(value.facts.get("cut_short") for value in ran.values)
    keys = [packet.key for packet in ran.packets]
    assert keys == sorted(set(keys))


@transform("fragile", stateless=True)
class Fragile:
    """Opens an event at each number; from some number on it is not there, or has a bug."""

    def __init__(self, options: FragileOptions, context: Context) -> None:
        self.options = options
        self.context = context

    def process(self, packet: Packet[Score]) -> Event:
        if packet.value.value >= self.options.breaks_at:
            raise Unavailable("unplugged") if self.options.gone else RuntimeError("fragile")
        name = event_id(self.context.id, self.context.random)
        return Event("new", name, "test", "it", packet.t_ns)

    def process_many(self, packets: Sequence[Packet[Score]]) -> list[Event]:
        """Answer all, or raise."""
        return [self.process(packet) for packet in packets]


@pytest.mark.parametrize("burst", [1, 3, 4])
@pytest.mark.parametrize("gone", [True, False])
def test_events_of_a_stage_that_stays_away_are_ended_at_once(burst: int, *, gone: bool) -> None:
    """Not once it is back, which may be in days."""
    ran = run_stage(Fragile, {"breaks_at": 6.0, "gone": gone}, sent(10), burst=burst)

    check(ran.packets)
    assert len(ran.values) == 12
    ends = [packet for packet in ran.packets if packet.value.phase == "end"]
    assert {packet.seq for packet in ends} <= set(range(6, 6 + burst))
    keys = [packet.key for packet in ran.packets]
    assert keys == sorted(set(keys))


@transform("late_bloomer")
class LateBloomer:
    """Opens an event at 0, breaks at 1 and 2, and has something to say at the end."""

    def __init__(self, options: MoodyOptions, context: Context) -> None:
        self.context = context

    def process(self, packet: Packet[Score]) -> Event | None:
        if packet.value.value in {1.0, 2.0}:
            raise RuntimeError("not yet")
        return self._event("new", packet.t_ns) if packet.value.value == 0 else None

    def flush(self) -> Iterable[Event]:
        return [self._event("new", 0), self._event("new", 0)]

    def _event(self, phase: Phase, began_ns: int) -> Event:
        name = event_id(self.context.id, self.context.random)
        return Event(phase, name, "test", "it", began_ns)


@pytest.mark.parametrize("burst", [1, 2, 3])
def test_what_comes_at_the_end_comes_after_the_ends_of_what_broke_off(burst: int) -> None:
    ran = run_stage(LateBloomer, {}, sent(3), burst=burst)
    check(ran.packets)
    keys = [packet.key for packet in ran.packets]
    assert keys == sorted(set(keys))
    assert len(ran.packets) == 6


def test_the_end_of_events_arrives_when_a_pipeline_is_taken_down(rig: Rig) -> None:
    """The budget of faults is spent: what was open is ended all the same."""
    seen: list[Any] = []
    outcome, status = rig.run(
        chain(
            ("source", Scripted, {"script": Script(*numbers(100)), "rate_hz": 1000.0}),
            ("moody", Moody, {"faults": frozenset(float(n) for n in range(40, 100))}),
            ("tap", Tap, {"into": seen}),
        )
    )
    assert outcome.ending == "failed"
    assert len(seen) > 10
    check(seen)
    assert status.unaccounted() == []


def test_the_end_of_an_event_gets_past_a_queue_that_is_full(rig: Rig) -> None:
    """So that the lamp goes out, however slow the hands are."""
    seen: list[Any] = []
    rig.run(
        chain(
            ("source", Scripted, {"script": Script(*numbers(60)), "rate_hz": 1000.0}),
            ("moody", Moody, {}),
            ("slow", Slow, {"seconds": 0.002}),
            ("act", Collect, {"into": seen}),
            slow={"cut": "lane", "link": LinkSettings(4, "drop_newest")},
            act={"reads": ("moody",), "link": LinkSettings(8, "drop_newest")},
        )
    )
    began = {p.value.event for p, _ in seen if p.value.phase == "new"}
    ended = {p.value.event for p, _ in seen if p.value.phase == "end"}
    assert began <= ended


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
def test_a_full_link_lets_ends_go_last_and_stays_bounded(when_full: Any) -> None:
    link = Inbox().link(LinkSettings(2, when_full))
    chance = random.Random(3)
    for seq in range(500):
        phase: Phase = chance.choice(["new", "update", "end"])
        event = Event(phase, f"e{seq}", "test", "it", 0)
        link.put(Packet(event, "s", 0, seq, 0, seq, 0, 0, 0, ()))
    statistics = link.statistics()
    assert statistics.waiting == 8
    assert statistics.put == statistics.waiting + statistics.dropped == 500
    taken = link.take_locked(100)
    assert [packet.value.phase for packet in taken[2:]] == ["end"] * 6
    assert sum(packet.lost for packet in taken) <= statistics.dropped


def test_acknowledgements_that_nobody_hears_stay_bounded(rig: Rig) -> None:
    """A stage that is away is told of the newest ones, once it is back."""
    told: list[int] = []

    def tell(number: int) -> Callable[[str], None]:
        return lambda _sentence: told.append(number)

    plugin = register(Deaf)
    plan = StagePlan("deaf", plugin, plugin.options(), reads=("s",), consumers=())
    slot = EventSlot(plan, "test", rig.kit, Life(FaultBudget(rig.clock)), StageMeters())
    for number in range(1000):
        assert slot.acknowledge(tell(number))
    slot.open()
    slot.handle(sent(1))
    slot.close()
    assert told == list(range(984, 1000))


@transform("deaf")
class Deaf:
    """Says nothing; can be acknowledged."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def acknowledge(self) -> str:
        return "seen"

    def process(self, packet: Packet[Score]) -> Event | None:
        return None
