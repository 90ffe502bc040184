"""The sound decoder on made-up models: what it accepts, what it feeds, what it says."""

import re
from typing import Any

import numpy as np
import pytest

from edgeapp.api import BadPacket, Signal, Spectrogram, TensorSpec
from edgeapp.models.decoders.sound import Sound, SoundOptions

Shape = tuple[int | None, ...]
SCORES = {"y": TensorSpec((1, 2), "float32")}


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


def built(**options: Any) -> Sound:
    given = {"labels": ["dog", "cat"], **options}
    return Sound(SoundOptions.model_validate(given), None)  # type: ignore[arg-type] # unused


def signal(count: int, *, rate_hz: float = 16_000.0, channels: int = 1) -> Signal:
    samples = np.arange(channels * count, dtype=np.float32).reshape(channels, count)
    return Signal(samples, rate_hz, ("a", "b")[:channels], ("1",) * channels)


def spectrogram(frames: int, bands: int) -> Spectrogram:
    values = np.arange(frames * bands, dtype=np.float32).reshape(frames, bands)
    return Spectrogram(values, 100.0, tuple(map(float, range(bands))), "log")


def tensors(decoder: Sound, inputs: dict[str, TensorSpec]) -> dict[str, Any]:
    """The tensors that the core would make."""
    return dict(decoder.initial(inputs))


@pytest.mark.parametrize(
    ("shape", "options", "made"),
    [
        ((1, 512), {}, (1, 512)),
        ((None, 512), {}, (1, 512)),
        ((512,), {}, (512,)),
        ((None, None), {"samples": 512}, (1, 512)),
        ((None,), {"samples": 512}, (512,)),
    ],
)
def test_samples_go_in_as_the_model_takes_them(
    shape: Shape, options: dict[str, int], made: Shape
) -> None:
    decoder, inputs = built(**options), {"x": spec(*shape)}
    decoder.accept(inputs, SCORES)
    into = tensors(decoder, inputs)
    assert into["x"].shape == made
    decoder.feed(signal(512), into=into)
    assert into["x"].reshape(-1).tolist() == list(range(512))


@pytest.mark.parametrize("shape", [(1, 4, 3), (None, 4, 3), (1, 1, 4, 3), (None, 4, 3, 1)])
def test_bands_go_in_as_the_model_takes_them(shape: Shape) -> None:
    decoder, inputs = built(), {"x": spec(*shape)}
    decoder.accept(inputs, SCORES)
    into = tensors(decoder, inputs)
    assert into["x"].shape == tuple(size or 1 for size in shape)
    decoder.feed(spectrogram(4, 3), into=into)
    assert into["x"].reshape(-1).tolist() == list(range(12))


def test_constants_stand_in_their_inputs_from_the_first_run_on() -> None:
    inputs = {"x": spec(1, 4), "sr": spec(dtype="int64"), "gain": spec(None, 1)}
    decoder = built(constants={"sr": 16000, "gain": 0.5})
    decoder.accept(inputs, SCORES)
    into = tensors(decoder, inputs)
    assert (into["sr"].shape, into["sr"].dtype, into["sr"].item()) == ((), np.int64, 16000)
    assert (into["gain"].shape, into["gain"].item()) == ((1, 1), 0.5)


