import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgeapp.core.context import Context
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Detections, Features, Score
from edgeapp.errors import Unavailable
from edgeapp.outputs.console import Console, ConsoleOptions

Wrap = Callable[[Any], Packet[Any]]


@pytest.fixture
def printed(
    context: Context, packet: Wrap, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> Callable[[Any], str]:
    """What the console prints for a value."""
    monkeypatch.setenv("TZ", "UTC")
    console = Console(ConsoleOptions(), context)

    def show(value: Any) -> str:
        envelope = b'{"time":"2026-11-22T12:03:04.567Z",'
        console.deliver(envelope + console.encode(packet(value)).body[1:])
        return capsys.readouterr().out

    return show


def test_detections_are_named_with_score_and_place(
    printed: Callable[[Any], str], detections: Detections
) -> None:
    assert printed(detections) == (
        "porch.people              12:03:04  "
        "person 0.87 at 0.31,0.22, dog 0.50 at 0.00,0.50 (yolox_nano) [3 lost before]\n"
    )


def test_a_picture_with_nothing_in_it_says_so(
    printed: Callable[[Any], str], detections: Detections
) -> None:
    assert "  nothing (yolox_nano)" in printed(detections.select(np.array([], np.int32)))


def test_many_detections_are_cut_short(
    printed: Callable[[Any], str], detections: Detections
) -> None:
    assert ", and 2 more" in printed(detections.select(np.array([0, 1, 0, 1, 0])))


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (Score(1.234567), "score 1.23"),
        (Score(0.0, ready=False, progress=0.374), "learning 37%"),
        (Score(float("nan")), "score not a number"),
    ],
)
def test_a_score_is_a_number_or_progress(
    printed: Callable[[Any], str], score: Score, words: str
) -> None:
    assert f"  {words} (" in printed(score)


def test_features_are_shown_with_units(printed: Callable[[Any], str]) -> None:
    names, units = ("x.rms", "x.crest", "y.rms", "y.crest"), ("m/s²", "1", "m/s²", "1")
    line = printed(Features(np.array([0.5, 3.0, 0.25, np.nan]), names, units))
    assert "x.rms 0.5 m/s², x.crest 3, y.rms 0.25 m/s², and 1 more" in line


def test_a_label_cannot_steer_the_terminal(
    printed: Callable[[Any], str], detections: Detections
) -> None:
    evil = Detections(
        detections.xyxy, detections.scores, detections.classes, ("\x1b[2Jperson\n", "dog")
    )
    line = printed(evil)
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_a_closed_standard_output_is_unavailable(
    context: Context, packet: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    console = Console(ConsoleOptions(), context)
    sealed = b'{"time":"2026-11-22T12:03:04.567Z",' + console.encode(packet(Score(1.0))).body[1:]
    with pytest.raises(Unavailable, match="standard output"):
        console.deliver(sealed)
