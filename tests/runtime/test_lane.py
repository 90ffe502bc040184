"""What a stage makes of packets: one, none or many, and what is carried along."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeapp.core.clock import FakeClock
from edgeapp.models.session import Pool
from edgeapp.plan.graph import VariantPlan
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.runtime.stepped import run_stepped
from edgeapp.testing import Abort, Script, Scripted
from tests.models.conftest import made_in
from tests.runtime.parts import (
    Ask,
    BadEvery,
    Double,
    DoubleMany,
    Hold,
    KeepEven,
    Say,
    Tap,
    TapOptions,
    Thrice,
    numbers,
)
from tests.runtime.rig import Rig, chain


def stepped(rig: Rig, *stages: Any, **changes: Any) -> Pipeline:
    pipeline = Pipeline(chain(*stages, **changes), rig.kit)
    assert run_stepped(pipeline).ending == "finished"
    assert status_of(pipeline).unaccounted() == []
    return pipeline


def source(*items: Any, **options: Any) -> tuple[str, type[Any], dict[str, Any]]:
    return ("source", Scripted, {"script": Script(*items), **options})


def test_answers_keep_their_order_time_and_key(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(stepped_rig, source(*numbers(4)), ("double", Double, {}), ("end", Tap, {"into": out}))
    assert [(p.value.value, p.key, p.t_ns) for p in out] == [
        (2.0 * n, ("source", 0, n, 0), n * 100_000_000) for n in range(4)
    ]


def test_what_a_filter_lets_go_is_not_lost(stepped_rig: Rig) -> None:
    """Filtering is an answer; only real losses make a window restart."""
    out: list[Any] = []
    pipeline = stepped(
        stepped_rig, source(*numbers(6)), ("keep", KeepEven, {}), ("end", Tap, {"into": out})
    )
    assert [(p.value.value, p.lost) for p in out] == [(0, 0), (2, 0), (4, 0)]
    assert pipeline.meters["keep"].done == 6


def test_a_packet_that_cannot_be_used_is_counted_and_told_to_the_next(stepped_rig: Rig) -> None:
    out: list[Any] = []
    pipeline = stepped(
        stepped_rig,
        source(*numbers(6)),
        ("bad", BadEvery, {"every": 3}),
        ("keep", KeepEven, {}),
        ("end", Tap, {"into": out}),
    )
    assert dict(pipeline.meters["bad"].dropped) == {"odd": 2}
    assert [(p.value.value, p.lost) for p in out] == [(0, 0), (4, 1)]


def test_one_packet_becomes_many_with_parts_of_their_own(stepped_rig: Rig) -> None:
    """Keys stay unique, also where many become many again."""
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(2)),
        ("thrice", Thrice, {}),
        ("again", Thrice, {}),
        ("end", Tap, {"into": out}),
    )
    keys = [p.key for p in out]
    assert len(keys) == 18
    assert len(set(keys)) == 18
    assert keys == sorted(keys)


def test_a_burst_is_answered_in_one_call(stepped_rig: Rig) -> None:
    DoubleMany.bursts.clear()
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(2)),
        ("thrice", Thrice, {}),
        ("double", DoubleMany, {}),
        ("end", Tap, {"into": out}),
    )
    assert DoubleMany.bursts == [3, 3]
    assert [p.value.value for p in out] == [0, 0, 0, 2, 2, 2]


def test_of_a_burst_each_answer_of_a_model_goes_on_at_once(
    stepped_rig: Rig, tmp_path: Path
) -> None:
    """A model takes long: the first answer does not wait for those behind it."""
    out: list[Any] = []
    file = made_in(tmp_path)("half.onnx", factor=0.5)
    plan = chain(
        source(*numbers(2)),
        ("thrice", Thrice, {}),
        ("ask", Ask, {"into": out}),
        ("end", Tap, {"into": out}),
        ask={"variants": (VariantPlan("half", file, TapOptions(into=out)),)},
    )
    pool = Pool(stepped_rig.clock)
    run_stepped(Pipeline(plan, replace(stepped_rig.kit, pool=pool)))
    assert out[0::2] == ["asked"] * 6
    assert [p.value.value for p in out[1::2]] == [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]


def test_a_burst_that_fails_is_retried_packet_by_packet(stepped_rig: Rig) -> None:
    """Exact blame: only the packet at fault is dropped."""
    out: list[Any] = []
    pipeline = stepped(
        stepped_rig,
        source(*numbers(2, first=12)),
        ("thrice", Thrice, {}),
        ("double", DoubleMany, {}),
        ("end", Tap, {"into": out}),
    )
    assert [p.value.value for p in out] == [24, 24, 24]
    assert dict(pipeline.meters["double"].dropped) == {"bad": 3}
    assert pipeline.meters["double"].faults == 0


def test_what_a_stage_holds_comes_out_at_the_end(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(3)),
        ("hold", Hold, {}),
        ("double", Double, {}),
        ("end", Tap, {"into": out}),
    )
    assert [p.value.value for p in out] == [0, 2, 4]
    assert len({p.key for p in out}) == 3


def test_consumers_of_one_stage_run_in_their_order_on_the_same_packet(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(2)),
        ("first", Tap, {"into": out}),
        ("second", Tap, {"into": out}),
        second={"reads": ("source",)},
    )
    assert [p.seq for p in out] == [0, 0, 1, 1]
    assert out[0] is out[1] or out[0] == out[1]


def test_a_reopened_source_begins_a_new_epoch(stepped_rig: Rig) -> None:
    out: list[Any] = []
    stepped(
        stepped_rig,
        source(*numbers(2), Abort("unplugged"), *numbers(2)),
        ("end", Tap, {"into": out}),
    )
    assert [(p.epoch, p.seq) for p in out] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert stepped_rig.log.said("warning") == ["source unavailable, retrying"]
    assert stepped_rig.log.said("info") == ["source available again"]


def test_an_output_says_at_most_one_message_in_every_s(stepped_rig: Rig) -> None:
    """Counted in stream time, so a replay says the same."""
    stepped(
        stepped_rig,
        source(*numbers(10), rate_hz=10.0),
        ("say", Say, {}),
        say={"every_s": 0.5},
    )
    assert [m.body for m in stepped_rig.uplink.messages] == [b"0.0", b"5.0"]


def test_two_stepped_runs_are_the_same(tmp_path: Any) -> None:
    """Bit for bit: keys, times and messages."""
    runs = []
    for _ in range(2):
        rig = Rig(tmp_path, clock=FakeClock())
        out: list[Any] = []
        stepped(
            rig,
            source(*numbers(5)),
            ("thrice", Thrice, {}),
            ("say", Say, {}),
            ("end", Tap, {"into": out}),
            end={"reads": ("thrice",)},
        )
        runs.append((out, rig.uplink.messages))
    assert runs[0] == runs[1]
