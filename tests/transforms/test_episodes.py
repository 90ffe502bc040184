"""Episodes: from where to where, which ones count, and that each one that is told of also ends."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import At, Event, Image, Labels, Packet, Score
from edgeapp.testing import packets, run_stage
from edgeapp.testing.stage import Ran, context
from edgeapp.transforms.episodes import NS, Episodes, EpisodesOptions

CHUNK_NS = 32_000_000
"""512 samples at 16 kHz, as Silero VAD takes them."""
SILERO = {"enter": 0.5, "leave": 0.35, "min_s": 0.25, "gap_s": 0.1, "pad_s": 0.03}


def heard(
    *rows: Sequence[float],
    labels: tuple[str, ...] = ("speech",),
    step_ns: int = CHUNK_NS,
    **fixed: Any,
) -> list[Packet[Labels]]:
    """Labels of touching windows, `step_ns` long each; a row for each label."""
    scores = np.array(rows, np.float32).T
    span_ns = fixed.pop("span_ns", step_ns)
    return [
        Packet(
            Labels(one.copy(), labels), "mic", 0, seq, 0, (seq + 1) * step_ns, 0, span_ns, 0, ()
        )._replace(**fixed)
        for seq, one in enumerate(scores)
    ]


def run(stream: Sequence[Packet[Any]], **options: Any) -> Ran:
    return run_stage(Episodes, options, stream)


def directly(stream: Sequence[Packet[Any]], **options: Any) -> list[At[Event]]:
    """The same without a slot around the stage: fast enough for hundreds of examples."""
    stage = Episodes(EpisodesOptions(**options), context())
    return [result for packet in stream for result in stage.process(packet)] + stage.flush()


def ends(ran: Ran, *, step_ns: int = CHUNK_NS) -> list[tuple[float, float]]:
    """From where to where, in windows."""
    return [
        (event.began_ns / step_ns, event.facts["end_s"] * NS / step_ns)
        for event in ran.values
        if event.phase == "end"
    ]


def told(ran: Ran) -> list[tuple[str, str, float]]:
    """Phase, label, and the number of the window with which it was told."""
    return [(p.value.phase, p.value.label, p.t_ns / CHUNK_NS - 1) for p in ran.packets]


def test_an_episode_is_where_the_score_is_high() -> None:
    ran = run(heard([0, 0, 0.6, 0.9, 0.7, 0, 0]), enter=0.5)
    assert ends(ran) == [(2, 5)]
    assert told(ran) == [("new", "speech", 2), ("end", "speech", 5)]
    new, end = ran.values
    assert new.event == end.event
    assert (new.kind, end.score) == ("sound", pytest.approx(0.9))
    assert end.facts == {
        "start_s": pytest.approx(0.064),
        "end_s": pytest.approx(0.160),
        "duration_s": pytest.approx(0.096),
        "why": "quiet",
    }


def test_between_the_edges_an_episode_goes_on() -> None:
    assert ends(run(heard([0, 0.6, 0.4, 0.4, 0.3, 0.4, 0]), enter=0.5, leave=0.35)) == [(1, 4)]


def test_leave_follows_enter_if_not_given() -> None:
    assert ends(run(heard([0.6, 0.36, 0.34, 0]))) == [(0, 2)]


def test_a_gap_is_bridged_until_it_is_long_enough() -> None:
    """The third quiet window begins two windows after the gap did."""
    options = {"enter": 0.5, "gap_s": 2 * CHUNK_NS / NS}
    assert ends(run(heard([1, 0, 0, 1, 0, 0, 0, 0]), **options)) == [(0, 4)]
    assert ends(run(heard([1, 0, 0, 0, 1, 0, 0, 0]), **options)) == [(0, 1), (4, 5)]


def test_a_gap_is_ended_only_by_what_would_begin_an_episode() -> None:
    options = {"enter": 0.5, "leave": 0.35, "gap_s": 2 * CHUNK_NS / NS}
    assert ends(run(heard([1, 0, 0.4, 0.4, 0]), **options)) == [(0, 1)]


def test_short_ones_are_never_told_of() -> None:
    ran = run(heard([0, 1, 1, 0, 1, 1, 1, 0]), min_s=3 * CHUNK_NS / NS)
    assert ends(ran) == [(4, 7)]
    assert told(ran)[0] == ("new", "speech", 6)


def test_hits_must_come_within_a_time() -> None:
    options = {"hits": 3, "within_s": 4 * CHUNK_NS / NS, "gap_s": 1.0}
    assert ends(run(heard([1, 0, 1, 0, 0, 1, 0, 1, 0, 0]), **options)) == []
    ran = run(heard([1, 0, 0, 1, 0, 1, 0.9, 0, 0]), **options)
    assert ends(ran) == [(3, 7)]
    assert told(ran)[0] == ("new", "speech", 6)


def test_smoothing_takes_the_mean_of_a_stretch_of_time() -> None:
    ran = run(heard([0, 0, 0.9, 0, 0, 0.9, 0.9, 0.9, 0]), smooth_s=3 * CHUNK_NS / NS)
    assert ends(ran) == [(6, 9)]
    assert ran.values[-1].score == pytest.approx(0.9)


def test_padding_ends_where_the_episode_before_did_and_where_the_stream_began() -> None:
    options = {"pad_s": 2 * CHUNK_NS / NS, "gap_s": CHUNK_NS / NS}
    assert ends(run(heard([0, 1, 0, 0, 1, 0, 0, 0, 0]), **options)) == [(0, 4), (4, 7)]


def test_labels_have_episodes_of_their_own() -> None:
    ran = run(
        heard([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1], labels=("a", "b", "c")),
        label=["b", "a"],
    )
    assert told(ran) == [("new", "a", 1), ("new", "b", 2), ("end", "a", 3), ("end", "b", 4)]


def test_a_lasting_episode_is_told_of_again() -> None:
    ran = run(heard([0, 1, 1, 1, 1, 1, 0]), update_s=2 * CHUNK_NS / NS)
    assert [event.phase for event in ran.values] == ["new", "update", "update", "end"]
    assert [event.facts["duration_s"] for event in ran.values] == pytest.approx(
        [0.032, 0.096, 0.160, 0.160]
    )


@pytest.mark.parametrize(("change", "why"), [((0, 3), "lost"), ((1, 0), "reopened")])
def test_where_the_stream_was_interrupted_what_lasts_ends(
    change: tuple[int, int], why: str
) -> None:
    epoch, lost = change
    first, second, third, fourth = heard([1, 1, 1, 0])
    third = third._replace(epoch=epoch, lost=lost)
    stream = [first, second, third, fourth._replace(epoch=epoch)]
    ran = run(stream, gap_s=1.0)
    phases = [(p.value.phase, p.value.facts.get("why"), p.t_ns) for p in ran.packets]
    assert phases == [
        ("new", None, first.t_ns),
        ("end", why, second.t_ns),
        ("new", None, third.t_ns),
        ("end", "stopped", fourth.t_ns),
    ]
    assert len({event.event for event in ran.values}) == 2


def test_a_model_with_other_labels_ends_what_lasts() -> None:
    other = heard([0, 0, 1], labels=("birds",))[2]
    ran = run([*heard([1, 1]), other])
    assert [(e.phase, e.label, e.facts.get("why")) for e in ran.values] == [
        ("new", "speech", None),
        ("end", "speech", "relabelled"),
        ("new", "birds", None),
        ("end", "birds", "stopped"),
    ]


def test_an_unknown_label_is_told_with_those_that_are_known() -> None:
    """What lasts ends first, although its packet is of no use."""
    stream = [
        *heard([1, 1]),
        *(p._replace(seq=p.seq + 2) for p in heard([1, 1], labels=("birds",))),
    ]
    ran = run(stream, label="speech")
    assert [event.phase for event in ran.values] == ["new", "end"]
    assert ran.dropped == {"unknown_label": 1}
    assert ran.meters.faults == 0
    [problem] = [facts["problem"] for _, _, facts in ran.log.events]
    assert problem == "the model upstream knows no speech; it knows birds"


def test_scores_of_a_machine_are_watched_too() -> None:
    scores = [Score(0.0, ready=False), Score(1.0), Score(2.5), Score(2.2), Score(0.3)]
    stream = list(packets(scores))
    ran = run_stage(Episodes, {"enter": 2.0, "label": "pump", "kind": "alarm"}, stream)
    assert [(e.phase, e.kind, e.label, e.score) for e in ran.values] == [
        ("new", "alarm", "pump", 2.5),
        ("end", "alarm", "pump", 2.5),
    ]
    assert ran.values[1].began_ns == stream[2].t_ns


def test_the_snapshot_is_the_best_picture() -> None:
    pictures = [Image(np.full((2, 2), shade, np.uint8)) for shade in range(5)]
    stream = [
        p._replace(value=Labels(p.value.scores, p.value.labels, picture), span_ns=0)
        for p, picture in zip(heard([0.6, 0.9, 0.7, 0.95, 0]), pictures, strict=False)
    ]
    ran = run(stream)
    assert [event.image for event in ran.values] == [pictures[0], pictures[3]]


def test_windows_that_overlap_stand_for_their_middles() -> None:
    """A sound of half a second is half a second long, whatever the windows' length."""
    step_ns = NS // 4
    scores = [0.0] * 8 + [1.0, 1.0] + [0.0] * 8
    ran = run(heard(scores, step_ns=step_ns, span_ns=NS))
    [(start, end)] = ends(ran, step_ns=NS)
    assert (start, end) == (
        2.25 - 0.625,
        2.5 - 0.375,
    )  # ends of the windows, less half, ± half a step


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"enter": 0.5, "leave": 0.6}, "leave is not higher than enter"),
        ({"hits": 2}, "hits and within_s go together"),
        ({"within_s": 2}, "hits and within_s go together"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EpisodesOptions.model_validate(options)


def silero(
    probabilities: Sequence[float],
    *,
    enter: float,
    leave: float,
    min_s: float,
    gap_s: float,
    pad_s: float,
) -> list[tuple[int, int]]:
    """What `get_speech_timestamps` is documented to find, in samples at 16 kHz, chunks of 512.

    Written from the published parameters (README and docstring of silero-vad 6.2): speech begins
    with a chunk of at least `threshold`; it ends where chunks below `neg_threshold` began, once
    `min_silence_duration_ms` have passed without one of at least `threshold`; speech of up to
    `min_speech_duration_ms` is thrown out; `speech_pad_ms` is added on both sides, at most half of
    the silence between two.
    """
    rate, chunk = 16_000, 512
    found: list[list[int]] = []
    start = silence = None
    for number, probability in enumerate(probabilities):
        now = number * chunk
        if probability >= enter:
            silence = None
            if start is None:
                start = now
        elif probability < leave and start is not None:
            silence = now if silence is None else silence
            if now - silence >= gap_s * rate:
                if silence - start > min_s * rate:
                    found.append([start, silence])
                start = silence = None
    assert start is None, "the examples end with silence"
    pad = int(pad_s * rate)
    total = len(probabilities) * chunk
    for i, stretch in enumerate(found):
        stretch[0] = max(stretch[0] - pad, 0)
        stretch[1] = min(stretch[1] + pad, total)
        assert i == 0 or found[i - 1][1] <= stretch[0], "100 ms of silence hold two pads of 30 ms"
    return [(a, b) for a, b in found]


probabilities = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.34, 0.4, 0.49, 0.5, 0.8, 1.0]), st.integers(1, 12)),
    max_size=20,
).map(lambda runs: [p for p, count in runs for _ in range(count)])


