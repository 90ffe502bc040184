import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeapp.transforms._pca import Baseline, Components

Floats = NDArray[np.float64]


def normal(count: int, seed: int = 1) -> Floats:
    """Six features that follow two causes, and a little noise, far from 0 and of unlike size."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(2, 6))
    rows = rng.normal(size=(count, 2)) @ mix + rng.normal(scale=0.1, size=(count, 6))
    return np.asarray(rows * [1, 10, 1e-3, 1, 5, 1e4] + [5, 100, 0, -3, 7, 1e5])


def alarms(baseline: Baseline, rows: Floats) -> float:
    return float(np.mean([baseline.judge(row).value > 1 for row in rows]))


def test_components_hold_the_variance_that_was_asked_for() -> None:
    rows = normal(500)
    assert Components.fit(rows, 0.9).loadings.shape == (6, 2)
    assert Components.fit(rows, 0.9999).loadings.shape[1] > 2


def test_t2_and_q_equal_their_definitions() -> None:
    """T² is Mahalanobis' distance in the components, T² + residual in all of them."""
    rows = normal(300)
    parts = Components.fit(rows, 0.9)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    values, vectors = np.linalg.eigh(np.cov(scaled.T, bias=True))
    scores = scaled @ vectors[:, -2:]
    t2, q = parts.distances(rows)
    np.testing.assert_allclose(t2, (scores**2 / values[-2:]).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(q, (scaled**2).sum(axis=1) - (scores**2).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("quantile", [0.9, 0.99])
def test_as_many_new_normal_windows_are_let_through_as_was_asked_for(quantile: float) -> None:
    """Each of the two limits lets `quantile` through, so both together a little less."""
    baseline = Baseline.learn(normal(2000), quantile=quantile)
    rate = alarms(baseline, normal(4000, seed=2))
    assert 0.9 * (1 - quantile) < rate < 2.3 * (1 - quantile)


def test_few_windows_do_not_alarm_more_because_their_components_fit_them_well() -> None:
    """Forty windows of thirty features: limits from the same windows would be far too tight."""
    rng = np.random.default_rng(4)
    baseline = Baseline.learn(rng.normal(size=(40, 30)))
    assert alarms(baseline, rng.normal(size=(500, 30))) < 0.1


def test_a_pattern_that_never_occurred_shows_in_q_and_names_the_feature() -> None:
    rows = normal(500)
    baseline = Baseline.learn(rows)
    row = rows.mean(axis=0)
    row[3] += 0.7
    judgement = baseline.judge(row)
    assert judgement.q > 1 > judgement.t2
    assert judgement.shares.argmax() == 3
    assert judgement.shares.sum() == pytest.approx(1)


def test_an_unusual_amount_of_what_always_varied_shows_in_t2() -> None:
    rows = normal(500)
    baseline = Baseline.learn(rows)
    more = rows.mean(axis=0) + 6 * (normal(1, seed=3)[0] - rows.mean(axis=0))
    judgement = baseline.judge(more)
    assert judgement.t2 > 1
    assert judgement.value == pytest.approx(math.sqrt(max(judgement.t2, judgement.q)))


def test_a_few_knocks_while_learning_do_not_widen_the_limits() -> None:
    clean, knocked = normal(200), normal(200)
    knocked[[50, 120]] *= 40
    strict, robust = Baseline.learn(clean), Baseline.learn(knocked)
    assert robust.t2_limit < 2 * strict.t2_limit
    assert robust.q_limit < 2 * strict.q_limit
    assert robust.judge(knocked[50]).value > 100


def test_features_that_never_varied_alarm_when_they_move_and_not_before() -> None:
    rows = np.column_stack([normal(100), np.full(100, 5.0), np.zeros(100)])
    baseline = Baseline.learn(rows)
    assert alarms(baseline, rows) < 0.05
    for column, moved in ((6, 5.5), (7, 0.1)):
        row = rows[0].copy()
        row[column] = moved
        assert baseline.judge(row).value > 1


def test_a_machine_that_stands_still_can_be_learned() -> None:
    baseline = Baseline.learn(np.tile([0.0, 1.0, 9.81], (30, 1)))
    assert baseline.judge(np.array([0.0, 1.0, 9.81])).value == 0
    assert baseline.judge(np.array([0.5, 1.0, 9.81])).value > 1


@pytest.mark.parametrize(
    ("rows", "says"), [(np.zeros((19, 3)), "20 are"), (np.full((30, 3), np.nan), "NaN")]
)
def test_what_cannot_be_learned_is_refused(rows: Floats, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Baseline.learn(rows)
