from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import FakeClock
from edgeapp.sources.bearing import Bearing, BearingOptions
from edgeapp.testing import run_source

QUICK = {"rate_hz": 10_000, "duration_s": 1.0, "speed": "fast"}


def samples(**options: Any) -> NDArray[np.float32]:
    ran = run_source(Bearing, {**QUICK, **options})
    return np.concatenate([packet.value.samples[0] for packet in ran.packets])


def test_the_same_options_give_the_same_samples_in_blocks_of_any_size() -> None:
    one = samples(fault="inner", block_s=1.0)
    np.testing.assert_array_equal(samples(fault="inner", block_s=0.0137), one)
    assert not np.array_equal(samples(fault="inner", block_s=1.0, seed=2), one)


def test_noise_and_unbalance_have_the_sizes_that_were_asked_for() -> None:
    assert samples(unbalance=0, noise=0.7, duration_s=5.0).std() == pytest.approx(0.7, rel=0.02)
    assert samples(unbalance=2.0, noise=0).max() == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(("fault", "times"), [("outer", 3.5848), ("cage", 0.3983)])
def test_a_fault_strikes_as_often_as_kinematics_say(fault: str, times: float) -> None:
    """Without slip and noise the impacts can be counted."""
    quiet = samples(
        fault=fault,
        slip=0,
        noise=0,
        unbalance=0,
        speed_rpm=1200,
        damping=0.3,
        severity=10.0,
        duration_s=10.0,
    )
    loud = quiet > 3
    begins = np.flatnonzero(loud[1:] & ~loud[:-1])
    strikes = begins[np.diff(begins, prepend=-1000) > 50]
    assert len(strikes) == pytest.approx(times * 20 * 10, abs=1)


def test_damage_begins_at_its_onset_and_grows() -> None:
    signal = samples(fault="outer", onset_s=0.4, growth_s=0.4, noise=0, unbalance=0, severity=8)
    assert np.abs(signal[:4000]).max() == 0
    assert 0 < np.abs(signal[4000:5000]).max() < 3
    assert 5 < np.abs(signal[8200:]).max() <= 8


def test_time_is_counted_in_samples() -> None:
    ran = run_source(Bearing, {**QUICK, "rate_hz": 7_777.0, "block_s": 0.1})
    assert [packet.t_ns for packet in ran.packets][:2] == [
        778 * 10**9 // 7777,
        2 * 778 * 10**9 // 7777,
    ]
    assert sum(packet.value.samples.shape[1] for packet in ran.packets) == 7777


def test_in_real_time_a_second_takes_a_second() -> None:
    clock = FakeClock()
    run_source(Bearing, {**QUICK, "speed": "real_time"}, clock=clock)
    assert clock.now_ns() == pytest.approx(1e9, rel=0.06)


def test_a_resonance_that_rings_for_ever_is_refused() -> None:
    with pytest.raises(ValidationError, match="raise damping"):
        BearingOptions(damping=1e-6)


def test_a_resonance_above_half_the_sampling_rate_is_refused() -> None:
    with pytest.raises(ValidationError, match="sample at more than twice the resonance"):
        BearingOptions(rate_hz=4000)
