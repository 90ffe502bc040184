"""Markers rendered by a camera of known geometry, and what their poses come out as."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from edgeapp.api import Image, Pose
from edgeapp.core.opencv import cv2
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.crop import Crop
from edgeapp.transforms.letterbox import Letterbox
from edgeapp.transforms.marker import Marker
from edgeapp.transforms.resize import Resize

FOCAL = 640 / 2 / np.tan(np.radians(60) / 2)
MATRIX = np.array([[FOCAL, 0, 319.5], [0, FOCAL, 239.5], [0, 0, 1]])
LENS = {"fov_deg": 60}
CALIBRATED = {"size": [640, 480], "fx": FOCAL, "fy": FOCAL, "cx": 319.5, "cy": 239.5}
POSITION_M, TURN_DEG = (0.05, -0.03, 0.4), (12.0, -20.0, 15.0)


def seen(
    position_m: Any = POSITION_M,
    turn_deg: Any = TURN_DEG,
    *,
    number: int = 7,
    dictionary: int = cv2.aruco.DICT_4X4_50,
    side_m: float = 0.08,
    onto: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """A picture 640 x 480 of a marker, by the homography of its plane; 3 x 3 samples a pixel."""
    known = cv2.aruco.getPredefinedDictionary(dictionary)
    modules = known.markerSize + 2
    sheet: Any = cv2.aruco.generateImageMarker(known, number, modules, borderBits=1)
    sheet = np.kron(np.pad(sheet // 2 + 60, 1, constant_values=187), np.ones((20, 20), np.uint8))
    module_m = side_m / modules
    turn = cv2.Rodrigues(np.radians(np.array(turn_deg, float)))[0]
    plane = MATRIX @ np.column_stack([turn[:, 0], turn[:, 1], np.array(position_m)])
    # Pixels of the sheet, counted from the middle of the first, to metres on the marker.
    scale = module_m / 20
    first = (0.5 - len(sheet) / 2) * scale
    to_metres = np.array([[scale, 0, first], [0, scale, first], [0, 0, 1]])
    finer = np.array([[3, 0, 1], [0, 3, 1], [0, 0, 1]])
    drawn = cv2.warpPerspective(
        sheet, finer @ plane @ to_metres, (1920, 1440), borderValue=(130,), flags=cv2.INTER_AREA
    )
    fine = cv2.resize(drawn, (640, 480), interpolation=cv2.INTER_AREA)
    if onto is not None:
        covered = fine != 130
        fine = np.where(covered, fine, onto)
    return np.asarray(fine, np.uint8)


def poses(image: Image, *before: tuple[type[Any], dict[str, Any]], **options: Any) -> list[Pose]:
    """What is found in a picture, behind other stages."""
    values: list[Any] = [image]
    for stage, its_options in before:
        values = run_stage(stage, its_options, packets(values)).values
    ran = run_stage(Marker, {"size_mm": 80, "camera": LENS, **options}, packets(values))
    assert not ran.dropped, ran.log.events
    assert not ran.log.said("error")
    return ran.values


def assert_is_at(pose: Pose, position_m: Any, turn_deg: Any, within: float = 1.0) -> None:
    """Within 2 mm and a degree, or so many times as much."""
    assert pose.position_m == pytest.approx(position_m, abs=0.002 * within)
    assert np.degrees(pose.rotation_rad) == pytest.approx(turn_deg, abs=1.0 * within)


@pytest.mark.parametrize(
    ("position_m", "turn_deg"),
    [
        ((0, 0, 0.3), (0, 0, 0)),
        (POSITION_M, TURN_DEG),
        ((-0.1, 0.06, 0.5), (0, 40, 0)),
        ((0, 0, 0.25), (-30, 10, 170)),
    ],
)
def test_the_pose_is_where_the_marker_is(position_m: Any, turn_deg: Any) -> None:
    """Metres right, down and away; no rotation where it is seen upright and squarely."""
    [pose] = poses(Image(seen(position_m, turn_deg)))
    assert_is_at(pose, position_m, turn_deg)
    assert pose.label == "marker 7"
    assert 0 <= pose.error_px < 0.5
    assert pose.image is not None


def test_colours_change_nothing() -> None:
    pixels = seen()
    [grey], [colour] = poses(Image(pixels)), poses(Image(np.dstack([pixels] * 3)))
    assert colour.position_m.tolist() == grey.position_m.tolist()


@pytest.mark.parametrize("camera", [LENS, CALIBRATED])
@pytest.mark.parametrize(
    "before",
    [
        [(Crop, {"box": [0.3, 0.1, 0.6, 0.7]})],
        [(Resize, {"size": [1280, 960]})],
        [(Letterbox, {"size": [640, 640]})],
        [(Crop, {"box": [0.3, 0.1, 0.6, 0.7]}), (Resize, {"size": [960, 840]})],
    ],
)
def test_crops_and_resizes_before_it_change_nothing(camera: Any, before: Any) -> None:
    [pose] = poses(Image(seen()), *before, camera=camera)
    assert_is_at(pose, POSITION_M, TURN_DEG)


def test_a_calibration_knows_that_a_picture_was_stretched() -> None:
    [pose] = poses(Image(seen()), (Resize, {"size": [640, 640]}), camera=CALIBRATED)
    assert_is_at(pose, POSITION_M, TURN_DEG)


def test_a_calibration_undoes_the_distortion_of_the_lens() -> None:
    """The picture is bent as a wide lens does, 6 % at the marker's far corner."""
    bent = np.array([-0.3, 0.1, 0.001, -0.001, 0.0])
    position_m = (0.13, -0.09, 0.4)
    grid = np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), axis=-1).reshape(-1, 1, 2)
    straight = cv2.undistortPoints(grid, MATRIX, bent, P=MATRIX).reshape(480, 640, 2)
    pixels = cv2.remap(
        seen(position_m),
        straight.astype(np.float32),
        None,
        cv2.INTER_LINEAR,  # type: ignore[call-overload]  # the stub wants a second map
    )
    names = dict(zip(("k1", "k2", "p1", "p2", "k3"), bent.tolist(), strict=True))
    [undone] = poses(Image(np.asarray(pixels, np.uint8)), camera={**CALIBRATED, **names})
    assert_is_at(undone, position_m, TURN_DEG)
    [wrong] = poses(Image(np.asarray(pixels, np.uint8)))
    assert abs(wrong.position_m - position_m).max() > 0.004


