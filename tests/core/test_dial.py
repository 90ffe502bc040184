import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.dial import Dial, Setting


def test_without_a_governor_the_best_rung_answers() -> None:
    assert Dial(3, FakeClock()).wanted() == Setting(0)


def test_a_wish_holds_for_its_lease_then_the_floor_is_left() -> None:
    """A governor that stalls must not leave a heavy model running."""
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(1, divisor=2), lease_s=5)
    clock.advance(4.9)
    assert dial.wanted() == Setting(1, 2)
    clock.advance(0.2)
    assert dial.wanted() == Setting(2, 2)


@pytest.mark.parametrize(
    "setting", [Setting(3), Setting(-1), Setting(0, 0), Setting(0, divisor=-2)]
)
def test_an_impossible_wish_is_refused(setting: Setting) -> None:
    with pytest.raises(ValueError, match=r"rung|divisor"):
        Dial(3, FakeClock()).want(setting)


def test_a_model_with_state_refuses_divisors() -> None:
    """Skipping packets would break what a recurrent model carries."""
    with pytest.raises(ValueError, match="divisor 2"):
        Dial(1, FakeClock(), may_divide=False).want(Setting(0, 2))


def test_the_floor_is_the_last_rung_that_can_be_used() -> None:
    """A rung that failed to load is no floor."""
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(0), lease_s=5)
    dial.struck = frozenset({2})
    clock.advance(6)
    assert dial.wanted() == Setting(1)
    dial.struck = frozenset({0, 1, 2})
    assert dial.wanted() == Setting(2)
