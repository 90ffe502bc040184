"""Heat that is only guessed at."""

from math import inf

import pytest

from edgeapp.watchdog.ceiling import (
    AFTER_CROWD_S,
    CUT,
    HOLD_S,
    RELIEF_S,
    REST_S,
    RISE_S,
    Ceiling,
)

CORES = 4.0


class Device:
    """A device with a ceiling; what is busy keeps to it, if it can."""

    def __init__(self) -> None:
        self.ceiling = Ceiling()
        self.now_s = 0.0

    def go(
        self, seconds: float, busy: float, *, slowed: bool = False, crowded: bool = False
    ) -> float:
        for _ in range(round(seconds)):
            self.now_s += 1
            self.ceiling.look(
                self.now_s,
                1.0,
                slowed=slowed,
                crowded=crowded,
                busy=min(busy, max(0.2, self.ceiling.cores)),
                most=CORES,
            )
        return self.ceiling.cores


def test_slowing_down_under_load_lowers_it_step_by_step() -> None:
    device = Device()
    assert device.go(300, 3.0) == inf
    assert device.go(1, 3.0, slowed=True) == CUT * 3.0
    assert device.go(10, 3.0, slowed=True) == pytest.approx(CUT * CUT * 3.0)


def test_it_is_held_and_then_rises_slowly() -> None:
    device = Device()
    device.go(300, 3.0)
    low = device.go(30, 3.0, slowed=True)
    assert device.go(HOLD_S - 1, 3.0) == low
    assert low < device.go(RISE_S / 4, 3.0) < inf
    assert device.go(2 * RISE_S, 3.0) == inf


def test_a_device_that_does_little_is_not_slow_from_heat() -> None:
    device = Device()
    device.go(300, 0.5)
    assert device.go(60, 0.5, slowed=True) == inf


def test_neighbours_are_no_heat_and_leave_traces_for_a_while() -> None:
    device = Device()
    device.go(300, 4.0, slowed=True, crowded=True)
    assert device.go(AFTER_CROWD_S - 1, 4.0, slowed=True) == inf
    assert device.go(2, 4.0, slowed=True) < inf


def test_what_less_load_does_not_help_against_is_not_heat() -> None:
    """A guess that nothing could disprove would keep a device at its floor for good."""
    device = Device()
    device.go(300, 3.0)
    assert device.go(40, 3.0, slowed=True) < inf
    assert device.go(2 * RELIEF_S, 3.0, slowed=True) == inf
    assert device.go(3600, 3.0, slowed=True) == inf


def test_a_disproved_guess_may_be_made_again_after_a_rest() -> None:
    device = Device()
    device.go(300, 3.0)
    device.go(40 + 2 * RELIEF_S, 3.0, slowed=True)
    device.go(REST_S + 1, 3.0)
    assert device.go(1, 3.0, slowed=True) == CUT * 3.0
