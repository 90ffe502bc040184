import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.cli import words
from edgeapp.core.payload import Score
from tests.cli import scenes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1.5 h", 5400),
        ("250ms", 0.25),
        ("7", 7),
        ("1d", 86400),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert words.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "soon", "5 x", "s", "1e3s", "nan"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it as in 30s, 5m or 2h"):
        words.seconds_of(text)


@given(st.floats(0, 99_999))
def test_a_rate_fits_its_column(per_s: float) -> None:
    assert len(words.rate(per_s)) <= 7
    assert abs(float(words.rate(per_s).replace(",", "")) - per_s) <= max(0.051, per_s / 100)


@given(st.floats(0, 9_999_999))
def test_a_latency_fits_its_column(value_ms: float) -> None:
    assert len(words.milliseconds(value_ms)) <= 8


def test_stretches_of_time() -> None:
    assert [words.span(s) for s in (0.25, 2.0, 2.5, 59.0, 65.0, 7384.0)] == [
        "250 ms",
        "2 s",
        "2.5 s",
        "59 s",
        "1:05",
        "2:03:04",
    ]


def test_many_detections_are_counted_beyond_the_third() -> None:
    found = scenes.found(a=0.9, b=0.8, c=0.7, d=0.6, e=0.5)
    assert words.result(found) == "a 0.90, b 0.80, c 0.70, 2 more"
    assert words.result(scenes.found()) == "nothing found"


def test_learning_is_a_percentage() -> None:
    assert words.result(Score(0.0, ready=False, progress=0.37)) == "learning 37 %"


def test_what_has_no_words_is_silent() -> None:
    assert words.result(object()) == ""
