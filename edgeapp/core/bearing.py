"""Rolling bearing kinematics: how often the parts of a bearing meet, per turn of the shaft."""

from dataclasses import dataclass
from math import cos, radians

from pydantic import Field, model_validator

from edgeapp.core.plugin import Options


@dataclass(frozen=True, slots=True)
class BearingOrders:
    """Frequencies as multiples of the shaft's, for rolling without slip.

    Outer race fixed, inner race turning with the shaft.
    """

    outer: float
    """BPFO: rolling elements passing a spot on the outer race."""
    inner: float
    """BPFI: rolling elements passing a spot on the inner race."""
    cage: float
    """FTF: turns of the cage."""
    spin: float
    """BSF: turns of a rolling element about its own axis.

    A spot on it strikes a race twice in each turn, so its impacts come at 2 x BSF, which is what
    tables often list as the ball's frequency.
    """


class BearingGeometry(Options):
    """What the bearing's data sheet says. The default is the deep groove ball bearing 6205."""

    balls: int = Field(default=9, ge=3, le=200, description="How many rolling elements it has.")
    ball_mm: float = Field(
        default=0.3126 * 25.4,
        ge=0.1,
        le=1000,
        description="Diameter of a rolling element, in millimetres.",
    )
    pitch_mm: float = Field(
        default=1.537 * 25.4,
        ge=0.1,
        le=10_000,
        description="Diameter of the circle through the rolling elements' centres, in millimetres.",
    )
    contact_deg: float = Field(
        default=0.0,
        ge=0,
        lt=90,
        description="Contact angle in degrees; 0 for a deep groove ball bearing.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "BearingGeometry":
        if self.ball_mm >= self.pitch_mm:
            raise ValueError(
                f"rolling elements of {self.ball_mm:g} mm do not fit on a pitch circle of "
                f"{self.pitch_mm:g} mm; are ball_mm and pitch_mm swapped?"
            )
        return self

    def orders(self) -> BearingOrders:
        """The bearing's frequencies, as multiples of the shaft's.

        With n elements of diameter d on a pitch circle D, contact angle phi, r = d/D cos(phi):
        BPFO = n/2 (1 - r), BPFI = n/2 (1 + r), FTF = (1 - r)/2, BSF = D/(2d) (1 - r^2).
        R. B. Randall, J. Antoni, "Rolling element bearing diagnostics: a tutorial", Mechanical
        Systems and Signal Processing 25 (2011), equations 1 to 4.
        """
        ratio = self.ball_mm / self.pitch_mm
        r = ratio * cos(radians(self.contact_deg))
        return BearingOrders(
            outer=self.balls / 2 * (1 - r),
            inner=self.balls / 2 * (1 + r),
            cage=(1 - r) / 2,
            spin=(1 - r * r) / (2 * ratio),
        )
