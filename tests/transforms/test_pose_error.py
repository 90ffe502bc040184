"""How far a pose is from its setpoint: by hand, and against rotations as matrices."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeapp.api import Pose
from edgeapp.core.opencv import cv2
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.pose_error import PoseError


def pose(position_m: Any = (0, 0, 0.3), turn_deg: Any = (0, 0, 0)) -> Pose:
    return Pose(
        np.array(position_m, np.float64), np.radians(np.array(turn_deg, float)), "marker 7", 0.25
    )


def error(value: Pose, **options: Any) -> Pose:
    ran = run_stage(PoseError, {"z_mm": 300, **options}, packets([value]))
    assert not ran.dropped, ran.log.events
    [result] = ran.values
    assert isinstance(result, Pose)
    return result


def test_where_it_should_be_the_error_is_nothing() -> None:
    result = error(pose((0.02, -0.01, 0.3), (10, 0, 5)), x_mm=20, y_mm=-10, rx_deg=10, rz_deg=5)
    assert result.position_m == pytest.approx(np.zeros(3), abs=1e-15)
    assert result.rotation_rad == pytest.approx(np.zeros(3), abs=1e-15)
    assert (result.label, result.error_px) == ("marker 7", 0.25)


def test_the_error_is_what_was_measured_minus_the_setpoint() -> None:
    result = error(pose((0.05, 0.0, 0.45)), x_mm=20, y_mm=10)
    assert result.position_m == pytest.approx([0.03, -0.01, 0.15])


def test_about_one_axis_angles_are_subtracted() -> None:
    result = error(pose(turn_deg=(0, 0, 50)), rz_deg=20)
    assert np.degrees(result.rotation_rad) == pytest.approx([0, 0, 30])


def test_it_is_the_short_way_round() -> None:
    """From 170 to -170 degrees it is 20 further on, not 340 back."""
    result = error(pose(turn_deg=(0, -170, 0)), ry_deg=170)
    assert np.degrees(result.rotation_rad) == pytest.approx([0, 20, 0])


def test_within_the_deadband_an_axis_has_no_error() -> None:
    value = pose((0.002, -0.001, 0.299), (0, 0.9, -3))
    result = error(value, deadband_mm=1.0001, deadband_deg=1)
    assert result.position_m == pytest.approx([0.002, 0, 0])
    assert np.degrees(result.rotation_rad) == pytest.approx([0, 0, -3])


def test_what_is_not_finite_is_dropped() -> None:
    ran = run_stage(PoseError, {"z_mm": 300}, packets([pose((np.nan, 0, 0))]))
    assert (ran.values, ran.dropped) == ([], {"not_finite": 1})


TURNS = st.tuples(*(st.floats(-100, 100) for _ in range(3))).map(
    lambda turn: np.array(turn) * min(1.0, 179 / max(1e-9, float(np.linalg.norm(turn))))
)


def matrix(rotation_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.Rodrigues(rotation_rad)[0], np.float64)


@settings(max_examples=40)
@given(TURNS, TURNS)
def test_the_error_leads_from_the_setpoint_to_what_was_measured(seen: Any, wanted: Any) -> None:
    result = error(
        pose(turn_deg=seen), rx_deg=wanted[0], ry_deg=wanted[1], rz_deg=wanted[2]
    ).rotation_rad
    assert np.linalg.norm(result) <= np.pi + 1e-12
    back = matrix(result) @ matrix(np.radians(wanted))
    assert back == pytest.approx(matrix(np.radians(seen)), abs=1e-9)
