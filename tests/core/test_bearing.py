import pytest
from pydantic import ValidationError

from edgeapp.core.bearing import BearingGeometry


def test_orders_of_the_6205_equal_the_published_factors() -> None:
    """Case Western Reserve University, drive end bearing; its ball value, 4.7135, is 2 x BSF."""
    orders = BearingGeometry().orders()
    assert orders.outer == pytest.approx(3.5848, abs=5e-5)
    assert orders.inner == pytest.approx(5.4152, abs=5e-5)
    assert orders.cage == pytest.approx(0.3983, abs=5e-5)
    assert orders.spin == pytest.approx(2.3567, abs=5e-5)
    assert 2 * orders.spin == pytest.approx(4.7135, abs=1e-4)


def test_every_ball_passes_once_for_each_turn_of_the_shaft_against_the_cage() -> None:
    """BPFO + BPFI is the number of balls, whatever the geometry."""
    geometry = BearingGeometry(balls=12, ball_mm=8.4, pitch_mm=71.5, contact_deg=15.17)
    orders = geometry.orders()
    assert orders.outer + orders.inner == pytest.approx(12)
    assert orders.outer == pytest.approx(12 * orders.cage)


def test_balls_larger_than_their_circle_are_refused() -> None:
    with pytest.raises(ValidationError, match="swapped"):
        BearingGeometry(balls=9, ball_mm=39, pitch_mm=8)
