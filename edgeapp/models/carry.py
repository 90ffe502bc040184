"""State of recurrent models: what an output gave goes back into an input at the next run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.stage import Decoder, Tensors, TensorSpec, TensorSpecs
from edgeapp.document.words import did_you_mean

Carry = Mapping[str, str]
"""Name of an output → name of the input that takes it at the next run."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a pair of `carry` does not fit a model."""

    output: str
    """Which pair."""
    of_input: bool
    """Whether its second name is to blame."""
    problem: str
    """In words that follow the file's name."""
    remedy: str


def misfits(carry: Carry, inputs: TensorSpecs, outputs: TensorSpecs) -> Iterator[Misfit]:
    """What of `carry` this model cannot do."""
    taken: dict[str, str] = {}
    for output, name in carry.items():
        if output not in outputs:
            remedy = did_you_mean(output, outputs, heading="Outputs")
            yield Misfit(output, False, f"has no output '{output}'", remedy)
        if name not in inputs:
            remedy = did_you_mean(name, inputs, heading="Inputs")
            yield Misfit(output, True, f"has no input '{name}'", remedy)
        elif name in taken:
            problem = f"cannot take both '{taken[name]}' and '{output}' as '{name}'"
            yield Misfit(output, True, problem, "carry one of them")
        elif output in outputs and _shape(outputs[output], inputs[name]) is None:
            problem = f"gives '{output}' as {outputs[output]}, but takes '{name}' as {inputs[name]}"
            yield Misfit(output, True, problem, "what is carried must fit where it goes")
        taken[name] = output


def first_tensors(
    decoder: Decoder[Any, Any, Any],
    carry: Carry,
    inputs: TensorSpecs,
    outputs: TensorSpecs,
) -> Tensors:
    """Let a decoder look at a model; what the inputs hold at first, where not plain zeros.

    Raises:
        ValueError: the model is not one for this decoder, or cannot carry that; says why.
    """
    state = _state(carry, inputs, outputs)
    own_inputs, own_outputs = _rest(carry, inputs, outputs)
    decoder.accept(own_inputs, own_outputs)
    initial = getattr(decoder, "initial", None)
    return state if initial is None else {**initial(own_inputs), **state}


def _rest(
    carry: Carry, inputs: TensorSpecs, outputs: TensorSpecs
) -> tuple[TensorSpecs, TensorSpecs]:
    """The inputs and outputs that are not carried: the decoder's."""
    carried = set(carry.values())
    return (
        {name: spec for name, spec in inputs.items() if name not in carried},
        {name: spec for name, spec in outputs.items() if name not in carry},
    )


def _state(carry: Carry, inputs: TensorSpecs, outputs: TensorSpecs) -> Tensors:
    """What the carried inputs hold at first. Dimensions that are open at both ends are 1.

    Raises:
        ValueError: the model cannot carry that; says why.
    """
    for wrong in misfits(carry, inputs, outputs):
        raise ValueError(f"it {wrong.problem}; {wrong.remedy}")
    return {name: _zeros(inputs[name], outputs[output]) for output, name in carry.items()}


def _zeros(taken: TensorSpec, given: TensorSpec) -> NDArray[Any]:
    shape = _shape(given, taken)
    assert shape is not None, "misfits() was asked before"
    return np.zeros([1 if size is None else size for size in shape], taken.dtype)


def _shape(given: TensorSpec, taken: TensorSpec) -> list[int | None] | None:
    """The shape that an output and an input have in common, if there is one."""
    if given.dtype != taken.dtype or len(given.shape) != len(taken.shape):
        return None
    pairs = list(zip(given.shape, taken.shape, strict=True))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return None
    return [a if b is None else b for a, b in pairs]
