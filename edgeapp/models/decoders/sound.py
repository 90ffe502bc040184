"""The sound decoder: how much a stretch of sound is like each label, from samples or bands."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import (
    BadPacket,
    Context,
    Field,
    Labels,
    Options,
    Signal,
    Spectrogram,
    Tensors,
    TensorSpec,
    TensorSpecs,
    model,
)
from edgeapp.models.decoders.activation import Activation, scores_of
from edgeapp.models.decoders.labels import LabelNames


class SoundOptions(Options):
    """What the model was trained to hear, and what it answers."""

    labels: LabelNames = Field(
        min_length=1,
        examples=["labels.txt"],
        description="The names of the classes in the model's order: a list, or a text file with "
        "one on each line.",
    )
    samples: int | None = Field(
        None,
        ge=1,
        le=1 << 24,
        description="How many samples the model takes at a time, if it takes samples and does not "
        "say itself how many.",
    )
    rate_hz: float | None = Field(
        None,
        gt=0,
        description="Samples per second that the model was trained with; a signal of another rate "
        "is refused.",
    )
    constants: dict[str, float] = Field(
        default={},
        description="Inputs of the model that always hold the same number, such as {sr: 16000}.",
    )
    activation: Activation = Field(
        "none",
        description="What makes scores from 0 to 1 of the model's answers: none if they are that; "
        "sigmoid, each by itself; softmax, together 1.",
    )


@model("sound")
class Sound:
    """Tell what is heard, with a model of sounds or speech such as YAMNet or Silero VAD.

    Reads windows of one channel, or of log-mel bands, each of the length that the model takes.
    Without memory: smoothing, hits and hysteresis are those of `transform: episodes`, which stays
    as it is when another variant answers.
    """

    def __init__(self, options: SoundOptions, _context: Context) -> None:
        self._options = options
        self._input = ""
        self._shape: tuple[int, ...] = ()
        self._hears: tuple[int, ...] = ()
        """(samples,) or (frames, bands)."""
        self._output = ""

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Find the input that takes sound and the output that scores the labels.

        Raises:
            ValueError: the model reads no single sound of a known size, or scores another number
                of classes than there are labels.
        """
        self._input, spec = _sound_input(inputs, self._options.constants)
        self._shape, self._hears = _layout(self._input, spec, self._options.samples)
        self._output = _scores_output(outputs, len(self._options.labels))

    def initial(self, inputs: TensorSpecs, /) -> Tensors:
        """The constants, and silence of the length that the model takes."""
        first: dict[str, NDArray[Any]] = {self._input: np.zeros(self._shape, np.float32)}
        for name, value in self._options.constants.items():
            shape = [1 if size is None else size for size in inputs[name].shape]
            first[name] = np.full(shape, value, inputs[name].dtype)
        return first

    def feed(self, value: Signal | Spectrogram, /, *, into: Tensors) -> None:
        """Copy the window into the model's input.

        Raises:
            BadPacket: it is none that the model can hear; says what to put before.
        """
        if isinstance(value, Signal):
            self._refuse_signal(value)
            window = value.samples[0]
        else:
            self._refuse_spectrogram(value)
            window = value.values
        into[self._input].reshape(self._hears)[...] = window

    def decode(self, outputs: Tensors, feed: None, /) -> Labels:
        """The score of each label.

        Raises:
            BadPacket: the model gave no such scores.
        """
        scores = outputs[self._output].reshape(-1)
        labels = self._options.labels
        if len(scores) != len(labels):
            raise BadPacket(
                f"the model scores {len(scores)} classes, but 'labels' names {len(labels)}",
                reason="no_scores",
            )
        return Labels(scores_of(scores, self._options.activation), labels)

    def _refuse_signal(self, signal: Signal) -> None:
        if len(self._hears) != 1:
            frames, bands = self._hears
            raise BadPacket(
                f"the model hears {frames} frames of {bands} bands, not samples: put "
                "'transform: logmel' before it",
                reason="wrong_shape",
            )
        [samples] = self._hears
        rate_hz = self._options.rate_hz
        channels, count = signal.samples.shape
        if rate_hz is not None and signal.rate_hz != rate_hz:
            raise BadPacket(
                f"the model was trained at {rate_hz:g} Hz and this signal has {signal.rate_hz:g}: "
                f"put 'transform: resample' with 'rate_hz: {rate_hz:g}' before the window",
                reason="wrong_rate",
            )
        if channels != 1:
            raise BadPacket(
                f"the model hears one channel, not {channels}: mix them at the "
                "source with 'channels: mono'",
                reason="wrong_channels",
            )
        if count != samples:
            raise BadPacket(
                f"the model hears {samples} samples at a time, not {count}: put "
                f"'transform: window' with 'length_samples: {samples}' before it",
                reason="wrong_shape",
            )

    def _refuse_spectrogram(self, spectrogram: Spectrogram) -> None:
        if spectrogram.values.shape == self._hears:
            return
        frames, bands = spectrogram.values.shape
        if len(self._hears) == 1:
            problem = f"the model hears {self._hears[0]} samples, not bands: remove what makes them"
        else:
            problem = (
                f"the model hears {self._hears[0]} frames of {self._hears[1]} bands, not {frames} "
                f"of {bands}: change the window or the bands before it"
            )
        raise BadPacket(problem, reason="wrong_shape")