@given(probabilities)
@settings(max_examples=100, deadline=None)
def test_it_finds_what_silero_vad_finds_with_the_same_numbers(found: list[float]) -> None:
    found = [*found, *[0.0] * 8]
    ours = [
        (round(event.began_ns * 16_000 / NS), round(float(event.facts["end_s"]) * 16_000))
        for event, _, _ in directly(heard(found), **SILERO)
        if event.phase == "end"
    ]
    assert ours == silero(found, **SILERO)


@st.composite
def streams(draw: st.DrawFn) -> list[Packet[Labels]]:
    """Two labels, with losses, reopened sources, holes and windows that overlap."""
    t_ns = epoch = 0
    out = []
    for seq in range(draw(st.integers(0, 40))):
        t_ns += draw(st.integers(1, 40)) * 10_000_000
        reopened = draw(st.integers(0, 19)) == 0
        epoch += reopened
        lost = int(draw(st.integers(0, 19)) == 0)
        span_ns = draw(st.sampled_from([0, 50_000_000, 300_000_000]))
        if reopened or lost:  # no window reaches back over a gap
            t_ns += span_ns
        scores = draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
        labels = Labels(np.array(scores, np.float32), ("a", "b"))
        out.append(Packet(labels, "mic", epoch, seq, 0, t_ns, 0, span_ns, lost, ()))
    return out


