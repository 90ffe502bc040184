"""The device as physics."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.simulation.plant import Plant, discrete
from edgeapp.simulation.scenarios import pi4, rng_of
from edgeapp.simulation.spec import Inputs, PlantSpec, Throttle

SPEC = pi4(rng_of("plant", 1), 50.0)
COLD = replace(SPEC, throttle=Throttle(on_c=500.0, hard_c=600.0))
AMBIENT = 20.0
INPUTS = Inputs(((0.0, AMBIENT),))


def settled(spec: PlantSpec, busy: float, inputs: Inputs = INPUTS) -> list[float]:
    plant = Plant(spec, AMBIENT)
    for _ in range(400):
        plant.step(30.0, busy, inputs)
    return plant.nodes_c


def test_all_heat_leaves_through_the_chain() -> None:
    """In the steady state each resistance carries the whole power, leakage included."""
    die, board, case = settled(COLD, 2.0)
    power = SPEC.power
    watts = power.idle_w + 2.0 * power.core_w + power.leak_w_per_k * (die - 25.0)
    for above, below, node in zip(
        (die, board, case), (board, case, AMBIENT), SPEC.nodes, strict=True
    ):
        assert above - below == pytest.approx(watts * node.r_k_per_w, rel=1e-6)


def test_a_step_is_exact_whatever_its_length() -> None:
    whole, parts = Plant(COLD, AMBIENT), Plant(COLD, AMBIENT)
    whole.step(64.0, 3.0, INPUTS)
    for _ in range(64):
        parts.step(1.0, 3.0, INPUTS)
    assert whole.nodes_c == pytest.approx(parts.nodes_c, abs=1e-9)


@given(st.floats(0.0, 4.0), st.floats(0.0, 4.0))
def test_more_load_is_never_cooler(a: float, b: float) -> None:
    low, high = sorted((a, b))
    cool, warm = Plant(COLD, AMBIENT), Plant(COLD, AMBIENT)
    for _ in range(5):
        cool.step(7.0, low, INPUTS)
        warm.step(7.0, high, INPUTS)
    assert all(x <= y + 1e-9 for x, y in zip(cool.nodes_c, warm.nodes_c, strict=True))
    assert (discrete(SPEC, 1.0, 1.0)[:, :4] >= 0).all()


def test_throttling_takes_steps_at_the_trip_and_gives_them_back_with_hysteresis() -> None:
    """A step down each second from 80 °C on, held down to 78 °C, and one up again below."""
    plant = Plant(replace(SPEC, start_c=81.0), 81.0)
    assert plant.throttle_step == 1
    seen = []
    for _ in range(900):
        busy = 4.0 if plant.t_s < 600 else 0.0
        state = plant.step(1.0, busy, Inputs(((0.0, 45.0),)))
        seen.append((state.throttle_step, plant.nodes_c[0], plant.throttle_step))
    assert {step for step, _, _ in seen} == {0, 1, 2, 3}
    for before, die_c, after in seen:
        if die_c >= 85.0:
            assert after == 3
        elif die_c >= 80.0:
            assert after == min(before + 1, 3)
        else:
            assert after == (before if die_c >= 78.0 else max(0, before - 1))


def test_a_slower_clock_takes_less_power() -> None:
    slow = Inputs(((0.0, AMBIENT),), clock_cap=((0.0, 0.5),))
    full_w = Plant(COLD, AMBIENT).step(1.0, 2.0, INPUTS).power_w
    slow_w = Plant(COLD, AMBIENT).step(1.0, 2.0, slow).power_w
    assert full_w - slow_w == pytest.approx(2.0 * SPEC.power.core_w * (1 - 0.5**2.2))


def test_a_failed_fan_and_the_sun_warm_it_up() -> None:
    usual = settled(COLD, 1.0)
    failed = settled(COLD, 1.0, Inputs(((0.0, AMBIENT),), r_factor=((0.0, 2.0),)))
    sunny = settled(COLD, 1.0, Inputs(((0.0, AMBIENT),), sun_w=((0.0, 1.0),)))
    assert failed[2] - AMBIENT == pytest.approx(2 * (usual[2] - AMBIENT), rel=0.05)
    assert sunny[2] - usual[2] == pytest.approx(SPEC.nodes[2].r_k_per_w, rel=0.1)
    assert np.all(np.array(sunny) > usual)


def test_inputs_jump_or_go_straight() -> None:
    table = ((10.0, 1.0), (20.0, 3.0))
    steps = Inputs(ambient_c=table, foreign_cores=table)
    line = replace(steps, interpolate="linear")
    assert [steps.at("ambient_c", t) for t in (0, 10, 15, 20, 30)] == [1, 1, 1, 3, 3]
    assert [line.at("ambient_c", t) for t in (0, 10, 15, 20, 30)] == [1, 1, 2, 3, 3]
    assert line.at("foreign_cores", 15) == 1
    assert line.at("on_ac", 15) == 0
