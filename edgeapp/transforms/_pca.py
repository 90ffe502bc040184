"""What was normal: a baseline in principal components, and how far from it something is.

T² (Hotelling) is the distance within the components, Q (squared prediction error) the distance
from them: J. E. Jackson, G. S. Mudholkar, "Control procedures for residuals associated with
principal component analysis", Technometrics 21 (1979). Their limits are not the textbook's, which
hold for Gaussian features: they are quantiles of T² and Q of learned windows that the components
did not see.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_ROWS = 20
"""Fewer windows say nothing of how much they vary."""

_FOLDS = 5
_ODD = 100.0
"""So many times the median of T² or Q is no part of normal..."""
_MOST_ODD = 0.05
"""...unless it happens more often than this."""
_STILL = 1e-6
"""A spread this small against the level is no spread."""
_STILL_STEP = 0.01
"""How much a feature that never varied may move, as a fraction of its level."""
_TINY = 1e-9
_LEAST_LIMIT = 0.01
"""Of T² and Q: a feature off by a tenth of its usual spread is normal, however exactly the others
foretell it; otherwise rounding would alarm where they do so to the last digit."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One window against a baseline. 1.0 is the edge of normal."""

    t2: float
    """T² / its limit: an unusual amount of what varied while learning."""
    q: float
    """Q / its limit: a combination that did not occur while learning."""
    shares: Floats
    """(features,): how much each feature adds to the larger of the two; the sum is 1."""

    @property
    def value(self) -> float:
        """The square root of the larger one: both are squares, so it grows as the deviation does."""
        return math.sqrt(max(self.t2, self.q))


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components of standardised features."""

    mean: Floats
    scale: Floats
    loadings: Floats
    """(features, components), orthonormal columns."""
    variances: Floats
    """(components,)"""

    @classmethod
    def fit(cls, rows: Floats, variance: float) -> Self:
        """The components that hold this fraction of the variance of `rows` (windows, features)."""
        mean = rows.mean(axis=0)
        spread = rows.std(axis=0)
        level = np.abs(mean)
        scale = np.where(spread > _STILL * level + _TINY, spread, _STILL_STEP * level + _TINY)
        _, singular, transposed = np.linalg.svd((rows - mean) / scale, full_matrices=False)
        variances = singular**2 / len(rows)
        total = variances.sum()
        explained = np.cumsum(variances) / total if total > 0 else np.ones_like(variances)
        kept = min(int(np.searchsorted(explained, variance)) + 1, len(variances))
        kept = int(np.sum(variances[:kept] > _TINY))
        return cls(mean, scale, transposed[:kept].T, variances[:kept])

    def distances(self, rows: Floats) -> tuple[Floats, Floats]:
        """T² and Q of each row."""
        scaled = (rows - self.mean) / self.scale
        scores = scaled @ self.loadings
        residual = scaled - scores @ self.loadings.T
        return np.sum(scores**2 / self.variances, axis=1), np.sum(residual**2, axis=1)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was normal while learning."""

    components: Components
    t2_limit: float
    q_limit: float

    @classmethod
    def learn(cls, rows: Floats, *, variance: float = 0.9, quantile: float = 0.99) -> Self:
        """Learn from `rows` (windows, features) float64, oldest first.

        `variance`: fraction of it that the components hold. `quantile`: fraction of normal windows
        that each limit should let through. The limits come from leaving out one fifth of the time
        after the other, so that neighbours, which are alike, do not vouch for each other. A few
        windows far from all others, such as a start or a knock, are not learned.

        Raises:
            ValueError: fewer than `LEAST_ROWS` windows, or one that is not finite.
        """
        if len(rows) < LEAST_ROWS:
            raise ValueError(f"{len(rows)} windows are not enough to learn from: {LEAST_ROWS} are")
        if not np.isfinite(rows).all():
            raise ValueError("a window to learn from holds NaN or infinity")
        t2, q = _left_out(rows, variance)
        odd = (t2 > _ODD * np.median(t2)) | (q > _ODD * np.median(q))
        if 0 < odd.sum() <= _MOST_ODD * len(rows):
            rows = rows[~odd]
            t2, q = _left_out(rows, variance)
        return cls(
            Components.fit(rows, variance),
            max(_LEAST_LIMIT, float(np.quantile(t2, quantile))),
            max(_LEAST_LIMIT, float(np.quantile(q, quantile))),
        )

    def judge(self, values: Floats) -> Judgement:
        """Compare one window's features, (features,) float64."""
        parts = self.components
        scaled = (values - parts.mean) / parts.scale
        scores = scaled @ parts.loadings
        residual = scaled - parts.loadings @ scores
        weighted = scores / parts.variances
        t2 = float(scores @ weighted)
        q = float(residual @ residual)
        if t2 / self.t2_limit > q / self.q_limit:
            # The complete decomposition: what each feature adds to the sum, never below 0 here.
            shares = np.maximum(scaled * (parts.loadings @ weighted), 0)
        else:
            shares = residual**2
        total = float(shares.sum())
        return Judgement(
            t2 / self.t2_limit, q / self.q_limit, shares / total if total > 0 else shares
        )


def _left_out(rows: Floats, variance: float) -> tuple[Floats, Floats]:
    """T² and Q of each row, by the components of the other four fifths of the time."""
    distances = []
    for fold in np.array_split(np.arange(len(rows)), _FOLDS):
        others = Components.fit(np.delete(rows, fold, axis=0), variance)
        distances.append(others.distances(rows[fold]))
    t2, q = (np.concatenate(each) for each in zip(*distances, strict=True))
    return t2, q
