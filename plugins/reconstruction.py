"""A decoder for model stages: how badly an autoencoder reproduces a stretch of signal.

stages:
  ...
  second:  {transform: window, length_samples: 1024, hop_s: 0.5}
  strange: {model: reconstruction, usual_error: 0.02, variants: [autoencoder.onnx]}
"""

import numpy as np

from edgeapp.api import (
    BadPacket,
    Context,
    Field,
    Options,
    Score,
    Signal,
    Tensors,
    TensorSpecs,
    model,
)

DIMENSIONS = 3


class ReconstructionOptions(Options):
    """What is usual. With several variants, each may have its own."""

    usual_error: float = Field(
        gt=0,
        description="Root-mean-square error on the healthy machine, in the signal's unit; "
        "a score of 1 stands for this.",
    )


@model("reconstruction")
class Reconstruction:
    """Score a signal by the error with which an autoencoder reproduces it.

    The model takes and gives one float32 tensor of shape (1, channels, samples).
    """

    def __init__(self, options: ReconstructionOptions, context: Context) -> None:
        del context  # a decoder is pure: the core owns the session and the timing
        self._usual_error = options.usual_error

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Look at the model before it is used; a ValueError is shown to the user.

        Raises:
            ValueError: it is no such autoencoder.
        """
        if not len(inputs) == len(outputs) == 1:
            raise ValueError("an autoencoder has one input and one output")
        [(self._input, given)] = inputs.items()
        [(self._output, made)] = outputs.items()
        if given.dtype != "float32" or len(given.shape) != DIMENSIONS or made.shape != given.shape:
            raise ValueError(
                f"input and output must be float32 of shape (1, channels, samples), not "
                f"{given.dtype} {given.shape} and {made.dtype} {made.shape}"
            )

    def feed(self, value: Signal, /, *, into: Tensors) -> Signal:
        """Write the input tensor; what is returned comes back in `decode`."""
        tensor = into[self._input][0]
        if tensor.shape != value.samples.shape:
            raise BadPacket(
                f"the model takes (channels, samples) = {tensor.shape}, not {value.samples.shape}; "
                "set the window's length_samples",
                reason="wrong_shape",
            )
        tensor[...] = value.samples
        return value

    def decode(self, outputs: Tensors, feed: Signal, /) -> Score:
        """The score; its parts are the errors of the channels."""
        errors = np.sqrt(np.mean(np.square(outputs[self._output][0] - feed.samples), axis=1))
        return Score(
            float(np.sqrt(np.mean(np.square(errors)))) / self._usual_error,
            parts=dict(zip(feed.channels, errors.tolist(), strict=True)),
        )