times = st.sampled_from([0.0, 0.05, 0.3, 1.0])


@given(streams(), times, times, times, times, times, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_laws(
    stream: list[Packet[Labels]],
    smooth_s: float,
    min_s: float,
    gap_s: float,
    pad_s: float,
    update_s: float,
    hits: int,
) -> None:
    told = directly(
        stream,
        enter=0.6,
        leave=0.4,
        smooth_s=smooth_s,
        min_s=min_s,
        gap_s=gap_s,
        pad_s=pad_s,
        update_s=update_s,
        hits=hits,
        within_s=1.0 if hits > 1 else None,
    )
    lasting: dict[str, Event] = {}
    over: dict[str, list[tuple[Any, Any, Any]]] = {"a": [], "b": []}
    ids = []
    last_ns = 0
    for event, t_ns, _ in told:
        assert t_ns >= last_ns, "in order"
        last_ns = t_ns
        if event.phase == "new":
            assert event.label not in lasting, "one at a time"
            lasting[event.label] = event
        else:
            assert lasting[event.label].event == event.event
            assert lasting[event.label].began_ns == event.began_ns
        if event.phase == "end":
            del lasting[event.label]
            ids.append(event.event)
            facts = event.facts
            over[event.label].append((facts["start_s"], facts["end_s"], facts["why"]))
        assert float(event.facts["duration_s"]) >= 0
        assert event.score is not None
        assert event.score >= 0.6 - 1e-6
    assert not lasting, "each ends"
    assert len(set(ids)) == len(ids)
    for stretches in over.values():
        for start_s, end_s, _ in stretches:
            assert start_s <= end_s <= last_ns / NS
            assert end_s - start_s >= min_s - 1e-6
        for (_, end_s, why), (start_s, _, _) in pairwise(stretches):
            if why in {"quiet", "stopped"}:
                assert start_s - end_s >= max(0, gap_s - 2 * pad_s) - 1e-6
