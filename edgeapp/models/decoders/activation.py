"""From a model's answers to scores of 0..1."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import BadPacket

Activation = Literal["softmax", "sigmoid", "none"]

_SLACK = 1e-3
"""By how much rounding may take scores out of 0..1, or their sum away from 1."""


def sigmoid(values: NDArray[Any]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow."""
    with np.errstate(under="ignore"):
        return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float32))), np.float32)


def softmax(values: NDArray[Any]) -> NDArray[np.float32]:
    """exp(x) / sum(exp(x)), without overflow. `values`: (n,)."""
    with np.errstate(under="ignore"):
        powers = np.exp(np.asarray(values, np.float32) - values.max())
    return np.asarray(powers / powers.sum(), np.float32)


def scores_of(values: NDArray[Any], activation: Activation) -> NDArray[np.float32]:
    """The scores, (n,) float32 of 0..1, of a model's answer, (n,).

    Raises:
        BadPacket: the answer is not finite, or plainly not of the kind that the activation is for:
            taken as it is it leaves 0..1, or it would go through softmax twice.
    """
    if not np.isfinite(values).all():
        raise BadPacket("the model's answer is not finite", reason="not_finite")
    if activation == "sigmoid":
        return sigmoid(values)
    within = values.min() >= -_SLACK and values.max() <= 1 + _SLACK
    if activation == "none":
        if not within:
            raise not_scores(values)
        return np.asarray(np.clip(values, 0, 1), np.float32)
    if within and abs(values.sum() - 1) <= _SLACK:
        raise BadPacket(
            "the model's answers are scores already, which softmax would blur: set 'activation: "
            "none'",
            reason="wrong_activation",
        )
    return softmax(values)


def not_scores(values: NDArray[Any]) -> BadPacket:
    """The complaint about answers that are no scores although they should be."""
    return BadPacket(
        f"the model's answers lie between {values.min():.3g} and {values.max():.3g}, which are no "
        "scores of 0..1: set 'activation: softmax', or 'sigmoid' where classes do not exclude each "
        "other",
        reason="wrong_activation",
    )
