"""Time of pictures: broken stamps made to rise, and rates that hold."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.opencv import cv2
from edgeapp.sources._pace import RateLimit
from edgeapp.sources._video_file import _Timeline


class Stamped:
    """Stands for a capture whose file says this frame rate and these positions."""

    def __init__(self, fps: float, positions_ms: list[float]) -> None:
        self._fps = fps
        self._positions = iter(positions_ms)

    def get(self, what: int) -> float:
        return self._fps if what == cv2.CAP_PROP_FPS else next(self._positions)


def times_ms(fps: float, positions_ms: list[float]) -> list[float]:
    """The stream times given to frames with these positions."""
    capture: Any = Stamped(fps, positions_ms)
    timeline = _Timeline(capture, 0)
    return [timeline.next_ns() / 1e6 for _ in positions_ms]


def test_true_time_stamps_are_kept_however_uneven() -> None:
    assert times_ms(25, [0, 40, 120, 125, 900]) == [0, 40, 120, 125, 900]


def test_broken_time_stamps_go_on_at_the_frame_rate() -> None:
    nan = float("nan")
    assert times_ms(25, [0, 0, nan, 40, 160, 100]) == [0, 40, 80, 120, 160, 200]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 90_000])
def test_absurd_frame_rate_counts_as_25(fps: float) -> None:
    assert times_ms(fps, [0, 0, 0]) == [0, 40, 80]


@given(
    st.floats(),
    st.lists(st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf")]), max_size=30),
)
def test_time_always_rises(fps: float, positions_ms: list[float]) -> None:
    times = times_ms(fps, positions_ms)
    assert all(time >= 0 for time in times)
    assert all(later > earlier for earlier, later in pairwise(times))


def admitted(rate_hz: float | None, times_ns: list[int]) -> list[int]:
    limit = RateLimit(rate_hz)
    return [t_ns for t_ns in times_ns if limit.admits(t_ns)]


@given(
    st.lists(st.integers(0, 200_000_000), min_size=1, max_size=200),
    st.sampled_from([0.5, 5.0, 15.0, 30.0]),
)
def test_rate_is_never_exceeded_over_time(steps_ns: list[int], rate_hz: float) -> None:
    """Whatever comes in: as many periods pass as pictures do, but for one and the jitter."""
    times = [sum(steps_ns[: n + 1]) for n in range(len(steps_ns))]
    passed = admitted(rate_hz, times)
    periods = (passed[-1] - passed[0]) * rate_hz / 1e9
    assert len(passed) <= periods + 2


@given(st.lists(st.floats(-0.15, 0.15), min_size=20, max_size=20))
def test_jitter_does_not_thin_out_a_camera_at_its_own_rate(jitter: list[float]) -> None:
    """A camera of 10 Hz under a limit of 10 Hz: at most its first unsteady steps cost a picture."""
    times = [round((n + 1 + early) * 1e8) for n, early in enumerate(jitter)]
    assert len(admitted(10, times)) >= 15


def test_half_the_rate_is_every_other_picture() -> None:
    times = [round(n * 1e9 / 30) for n in range(60)]
    assert admitted(15, times) == times[::2]


def test_no_rate_lets_everything_through() -> None:
    assert admitted(None, [0, 0, 5, 5]) == [0, 0, 5, 5]
