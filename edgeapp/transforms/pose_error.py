"""How far a pose is from where it should be: what a controller works off."""

from math import atan2, cos, sin
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from edgeapp.api import BadPacket, Context, Field, Live, Options, Packet, Pose, transform

Vector = NDArray[np.float64]
"""(3,) float64."""


class PoseErrorOptions(Options):
    """Where the thing should be, as the camera sees it."""

    x_mm: Annotated[float, Live()] = Field(
        0.0, description="How far to the right of the camera it should be."
    )
    y_mm: Annotated[float, Live()] = Field(
        0.0, description="How far below the camera it should be."
    )
    z_mm: Annotated[float, Live()] = Field(
        gt=0, examples=[300], description="How far away from the camera it should be."
    )
    rx_deg: Annotated[float, Live()] = Field(
        0.0,
        ge=-180,
        le=180,
        description="How it should be turned: rx_deg, ry_deg and rz_deg are the axis of the turn "
        "to the right, down and away from the camera, as long as the angle. A marker seen upright "
        "and squarely has 0, 0, 0.",
    )
    ry_deg: Annotated[float, Live()] = Field(0.0, ge=-180, le=180, description="See rx_deg.")
    rz_deg: Annotated[float, Live()] = Field(0.0, ge=-180, le=180, description="See rx_deg.")
    deadband_mm: Annotated[float, Live()] = Field(
        0.0, ge=0, description="Along an axis, an error of at most this much counts as none."
    )
    deadband_deg: Annotated[float, Live()] = Field(
        0.0, ge=0, description="About an axis, an error of at most this much counts as none."
    )


@transform("pose_error", stateless=True)
class PoseError:
    """Say how far something is from where it should be, in metres and as a turn.

    Both along the axes of the camera: the position is what was measured minus the setpoint, the
    rotation is the turn that leads from the setpoint to what was measured. So all is 0 where the
    thing is where it should be, and a controller works against the sign.
    """

    def __init__(self, options: PoseErrorOptions, _context: Context) -> None:
        self.tune(options)

    def tune(self, options: PoseErrorOptions) -> None:
        """Another setpoint or deadband, from the next pose on."""
        self._position_m = np.array([options.x_mm, options.y_mm, options.z_mm]) / 1000
        setpoint = np.radians([options.rx_deg, options.ry_deg, options.rz_deg])
        self._back = _conjugate(_quaternion(setpoint))
        self._deadband_m = options.deadband_mm / 1000
        self._deadband_rad = float(np.radians(options.deadband_deg))

    def process(self, packet: Packet[Pose], /) -> Pose:
        """The error of a pose.

        Raises:
            BadPacket: the pose is not a finite number.
        """
        pose = packet.value
        position_m = pose.position_m - self._position_m
        if not np.isfinite(position_m.sum() + pose.rotation_rad.sum()):
            raise BadPacket("a pose is not a finite number", reason="not_finite")
        rotation_rad = _rotation(_product(_quaternion(pose.rotation_rad), self._back))
        return Pose(
            _outside(position_m, self._deadband_m),
            _outside(rotation_rad, self._deadband_rad),
            pose.label,
            pose.error_px,
            pose.image,
        )


def _outside(error: Vector, deadband: float) -> Vector:
    """The error, with 0 on the axes where it is within the deadband."""
    return np.where(np.abs(error) <= deadband, 0.0, error)


def _quaternion(rotation_rad: Vector) -> tuple[float, Vector]:
    """A rotation vector as a unit quaternion: the cosine of half the angle, and the axis.

    Rotations are put one after the other as quaternions (Hamilton 1844) because the way back to a
    vector is exact then at any angle; from a matrix it is not near half a turn.
    """
    angle = float(np.linalg.norm(rotation_rad))
    # sin(angle / 2) / angle, which is 1/2 for no turn at all
    scale = sin(angle / 2) / angle if angle > 0 else 0.5
    return cos(angle / 2), scale * rotation_rad


def _conjugate(turn: tuple[float, Vector]) -> tuple[float, Vector]:
    """The turn back."""
    return turn[0], -turn[1]


def _product(second: tuple[float, Vector], first: tuple[float, Vector]) -> tuple[float, Vector]:
    """Two turns, one after the other."""
    (a, v), (b, w) = second, first
    return a * b - float(v @ w), a * w + b * v + np.cross(v, w)


def _rotation(turn: tuple[float, Vector]) -> Vector:
    """A quaternion as a rotation vector, the short way round: at most half a turn."""
    cosine, axis = turn
    if cosine < 0:
        cosine, axis = -cosine, -axis
    sine = float(np.linalg.norm(axis))
    return 2 * atan2(sine, cosine) / sine * axis if sine > 0 else 2 * axis