@pytest.mark.parametrize(
    ("inputs", "options", "problem"),
    [
        (
            {"x": spec(None, None)},
            {},
            "its input 'x' takes any number of samples; say with 'samples'",
        ),
        ({"x": spec(1, 512)}, {"samples": 500}, "its input 'x' takes 512 samples, not 500"),
        ({"x": spec(1, None, 64)}, {}, "its input 'x' is [1, ?, 64] float32; sound goes in as"),
        (
            {"x": spec(1, 3, 96, 64)},
            {},
            "its input 'x' is [1, 3, 96, 64] float32; sound goes in as",
        ),
        (
            {"x": spec(1, 96, 64)},
            {"samples": 6144},
            "its input 'x' is [1, 96, 64] float32; sound goes",
        ),
        ({"x": spec(1, 512, dtype="int16")}, {}, "its input 'x' is [1, 512] int16, not float32"),
        ({"x": spec(1, 9), "h": spec(2, 4)}, {}, "left are x [1, 9] float32, h [2, 4] float32"),
        (
            {"x": spec(1, 9)},
            {"constants": {"sr": 1}},
            "it has no input 'sr' for a constant; it has x",
        ),
        (
            {"x": spec(1, 9)},
            {"constants": {"x": 1}},
            "its input 'x' is [1, 9] float32, more than one",
        ),
    ],
)
def test_a_model_that_takes_something_else_is_refused(
    inputs: dict[str, TensorSpec], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        built(**options).accept(inputs, SCORES)


@pytest.mark.parametrize(
    ("outputs", "which"),
    [
        ({"y": spec(1, 2)}, "y"),
        ({"y": spec(2)}, "y"),
        ({"y": spec(None, 2), "embedding": spec(1, 1024), "mel": spec(96, 64)}, "y"),
        ({"y": spec(None, None)}, "y"),
        ({"y": spec(1, 2), "open": spec(None, None)}, "y"),
    ],
)
def test_the_output_that_scores_the_labels_is_found(
    outputs: dict[str, TensorSpec], which: str
) -> None:
    decoder = built()
    decoder.accept({"x": spec(1, 4)}, outputs)
    scores = {which: np.array([[0.25, 0.75]], np.float32)}
    assert decoder.decode(scores, None).best() == [("cat", 0.75)]


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({"y": spec(1, 3)}, "none of its outputs gives one score for each of 2 labels"),
        ({"y": spec(1, 2, dtype="int64")}, "none of its outputs gives one score"),
        ({"y": spec(1, 2), "z": spec(1, 2)}, "more than one of its outputs gives one score"),
    ],
)
def test_outputs_that_do_not_fit_the_labels_are_refused(
    outputs: dict[str, TensorSpec], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        built().accept({"x": spec(1, 4)}, outputs)


@pytest.mark.parametrize(
    ("shape", "value", "problem", "reason"),
    [
        (
            (1, 512),
            signal(512, rate_hz=44_100.0),
            "put 'transform: resample' with 'rate_hz: 16000'",
            "wrong_rate",
        ),
        ((1, 512), signal(512, channels=2), "hears one channel, not 2", "wrong_channels"),
        ((1, 512), signal(500), "'transform: window' with 'length_samples: 512'", "wrong_shape"),
        ((1, 512), spectrogram(4, 3), "hears 512 samples, not bands", "wrong_shape"),
        ((1, 4, 3), signal(12), "put 'transform: logmel' before it", "wrong_shape"),
        ((1, 4, 3), spectrogram(3, 4), "hears 4 frames of 3 bands, not 3 of 4", "wrong_shape"),
    ],
)
def test_a_window_that_the_model_cannot_hear_is_refused(
    shape: Shape, value: Signal | Spectrogram, problem: str, reason: str
) -> None:
    decoder, inputs = built(rate_hz=16_000), {"x": spec(*shape)}
    decoder.accept(inputs, SCORES)
    with pytest.raises(BadPacket, match=re.escape(problem)) as caught:
        decoder.feed(value, into=tensors(decoder, inputs))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("activation", "raw", "scores"),
    [
        ("none", [0.25, 0.5], [0.25, 0.5]),
        ("sigmoid", [0.0, -1000.0], [0.5, 0.0]),
        ("softmax", [1000.0, 1000.0], [0.5, 0.5]),
    ],
)
def test_activation_makes_scores(activation: str, raw: list[float], scores: list[float]) -> None:
    decoder = built(activation=activation)
    decoder.accept({"x": spec(1, 4)}, SCORES)
    answer = decoder.decode({"y": np.array([raw], np.float32)}, None)
    assert answer.labels == ("dog", "cat")
    assert answer.scores.tolist() == pytest.approx(scores)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([[-3.0, 5.0]], "which are no scores of 0..1: set 'activation:"),
        ([[float("nan"), 0.0]], "is not finite"),
        ([[0.1, 0.2, 0.3]], "scores 3 classes, but 'labels' names 2"),
    ],
)
def test_answers_that_are_no_scores_are_refused(given: list[list[float]], problem: str) -> None:
    decoder = built()
    decoder.accept({"x": spec(1, 4)}, {"y": spec(None, None)})
    with pytest.raises(BadPacket, match=re.escape(problem)):
        decoder.decode({"y": np.array(given, np.float32)}, None)
