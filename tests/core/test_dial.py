import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.core.dial import CLOSED, FLOOR_DIVISOR, Dial, Setting


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
    "setting", [Setting(3), Setting(-1), Setting(0, divisor=-1), Setting(0, divisor=-2)]
)
def test_an_impossible_wish_is_refused(setting: Setting) -> None:
    with pytest.raises(ValueError, match=r"rung|divisor"):
        Dial(3, FakeClock()).want(setting)


def test_a_model_with_state_refuses_divisors() -> None:
    """Skipping packets would break what a recurrent model carries."""
    dial = Dial(1, FakeClock(), may_divide=False)
    for divisor in (CLOSED, 2):
        with pytest.raises(ValueError, match=f"divisor {divisor} is not possible"):
            dial.want(Setting(0, divisor))


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


def test_the_floor_is_the_cheapest_rung_where_it_is_not_the_last() -> None:
    clock = FakeClock()
    dial = Dial(4, clock)
    dial.floor = 2
    dial.want(Setting(0), lease_s=5)
    clock.advance(6)
    assert dial.wanted() == Setting(2)
    dial.struck = frozenset({2})
    assert dial.wanted() == Setting(3)


def test_the_floor_is_never_closed() -> None:
    """A governor that stalls must not silence a stage for good."""
    clock = FakeClock()
    dial = Dial(2, clock)
    dial.want(Setting(0, CLOSED), lease_s=5)
    assert dial.wanted() == Setting(0, CLOSED)
    clock.advance(6)
    assert dial.wanted() == Setting(1, FLOOR_DIVISOR)


def test_a_pin_holds_until_it_expires_or_is_taken_back() -> None:
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(1), lease_s=1000)
    dial.pin(Setting(2), for_s=10)
    assert [dial.wanted(), dial.pinned] == [Setting(2), Setting(2)]
    clock.advance(10)
    assert [dial.wanted(), dial.pinned] == [Setting(1), None]
    dial.pin(Setting(0))
    clock.advance(500)
    assert dial.wanted() == Setting(0)
    dial.unpin()
    assert dial.wanted() == Setting(1)


def test_a_pin_outlives_the_governor() -> None:
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(1))
    dial.pin(Setting(0))
    clock.advance(60)
    assert dial.wanted() == Setting(0)


def test_an_urgent_wish_goes_before_a_pin_unless_that_is_forced() -> None:
    """Also once it has expired: the governor that saw the heat is gone, the heat perhaps not."""
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.pin(Setting(0))
    dial.want(Setting(1, 2), urgent=True)
    assert dial.wanted() == Setting(1, 2)
    assert dial.pinned == Setting(0), "it is still held, for when the heat is over"
    clock.advance(6)
    assert dial.wanted() == Setting(2, 2)
    dial.pin(Setting(0), force=True)
    assert dial.wanted() == Setting(0)
    dial.want(Setting(1), urgent=True)
    assert dial.wanted() == Setting(0)
    dial.pin(Setting(0))
    dial.want(Setting(1))
    assert dial.wanted() == Setting(0), "it is no more urgent"


def test_a_closed_gate_cannot_be_pinned() -> None:
    """A person who wants silence pauses the pipeline, which gives the devices back."""
    with pytest.raises(ValueError, match="pause the pipeline"):
        Dial(1, FakeClock()).pin(Setting(0, CLOSED))


def test_standbys_are_kept_unless_the_last_wish_was_against_it() -> None:
    """Also when that has expired: memory is no better for it."""
    clock = FakeClock()
    dial = Dial(2, clock)
    kept = [dial.standby]
    dial.want(Setting(0), standby=False)
    clock.advance(6)
    kept.append(dial.standby)
    dial.want(Setting(0))
    assert [*kept, dial.standby] == [True, False, True]


def test_what_is_abandoned_is_on_the_floor_though_nothing_was_ever_wanted() -> None:
    dial = Dial(3, FakeClock())
    dial.abandon()
    assert dial.wanted() == Setting(2)
    dial.want(Setting(1), lease_s=5)
    dial.abandon()
    assert dial.wanted() == Setting(1)


def test_what_is_released_gives_its_best_again_and_no_lease_of_it_expires() -> None:
    clock = FakeClock()
    dial = Dial(3, clock)
    dial.want(Setting(1), lease_s=5)
    dial.release()
    assert dial.wanted() == Setting(0)
    clock.advance(6)
    assert dial.wanted() == Setting(0)
