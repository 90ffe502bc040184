"""What keeps the governor calm, and what does not have to wait."""

import pytest

from edgeapp.watchdog.bursts import Bursts
from edgeapp.watchdog.calm import PATIENCE_S, Calm
from tests.watchdog.desk import Desk
from tests.watchdog.toy_plant import ToyPlant


def test_the_price_of_a_swap_falls_while_it_is_waited_and_rises_with_swaps() -> None:
    calm = Calm(20.0)
    calm.note(0.0, swaps=10)
    soon, later = calm.price_of_waiting(30.0), calm.price_of_waiting(300.0)
    assert soon > calm.price(30.0) > later
    calm.note(30.0, swaps=10)
    assert calm.price_of_waiting(60.0) > soon


def test_nobody_waits_for_a_gain_that_is_known_to_last() -> None:
    calm = Calm(20.0)
    calm.note(0.0, swaps=10)
    assert calm.price_of_waiting(30.0, 300.0) == pytest.approx(calm.price_of_waiting(300.0))
    assert calm.price_of_waiting(300.0, PATIENCE_S) == calm.price_of_waiting(300.0)


def test_how_long_it_is_quiet_between_bursts_is_learned() -> None:
    bursts = Bursts()
    assert bursts.gap_s == 0.0
    for _ in range(6):
        for _ in range(540):
            bursts.look(1.0, 0.1)
        for _ in range(60):
            bursts.look(1.0, 1.6)
    assert bursts.gap_s == pytest.approx(540.0, rel=0.15)


def test_a_step_down_does_not_put_off_the_next_one_when_the_trip_is_at_stake() -> None:
    desk = Desk(plant=ToyPlant(ambient_c=33.0))
    desk.run(700)
    desk.foreign = 0.7
    desk.run(12)
    desk.foreign = 2.7
    seen = [desk.tick() for _ in range(3)]
    downs = [decision.cores_chosen for decision in seen if decision.changed]
    assert len(downs) > 1, "the second step down waits for the first one to work"
    assert downs[-1] < 0.5 * downs[0]