@pytest.mark.parametrize(
    ("name", "number"),
    [("apriltag_36h11", 586), ("4x4_1000", 999), ("7x7_250", 249), ("aruco_original", 1023)],
)
def test_it_reads_the_family_that_it_is_told(name: str, number: int) -> None:
    pixels = seen(dictionary=getattr(cv2.aruco, f"DICT_{name.upper()}"), number=number)
    [pose] = poses(Image(pixels), dictionary=name, id=number)
    assert pose.label == f"marker {number}"
    assert_is_at(pose, POSITION_M, TURN_DEG)


def test_of_several_the_one_that_is_meant_or_else_the_largest() -> None:
    far = seen((-0.12, 0, 0.6), (0, 0, 0), number=3)
    both = Image(seen((0.08, 0, 0.3), (0, 0, 0), number=7, onto=far))
    [largest], [meant] = poses(both), poses(both, id=3)
    assert (largest.label, meant.label) == ("marker 7", "marker 3")
    assert_is_at(meant, (-0.12, 0, 0.6), (0, 0, 0), within=2)


def test_no_marker_gives_nothing() -> None:
    assert poses(Image(np.full((480, 640), 130, np.uint8))) == []
    assert poses(Image(seen()), id=8) == []
    half = seen((0, 0, 0.3), (0, 0, 0))
    half[:, 320:] = 90
    assert poses(Image(half)) == []
    assert poses(Image(np.zeros((1, 1), np.uint8))) == []


def test_a_pose_that_explains_badly_what_is_seen_is_not_told() -> None:
    """Wrong optics: a square this far off the axis cannot look like that."""
    image = Image(seen((0.1, -0.06, 0.25), (30, -30, 0)))
    wrong: dict[str, Any] = {"camera": {**CALIBRATED, "fx": FOCAL * 3}}
    [pose] = poses(image, **wrong, max_error_px=1000)
    assert pose.error_px > 2
    assert poses(image, **wrong) == []


def test_wherever_it_is_and_however_it_is_turned_it_is_found_there() -> None:
    """25 places, turned by up to 45 degrees about any axis: none is missed, none flipped.

    Within 1 % of the distance, and 2 degrees; the square is 60 to 180 pixels wide.
    """
    chance = np.random.default_rng(1)
    for _ in range(25):
        away_m = chance.uniform(0.25, 0.7)
        position_m = away_m * np.array([chance.uniform(-0.3, 0.3), chance.uniform(-0.2, 0.2), 1])
        axis = chance.normal(size=3)
        turn_deg = axis / np.linalg.norm(axis) * chance.uniform(0, 45)
        [pose] = poses(Image(seen(position_m, turn_deg)))
        assert np.abs(pose.position_m - position_m).max() < 0.01 * away_m
        wrong_deg = np.degrees(np.linalg.norm(pose.rotation_rad - np.radians(turn_deg)))
        assert wrong_deg < 2, (position_m, turn_deg)


def test_noise_moves_it_little() -> None:
    chance = np.random.default_rng(3)
    noisy = np.clip(seen() + chance.normal(0, 5, (480, 640)), 0, 255).astype(np.uint8)
    [pose] = poses(Image(noisy))
    assert_is_at(pose, POSITION_M, TURN_DEG)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"id": 50}, "4x4_50 has the markers 0 to 49"),
        ({"camera": {}}, "missing: size, fx, fy, cx, cy"),
        ({"camera": {"size": [640, 480], "fx": 500}}, "missing: fy, cx, cy"),
        ({"camera": {"fov_deg": 60, "k1": 0.1}}, "not both: k1"),
        ({"camera": {**CALIBRATED, "cx": 700}}, "outside of 'size'"),
        ({"camera": {**CALIBRATED, "size": [0, 480]}}, "at least 1"),
        ({"dictionary": "8x8_50"}, "4x4_50"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        poses(Image(np.zeros((4, 4), np.uint8)), **options)
