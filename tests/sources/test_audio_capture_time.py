"""The clock of a microphone's samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.api import samples_ns
from edgeapp.sources._capture_time import CaptureTime

BLOCK, RATE_HZ = 512, 16_000
BLOCK_NS = samples_ns(BLOCK, RATE_HZ)


def test_jitter_of_the_driver_is_averaged_out() -> None:
    """Up to 10 ms to either side at each block leave less than 2 ms of wavering in its length."""
    jitter = np.random.default_rng(0)
    time = CaptureTime(RATE_HZ)
    ends_ns = [
        time.after(BLOCK, n * BLOCK_NS + round(jitter.uniform(-10e6, 10e6))) for n in range(1000)
    ]
    off_ns = np.array(ends_ns[200:]) - np.arange(200, 1000) * BLOCK_NS
    assert np.abs(off_ns).max() < 4e6
    assert np.abs(np.diff(ends_ns) - BLOCK_NS).max() < 1e6


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_crystal_that_is_off_is_followed(ppm: int) -> None:
    """Counted samples alone would be 240 ms wrong after 20 minutes at 200 ppm."""
    time = CaptureTime(RATE_HZ)
    real_ns = BLOCK_NS * (1 + ppm / 1e6)
    for n in range(20 * 60 * RATE_HZ // BLOCK):
        end_ns = time.after(BLOCK, round(n * real_ns))
    assert end_ns == pytest.approx(n * real_ns, abs=1e6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=60))
def test_time_never_goes_back_whatever_the_driver_says(off_ns: list[int]) -> None:
    time = CaptureTime(RATE_HZ)
    ends_ns = [time.after(BLOCK, n * BLOCK_NS + off) for n, off in enumerate(off_ns)]
    assert ends_ns == sorted(ends_ns)


def test_a_hole_is_as_long_as_the_drivers_times_say_and_at_least_a_block() -> None:
    time = CaptureTime(RATE_HZ)
    assert time.missed(BLOCK, 0) == 1
    time.after(BLOCK, 0)
    assert time.missed(BLOCK, BLOCK_NS) == 1
    assert time.missed(BLOCK, 11 * BLOCK_NS + 3_000_000) == 10
