"""Sinks with a rule: what is taken, what is counted, what is told."""

from typing import Any

import pytest

from edgeapp.api import Event, Phase, Rule
from edgeapp.core.link import LinkSettings
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Script, Scripted, packets, run_stage
from tests.runtime.parts import BadEvery, Collect, Double, Say, Tap, numbers
from tests.runtime.rig import Rig, chain


def stepped(rig: Rig, *stages: Any, **changes: Any) -> Pipeline:
    pipeline = Pipeline(chain(*stages, **changes), rig.kit)
    assert run_stepped(pipeline).ending == "finished"
    assert status_of(pipeline).unaccounted() == []
    return pipeline


def source(*items: Any) -> tuple[str, type[Any], dict[str, Any]]:
    return ("source", Scripted, {"script": Script(*items)})


def test_a_sink_takes_only_what_its_rule_is_true_of(stepped_rig: Rig) -> None:
    """The rest is answered with nothing: neither dropped nor lost."""
    out: list[Any] = []
    pipeline = stepped(
        stepped_rig,
        source(*numbers(6)),
        ("say", Say, {}),
        ("tap", Tap, {"into": out}),
        say={"when": Rule("value > 3")},
        tap={"when": Rule("value % 2 == 0"), "reads": ("source",)},
    )
    assert [m.body for m in stepped_rig.uplink.messages] == [b"4.0", b"5.0"]
    assert [(p.value.value, p.lost) for p in out] == [(0, 0), (2, 0), (4, 0)]
    for stage in ("say", "tap"):
        meters = pipeline.meters[stage]
        assert (meters.taken, meters.done, dict(meters.dropped)) == (6, 6, {})


def test_what_was_really_lost_before_is_told_with_the_next_that_matches(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(6)),
        ("bad", BadEvery, {"every": 2}),
        ("tap", Tap, {"into": out}),
        tap={"when": Rule("value == 4")},
    )
    assert [(p.value.value, p.lost) for p in out] == [(4, 2)]


def test_one_rule_serves_a_sink_that_reads_two_stages(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(3)),
        ("double", Double, {}),
        ("tap", Tap, {"into": out}),
        tap={"when": Rule("value >= 2"), "reads": ("source", "double")},
    )
    assert sorted(p.value.value for p in out) == [2, 2, 4]


def test_a_packet_left_out_does_not_use_up_the_pace_of_an_output() -> None:
    ran = run_stage(Say, {}, packets(numbers(4), rate_hz=10), every_s=10, when="value in [2, 3]")
    assert [m.body for m in ran.messages] == [b"2.0"]


def test_a_rule_that_is_never_decided_takes_nothing_and_is_no_fault(stepped_rig: Rig) -> None:
    pipeline = stepped(
        stepped_rig, source(*numbers(3)), ("say", Say, {}), say={"when": Rule('parts["x"] > 1')}
    )
    assert stepped_rig.uplink.messages == []
    assert (pipeline.meters["say"].done, pipeline.meters["say"].faults) == (3, 0)
    assert stepped_rig.log.said("warning") == ["the rule names what does not come"]


def test_real_threads_count_the_same(rig: Rig) -> None:
    """An action on the hands thread, behind its link."""
    taken: list[Any] = []
    plan = chain(
        ("source", Scripted, {"script": Script(*numbers(50)), "live": True}),
        ("act", Collect, {"into": taken}),
        act={"when": Rule("value < 10"), "link": LinkSettings(16, "wait")},
    )
    outcome, status = rig.run(plan)
    assert outcome.ending == "finished"
    assert status.unaccounted() == []
    assert [packet.value.value for packet, _ in taken] == list(range(10))
    assert (status.stages[1].done, status.stages[1].dropped) == (50, {})


def test_phases_of_events_can_be_chosen() -> None:
    phases: tuple[Phase, ...] = ("new", "update", "end")
    events = [Event(phase, "e-1", "zone", "person", 0) for phase in phases]
    taken: list[Any] = []
    run_stage(Collect, {"into": taken}, packets(events), when='phase != "update"')
    assert [packet.value.phase for packet, _ in taken] == ["new", "end"]


def test_a_wrong_rule_is_refused_without_a_file() -> None:
    with pytest.raises(ValueError, match="did you mean 'value'"):
        run_stage(Say, {}, packets(numbers(1)), when="valu > 1")