def _sound_input(inputs: TensorSpecs, constants: dict[str, float]) -> tuple[str, TensorSpec]:
    """The one input that is neither constant nor carried."""
    for name in constants:
        if name not in inputs:
            listed = ", ".join(inputs) or "none"
            raise ValueError(f"it has no input '{name}' for a constant; it has {listed}")
        spec = inputs[name]
        if prod(size or 1 for size in spec.shape) != 1:
            raise ValueError(f"its input '{name}' is {spec}, more than one constant number")
    left = {name: spec for name, spec in inputs.items() if name not in constants}
    if len(left) != 1:
        described = ", ".join(f"{name} {spec}" for name, spec in left.items()) or "none"
        raise ValueError(
            f"one input takes the sound, and the others stand under 'constants' or come back from "
            f"an output by 'carry'; left are {described}"
        )
    [(name, spec)] = left.items()
    if spec.dtype != "float32":
        raise ValueError(f"its input '{name}' is {spec}, not float32")
    return name, spec


def _layout(
    name: str, spec: TensorSpec, samples: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of the sound input, and what of it is heard: (samples,) or (frames, bands)."""
    match spec.shape:
        case (length,):
            heard = _length(name, length, samples)
            return (heard,), (heard,)
        case (1 | None, length):
            heard = _length(name, length, samples)
            return (1, heard), (heard,)
        case (
            (1 | None, int(frames), int(bands))
            | (1 | None, 1, int(frames), int(bands))
            | (1 | None, int(frames), int(bands), 1)
        ) if samples is None:
            return (1, *(size or 1 for size in spec.shape[1:])), (frames, bands)
    kinds = "[1, samples] or [samples]"
    if samples is None:
        kinds += ", [1, frames, bands], [1, 1, frames, bands] or [1, frames, bands, 1]"
    raise ValueError(f"its input '{name}' is {spec}; sound goes in as {kinds}, float32")


def _length(name: str, length: int | None, samples: int | None) -> int:
    if length is None and samples is None:
        raise ValueError(
            f"its input '{name}' takes any number of samples; say with 'samples' how many it was "
            "trained with"
        )
    if length is not None and samples not in {None, length}:
        raise ValueError(f"its input '{name}' takes {length} samples, not {samples}")
    return length or samples or 0


def _scores_output(outputs: TensorSpecs, count: int) -> str:
    """The output that has one score for each label."""
    fitting = [name for name, spec in outputs.items() if _may_score(spec, count)]
    exact = [name for name in fitting if outputs[name].shape[-1:] == (count,)]
    chosen = exact or fitting
    if len(chosen) == 1:
        return chosen[0]
    described = ", ".join(f"{name} {spec}" for name, spec in outputs.items())
    which = "none of its outputs gives" if not chosen else "more than one of its outputs gives"
    raise ValueError(
        f"{which} one score for each of {count} labels; they are {described}. Give the labels that "
        "it was trained with"
    )


def _may_score(spec: TensorSpec, count: int) -> bool:
    sizes = [size for size in spec.shape if size not in {1, None}]
    return spec.dtype.startswith("float") and (
        sizes == [count] or (not sizes and (count == 1 or None in spec.shape))
    )
