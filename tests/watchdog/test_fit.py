"""A prior comes from a recording, or a sentence that says what the recording lacks."""

import random
from math import nan

import pytest

from edgeapp.watchdog.fit import Fit, FitError, Sample, fit_prior
from edgeapp.watchdog.limits import Prior
from tests.watchdog.toy_plant import ToyPlant

BASE = Prior("toy")


def recording(loads: list[tuple[float, int]], *, seed: int = 1) -> list[Sample]:
    device = ToyPlant(seed=seed)
    samples: list[Sample] = []
    for cores, seconds in loads:
        for _ in range(seconds):
            real = device.tick(cores)
            samples.append(Sample(float(len(samples)), device.read(), real))
    return samples


CALIBRATION = [(0.2, 120), (2.0, 300), (0.2, 180)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_minutes_tell_gains_and_times(seed: int) -> None:
    found = fit_prior(recording(CALIBRATION, seed=seed), BASE, ambient_c=25.0)
    assert found.residual_c < 0.6
    assert found.gain_error < 0.05
    assert found.samples == 600
    # In full: 11 K/W * 1.07 W; ten minutes do not show what the case does in hours.
    assert 8.0 < found.prior.board_k_per_core < 14.0
    assert found.prior.die_k_per_core == pytest.approx(2.7, rel=0.2)
    assert 150.0 < found.prior.board_tau_s < 500.0
    assert found.prior.idle_k == pytest.approx(30.0, abs=4.0)


def test_what_was_fitted_foretells_another_recording() -> None:
    fitted = fit_prior(recording(CALIBRATION), BASE, ambient_c=25.0).prior
    board = fitted.ambient_c + fitted.idle_k + fitted.board_k_per_core * 0.2
    plant = ToyPlant(seed=9)
    for _ in range(200):
        plant.tick(1.5)
        board += (
            fitted.ambient_c + fitted.idle_k + fitted.board_k_per_core * 1.5 - board
        ) / fitted.board_tau_s
    assert board + fitted.die_k_per_core * 1.5 == pytest.approx(plant.die_c, abs=1.5)


def test_outliers_and_gaps_are_survived() -> None:
    rnd = random.Random(3)
    samples = [
        sample._replace(die_c=100.0) if rnd.random() < 0.03 else sample
        for sample in recording(CALIBRATION)
        if rnd.random() > 0.1
    ]
    clean = fit_prior(recording(CALIBRATION), BASE)
    found = fit_prior(samples, BASE)
    assert found.prior.board_k_per_core == pytest.approx(clean.prior.board_k_per_core, rel=0.2)


def test_what_cannot_be_used_is_skipped_and_counted() -> None:
    samples = recording(CALIBRATION)
    bad = [
        Sample(-5.0, 50.0, 1.0),
        Sample(nan, 50.0, 1.0),
        Sample(9e9, None, 1.0),
        Sample(9e9, nan, 1.0),
        Sample(9e9, -89.7 * 2, 1.0),
        Sample(9e9, 50.0, nan),
        Sample(9e9, 50.0, -1.0),
    ]
    found: Fit = fit_prior([*samples, *bad], BASE)
    assert found.skipped == len(bad)
    assert found.samples == len(samples)


def test_without_the_temperature_of_the_room_the_idle_rise_is_kept() -> None:
    found = fit_prior(recording(CALIBRATION), BASE)
    assert found.prior.idle_k == pytest.approx(BASE.idle_k)
    assert found.prior.ambient_c == pytest.approx(27.0, abs=4.0)


@pytest.mark.parametrize(
    ("loads", "words"),
    [
        ([(1.0, 600)], "load hardly changes"),
        ([(0.1, 20), (2.0, 20)], "too few"),
        ([], "too few"),
    ],
)
def test_a_recording_that_cannot_tell_is_refused_with_what_to_do(
    loads: list[tuple[float, int]], words: str
) -> None:
    with pytest.raises(FitError, match=words) as failure:
        fit_prior(recording(loads), BASE)
    assert "record" in str(failure.value)


def test_a_sensor_of_something_else_is_refused() -> None:
    rnd = random.Random(1)
    samples = [
        sample._replace(die_c=40.0 + rnd.gauss(0.0, 0.5)) for sample in recording(CALIBRATION)
    ]
    with pytest.raises(FitError, match="does not follow the load"):
        fit_prior(samples, BASE)
