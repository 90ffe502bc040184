"""Boards are known by what they call themselves."""

from math import isfinite

import pytest

from edgeapp.watchdog.boards import BOARDS, GENERIC, prior_of
from edgeapp.watchdog.limits import Prior


@pytest.mark.parametrize(
    ("model", "board"),
    [
        ("Raspberry Pi 3 Model B Plus Rev 1.3\0", "raspberry-pi-3b-plus"),
        ("Raspberry Pi 4 Model B Rev 1.4\0", "raspberry-pi-4"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", "raspberry-pi-4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson-orin-nano"),
        ("Intel(R) N100", "intel-n100"),
        ("raspberry-pi-5-fan", "raspberry-pi-5-fan"),
        ("Some Board of Tomorrow", GENERIC),
        ("", GENERIC),
    ],
)
def test_a_board_is_recognised(model: str, board: str) -> None:
    assert prior_of(model).board == board


def test_a_fan_makes_a_difference_where_boards_are_sold_without() -> None:
    bare, cooled = prior_of("Raspberry Pi 5"), prior_of("Raspberry Pi 5", fan=True)
    assert cooled.board == "raspberry-pi-5-fan"
    assert cooled.board_k_per_core < bare.board_k_per_core
    assert prior_of("NVIDIA Jetson Orin Nano", fan=True).board == "jetson-orin-nano"


@pytest.mark.parametrize("prior", BOARDS, ids=lambda prior: prior.board)
def test_what_is_believed_can_be_true(prior: Prior) -> None:
    """Idle in a room it is below its trip; names are told apart."""
    assert prior.ambient_c + prior.idle_k < prior.trip_c
    assert 0 < prior.die_tau_s < prior.board_tau_s / 10
    assert min(prior.board_k_per_core, prior.die_k_per_core, prior.idle_w, prior.core_w) > 0
    assert isfinite(prior.trip_c)
    assert [other.board for other in BOARDS].count(prior.board) == 1
