"""Bearing faults made up by the `bearing` source, found by `window` and `features`."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import signal as scipy_signal

from edgeapp.core.bearing import BearingGeometry
from edgeapp.sources.bearing import Bearing
from edgeapp.testing import run_source, run_stage
from edgeapp.transforms.features import FeaturesOfSignal
from edgeapp.transforms.window import Window

RATE_HZ = 12_000.0
SPEED_RPM = 1797.0
SHAFT_HZ = SPEED_RPM / 60
ORDERS = BearingGeometry().orders()
STRIKES_HZ = {
    "outer": ORDERS.outer * SHAFT_HZ,
    "inner": ORDERS.inner * SHAFT_HZ,
    "ball": 2 * ORDERS.spin * SHAFT_HZ,
}


@cache
def blocks(fault: str, seed: int) -> Any:
    """Two seconds with 1 % slip, as packets."""
    options = {
        "rate_hz": RATE_HZ,
        "speed_rpm": SPEED_RPM,
        "fault": fault,
        "slip": 0.01,
        "seed": seed,
        "duration_s": 2.0,
        "speed": "fast",
    }
    return tuple(run_source(Bearing, options).packets)


def features_of(fault: str, seed: int) -> dict[str, float]:
    """As a pipeline measures them; looks for lines within 5 %, so that 2 % is a finding."""
    windows = run_stage(Window, {"length_s": 2.0}, blocks(fault, seed)).packets
    options = {"bearing": {}, "speed_rpm": SPEED_RPM, "slip": 0.05, "envelope_hz": [2500, 4500]}
    (features,) = run_stage(FeaturesOfSignal, options, windows).values
    return dict(zip(features.names, features.values.tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fault", ["outer", "inner", "ball"])
def test_with_one_percent_slip_a_fault_is_found_within_two_percent(fault: str, seed: int) -> None:
    """Its line is where it should be, and stands out from the same machine without the fault."""
    found, healthy = features_of(fault, seed), features_of("none", seed)
    assert found[f"x.{fault}_hz"] == pytest.approx(STRIKES_HZ[fault], rel=0.02)
    for harmonic in 1, 2, 3:
        assert found[f"x.{fault}_{harmonic}"] > 5 * healthy[f"x.{fault}_{harmonic}"]
    assert max(STRIKES_HZ, key=lambda kind: found[f"x.{kind}_1"]) == fault


def test_slip_moves_the_lines_as_the_cage_slips() -> None:
    """The outer race is passed more rarely, the inner race more often."""
    assert features_of("outer", 1)["x.outer_hz"] < STRIKES_HZ["outer"]
    assert features_of("inner", 1)["x.inner_hz"] > STRIKES_HZ["inner"]


@pytest.mark.parametrize("fault", ["outer", "inner", "ball"])
def test_an_independent_envelope_finds_the_same_line(fault: str) -> None:
    """Butterworth band-pass and Hilbert by scipy: strongest line near, and where ours is."""
    samples = np.concatenate([packet.value.samples[0] for packet in blocks(fault, 1)])
    sections = scipy_signal.butter(4, [2500, 4500], "bandpass", fs=RATE_HZ, output="sos")
    squared = np.abs(scipy_signal.hilbert(scipy_signal.sosfiltfilt(sections, samples))) ** 2
    frequencies, lines = scipy_signal.periodogram(squared, RATE_HZ, "hann", nfft=8 * len(squared))
    near = np.abs(frequencies - STRIKES_HZ[fault]) < 0.05 * STRIKES_HZ[fault]
    theirs = frequencies[near][lines[near].argmax()]
    assert features_of(fault, 1)[f"x.{fault}_hz"] == pytest.approx(theirs, abs=0.25)


def test_an_inner_race_fault_has_sidebands_at_shaft_speed_and_a_ball_fault_at_cage_speed() -> None:
    """The load zone modulates the impacts: what tells these faults apart for an expert."""
    for fault, sideband_hz in (("inner", SHAFT_HZ), ("ball", ORDERS.cage * SHAFT_HZ)):
        samples = np.concatenate([packet.value.samples[0] for packet in blocks(fault, 1)])
        sections = scipy_signal.butter(4, [2500, 4500], "bandpass", fs=RATE_HZ, output="sos")
        squared = np.abs(scipy_signal.hilbert(scipy_signal.sosfiltfilt(sections, samples))) ** 2
        frequencies, lines = scipy_signal.periodogram(squared, RATE_HZ, "hann")
        for sign in (-1, 1):
            near = np.abs(frequencies - STRIKES_HZ[fault] - sign * sideband_hz) < 2.5
            assert lines[near].max() > 20 * np.median(lines[1:2000])
