"""The classifier: what a picture shows as a whole."""

from math import prod

from edgeapp.api import Context, Field, Image, Labels, Tensors, TensorSpec, TensorSpecs, model
from edgeapp.models.decoders.activation import Activation, scores_of
from edgeapp.models.decoders.labels import LabelNames, fitting
from edgeapp.models.picture import FIT, PictureFit, PictureInput, PictureOptions, described


class ClassifierOptions(PictureOptions):
    """What the model wants to see and what its answers mean."""

    labels: LabelNames = Field(
        min_length=1,
        examples=["labels.txt"],
        description="The names of the classes in the model's order: a list, or a text file with "
        "one on each line.",
    )
    fit: PictureFit = Field("stretch", description=FIT)
    activation: Activation = Field(
        "softmax",
        description="What makes scores of the model's answers. softmax: one class is right; "
        "sigmoid: each may be; none: they are scores already.",
    )


@model("classifier")
class Classifier:
    """Say what a picture shows as a whole, with an image classification model."""

    _input: PictureInput

    def __init__(self, options: ClassifierOptions, _context: Context) -> None:
        self._options = options
        self._output = ""

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """See that the model reads one picture and answers with one number for each label.

        Raises:
            ValueError: it does not, or the options do not go with it.
        """
        options = self._options
        self._input = PictureInput(inputs, options)
        counts = {name: n for name, spec in outputs.items() if (n := _count(spec))}
        if len(counts) > 1:  # such as a vector of features beside the scores
            counts = {name: n for name, n in counts.items() if n == len(options.labels)}
        if len(counts) != 1:
            raise ValueError(
                f"expected one output of [1, classes] floats, not {described(outputs)}"
            )
        [(self._output, count)] = counts.items()
        fitting(options.labels, count)
        if count == 1 and options.activation == "softmax":
            raise ValueError("softmax of a single class is always 1: set 'activation: sigmoid'")

    def feed(self, value: Image, /, *, into: Tensors) -> Image:
        """Fit the picture into the model's input."""
        self._input.write(value, into)
        return value

    def decode(self, outputs: Tensors, feed: Image, /) -> Labels:
        """The score of each label.

        Raises:
            BadPacket: the answer cannot be what the options say.
        """
        values = outputs[self._output].reshape(-1)
        return Labels(scores_of(values, self._options.activation), self._options.labels, feed)


def _count(spec: TensorSpec) -> int | None:
    """How many numbers a vector of floats has; None for any other tensor."""
    shape = spec.shape
    if len(shape) > 1:
        if shape[0] not in {1, None}:
            return None
        shape = shape[1:]  # without the batch
    sides = [side for side in shape if side is not None]
    vector = len(sides) == len(shape) and sum(side != 1 for side in sides) <= 1
    return prod(sides) if vector and "float" in spec.dtype else None
