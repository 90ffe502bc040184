"""A live source that gives nothing is told of, at each edge and once."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.config.device import read_device
from edgeapp.core.clock import NS, FakeClock
from edgeapp.plan.load import load
from edgeapp.service.monitoring.silence import (
    FIRST_S,
    LEAST_S,
    PERIODS,
    Silence,
    Silences,
    silence_notice,
)
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.notices import SilenceNotice

KEY = ("porch", "camera")


class World:
    """A pipeline with one source, which gives something when the test says so."""

    def __init__(self, silent_s: float | None = None, *, live: bool = True) -> None:
        self.clock = FakeClock()
        self.log = LogBook()
        source = SimpleNamespace(id="camera", live=live, silent_s=silent_s)
        self.pipeline: Any = SimpleNamespace(
            plan=SimpleNamespace(name="porch", sources=(source,)),
            state="running",
            slots={},
            log=self.log,
        )
        self.silences = Silences(self.clock)
        self.emitted = 0
        self.begin()

    def begin(self) -> None:
        """Let a run of the pipeline begin."""
        meters = SimpleNamespace(emitted=self.emitted)
        self.slot: Any = SimpleNamespace(last=None, meters=meters)
        self.pipeline.slots = {"camera": self.slot}
        self.pipeline.state = "running"
        self.silences.look([self.pipeline])

    def give(self) -> None:
        self.emitted += 1
        self.slot.meters.emitted = self.emitted
        self.slot.last = SimpleNamespace(taken_ns=self.clock.now_ns())

    def look(self, seconds: float = 0.0) -> Silence:
        self.clock.advance(seconds)
        return self.silences.look([self.pipeline])[KEY]

    def said(self) -> list[str]:
        return [event for _, event, _ in self.log.events]


def notice(silence: Silence) -> SilenceNotice:
    return silence_notice(*KEY, silence)


def test_a_source_that_falls_silent_is_told_once_and_once_that_it_came_back() -> None:
    world = World(silent_s=5)
    world.give()
    assert not world.look(4.9).silent
    raised = world.look(0.2)
    for _ in range(10):
        assert notice(world.look(1)) == notice(raised)  # nothing new is told
    world.give()
    cleared = world.look(0.4)
    assert world.said() == ["source is silent", "source is silent no more"]
    assert (raised.silent, raised.count) == (True, 1)
    assert (cleared.silent, cleared.count) == (False, 1)
    assert [raised.gap_s, cleared.gap_s] == pytest.approx([5.1, 15.1])


def test_a_silence_that_was_missed_is_seen_by_its_count() -> None:
    """As by a subscriber that was away in between."""
    world = World(silent_s=5)
    world.give()
    before = notice(world.look())
    world.look(6)
    world.give()
    assert notice(world.look()) == SilenceNotice(
        schema="edgeapp/silence/1",
        pipeline="porch",
        stage="camera",
        silent=False,
        gap_s=6.0,
        count=before.count + 1,
    )


def test_what_the_file_does_not_say_follows_from_the_usual_period() -> None:
    quick, slow = World(), World()
    for _ in range(100):
        quick.give()
        quick.look(0.07)
        slow.give()
        slow.look(20)
    assert quick.look().silent_s == LEAST_S
    assert slow.look().silent_s == pytest.approx(PERIODS * 20, rel=0.05)
    assert quick.said() == slow.said() == []


def test_one_that_has_given_nothing_yet_has_longer() -> None:
    world = World()
    assert not world.look(FIRST_S - 1).silent
    assert world.look(1.5).silent


@pytest.mark.parametrize("world", [World(0), World(5, live=False)], ids=["never", "a file"])
def test_some_are_never_silent(world: World) -> None:
    world.clock.advance(10_000)
    assert world.silences.look([world.pipeline]) == {}


@pytest.mark.parametrize("state", ["paused", "stopped", "finished"])
def test_nothing_is_expected_of_a_pipeline_that_is_over(state: str) -> None:
    world = World(silent_s=5)
    assert world.look(6).silent
    world.pipeline.state = state
    assert not world.look(60).silent
    assert world.said() == ["source is silent", "source is silent no more"]


def test_a_failure_in_between_neither_clears_nor_raises() -> None:
    """A camera that crashes its pipeline again and again is silent all the while."""
    world = World(silent_s=5)
    assert world.look(6).silent
    for state in ("failed", "starting"):
        world.pipeline.state = state
        assert world.look(60).silent
    world.begin()
    assert world.look(1).silent
    world.give()
    assert not world.look(1).silent
    assert world.said() == ["source is silent", "source is silent no more"]


def test_a_pipeline_that_is_gone_is_forgotten() -> None:
    world = World(silent_s=5)
    assert world.look(6).count == 1
    assert world.silences.look([]) == {}
    world.begin()
    assert world.look().count == 0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.01, 30), st.booleans()), max_size=60))
def test_edges_take_turns_and_no_gap_is_overlooked(steps: list[tuple[float, bool]]) -> None:
    world = World(silent_s=7)
    world.give()
    world.look()
    quiet_s, overdue = 0.0, 0
    was = False
    for seconds, gives in steps:
        if gives:
            world.give()
            quiet_s = 0.0
            assert not world.look().silent
            was = False
        now = world.look(seconds)
        quiet_s += seconds
        if abs(quiet_s - 7) > 1e-6:
            assert now.silent == (quiet_s >= 7)
        overdue += now.silent and not was
        was = now.silent
        assert now.count == overdue
        assert now.quiet_s == pytest.approx(quiet_s, abs=1e-6)
    said = world.said()
    assert all(one != other for one, other in pairwise(said))
    assert world.clock.now_ns() < 10_000 * NS


def test_the_pipeline_file_says_after_how_long(tmp_path: Path) -> None:
    text = "name: belt\nstages:\n  belt: {source: conveyor, silent_s: 2.5}\n"
    (tmp_path / "belt.yaml").write_text(text)
    device = read_device(environment={})
    [plan] = load([tmp_path / "belt.yaml"], device=device)
    assert plan.stages["belt"].silent_s == 2.5
    (tmp_path / "belt.yaml").write_text(text.replace("2.5", "0"))
    [plan] = load([tmp_path / "belt.yaml"], device=device)
    assert plan.stages["belt"].silent_s == 0
