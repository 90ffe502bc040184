"""Where a printed marker is: ArUco and AprilTag, from one picture of one camera."""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator

from edgeapp.api import Context, Field, Image, Live, Options, Packet, Pose, transform
from edgeapp.core.opencv import cv2
from edgeapp.transforms._lens import Lens

Dictionary = Literal[
    "4x4_50",
    "4x4_100",
    "4x4_250",
    "4x4_1000",
    "5x5_50",
    "5x5_100",
    "5x5_250",
    "5x5_1000",
    "6x6_50",
    "6x6_100",
    "6x6_250",
    "6x6_1000",
    "7x7_50",
    "7x7_100",
    "7x7_250",
    "7x7_1000",
    "aruco_original",
    "apriltag_16h5",
    "apriltag_25h9",
    "apriltag_36h10",
    "apriltag_36h11",
]

_FACING = np.diag([1.0, -1.0, -1.0])
"""OpenCV's marker has y up and z towards the camera. Ours has the camera's own axes when it is
seen upright and squarely, so that this is no rotation, and not half a turn."""


class MarkerOptions(Options):
    """Which marker, how large it is, and how the camera sees."""

    dictionary: Dictionary = Field(
        "4x4_50", description="The family that the marker was printed from."
    )
    id: int | None = Field(
        None,
        ge=0,
        description="The number of the marker; if not given, the one that is largest in the "
        "picture.",
    )
    size_mm: float = Field(
        gt=0,
        le=100_000,
        examples=[40],
        description="Side of the marker's black square, as it was printed.",
    )
    camera: Lens = Field(
        examples=[{"fov_deg": 60}],
        description="How the camera sees: {fov_deg: 60}, or what a calibration gave: {size: [640, "
        "480], fx: 615.2, fy: 615.9, cx: 318.4, cy: 241.0, k1: ...}.",
    )
    max_error_px: Annotated[float, Live()] = Field(
        2.0,
        gt=0,
        description="Pass no pose that explains the corners seen only with a larger error than "
        "this, root mean square.",
    )

    @field_validator("id")
    @classmethod
    def _in_dictionary(cls, number: int | None, info: ValidationInfo) -> int | None:
        name = info.data.get("dictionary")
        if number is not None and name is not None:
            count = len(_dictionary(name).bytesList)
            if number >= count:
                raise ValueError(f"{name} has the markers 0 to {count - 1}")
        return number


class _Solution(NamedTuple):
    """One way to explain the corners."""

    error_px: float
    rotation: NDArray[np.float64]
    position: NDArray[np.float64]


@transform("marker", stateless=True)
class Marker:
    """Find a printed ArUco or AprilTag marker and say where it is and how it is turned.

    The position is that of its middle. The rotation is none when it is seen upright and squarely.
    A picture without the marker gives nothing. The corners are found to a fraction of a pixel and
    the pose by IPPE (Collins and Bartoli 2014), which has two answers for a square; the one that
    explains the corners better is refined and taken. A crop or a resize before this stage changes
    nothing but the precision.
    """

    def __init__(self, options: MarkerOptions, _context: Context) -> None:
        self._options = options
        half = options.size_mm / 2000
        # In OpenCV's order: top left, top right, bottom right, bottom left.
        self._square = np.array(
            [[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]]
        )
        self._detector = cv2.aruco.ArucoDetector(_dictionary(options.dictionary), _parameters())
        self._distortion = options.camera.distortion()

    def tune(self, options: MarkerOptions) -> None:
        """Another limit, from the next picture on."""
        self._options = options

    def process(self, packet: Packet[Image], /) -> Pose | None:
        """The pose of the marker; nothing where it is not seen, or not well enough."""
        image = packet.value
        found = self._corners(image)
        if found is None:
            return None
        number, corners = found
        best = self._solved(corners, self._options.camera.matrix(image))
        if best is None or not best.error_px <= self._options.max_error_px:  # nor if not a number
            return None
        turned, _ = cv2.Rodrigues(cv2.Rodrigues(best.rotation)[0] @ _FACING)
        return Pose(
            best.position.astype(np.float64).reshape(3),
            np.asarray(turned, np.float64).reshape(3),
            f"marker {number}",
            best.error_px,
            image,
        )

    def _corners(self, image: Image) -> tuple[int, NDArray[np.float64]] | None:
        """The number of the marker that is meant, and its corners (4, 2) in pixels."""
        pixels: Any = image.pixels
        if pixels.ndim == 3:  # noqa: PLR2004 - with colours
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        squares, numbers, _ = self._detector.detectMarkers(pixels)
        if numbers is None:
            return None
        wanted = self._options.id
        meant = [
            (float(cv2.contourArea(square)), int(number), square)
            for number, square in zip(np.ravel(numbers), squares, strict=True)
            if wanted is None or number == wanted
        ]
        if not meant:
            return None
        _, number, square = max(meant, key=lambda one: one[0])
        return number, np.asarray(square, np.float64).reshape(4, 2)

    def _solved(
        self, corners: NDArray[np.float64], matrix: NDArray[np.float64]
    ) -> _Solution | None:
        """The better of the two poses that a square allows; none where there is not any."""
        _, rotations, positions, _ = cv2.solvePnPGeneric(
            self._square, corners, matrix, self._distortion, flags=cv2.SOLVEPNP_IPPE_SQUARE
        )
        solutions = [
            self._judged(corners, matrix, rotation, position)
            for rotation, position in zip(rotations, positions, strict=True)
        ]
        seen = [one for one in solutions if np.isfinite(one.error_px) and one.position[2] > 0]
        if not seen:
            return None
        best = min(seen, key=lambda one: one.error_px)
        refined = cv2.solvePnPRefineLM(
            self._square, corners, matrix, self._distortion, best.rotation, best.position
        )
        return self._judged(corners, matrix, *refined)

    def _judged(
        self,
        corners: NDArray[np.float64],
        matrix: NDArray[np.float64],
        rotation: Any,
        position: Any,
    ) -> _Solution:
        drawn, _ = cv2.projectPoints(self._square, rotation, position, matrix, self._distortion)
        error = np.asarray(drawn, np.float64).reshape(4, 2) - corners
        return _Solution(float(np.sqrt((error**2).sum(axis=1).mean())), rotation, position)


def _dictionary(name: str) -> Any:
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{name.upper()}"))


def _parameters() -> Any:
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    return parameters
