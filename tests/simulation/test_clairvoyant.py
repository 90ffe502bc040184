"""Whom nobody can beat, and by how little."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.core.dial import Setting
from edgeapp.simulation.clairvoyant import clairvoyant
from edgeapp.simulation.frontier import frontier
from edgeapp.simulation.linear_program import solve
from edgeapp.simulation.player import PolicyOf
from edgeapp.simulation.policies import Fixed, RandomWalk, none, plain_decision, thresholds
from edgeapp.simulation.scenarios import HEAT, TUNING_SEEDS
from edgeapp.simulation.score import run
from edgeapp.simulation.spec import Scenario
from edgeapp.simulation.trials import SCENARIOS
from tests.simulation.small_worlds import script, small, two_rungs


@pytest.mark.parametrize(("foreign", "ambient_c"), [(0.0, 40.0), (0.02, 45.0), (0.0, 47.0)])
def test_equals_exhaustive_search_where_nothing_has_to_be_loaded(
    foreign: float, ambient_c: float
) -> None:
    """All schedules of nine ticks; closing is a setting, too, and swaps are free in this world."""
    ticks = 9
    scenario = two_rungs(ticks, foreign=foreign, ambient_c=ambient_c)
    key = scenario.tenants[0].ladders[0].key
    choices = [plain_decision({key: Setting(0)}), plain_decision({key: Setting(0, 0)})]
    single = replace(
        scenario,
        tenants=(
            replace(
                scenario.tenants[0],
                ladders=(
                    replace(
                        scenario.tenants[0].ladders[0],
                        rungs=scenario.tenants[0].ladders[0].rungs[:1],
                    ),
                ),
            ),
        ),
    )
    best = max(
        run(single, script(list(schedule))).credit  # type: ignore[arg-type] # a policy
        for schedule in product(choices, repeat=ticks)
    )
    bound = clairvoyant(single)
    assert best / ticks <= bound.utility + 1e-9
    assert bound.schedule <= bound.utility + 1e-9
    assert bound.utility - best / ticks <= 1.0 / ticks, "less than one answer's worth of sharing"


def policies(scenario: Scenario) -> dict[str, PolicyOf]:
    keys = [ladder.key for tenant in scenario.tenants for ladder in tenant.ladders]
    fixed = {
        f"rung {rung}": (lambda _s, _c, rung=rung: Fixed({key: Setting(rung) for key in keys}))
        for rung in range(3)
    }
    walk: Callable[..., RandomWalk] = lambda one, _c: RandomWalk(one.tenants, random.Random(3))  # noqa: E731 - one of several
    return {"none": none, "ladder": thresholds, "random": walk, **fixed}


@pytest.mark.parametrize("name", ["room_25", "hot_box_boot", "burst_storm"])
def test_no_policy_comes_above_it_in_three_minutes(name: str) -> None:
    scenario = replace(SCENARIOS[name](1), duration_s=180.0)
    bound = clairvoyant(scenario)
    for policy, make in policies(scenario).items():
        assert run(scenario, make).utility <= bound.utility + 1e-9, policy


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(HEAT))
def test_no_policy_comes_above_it_and_a_schedule_comes_near(name: str) -> None:
    scenario = SCENARIOS[name](TUNING_SEEDS[-1])
    bound = clairvoyant(scenario)
    for policy, make in policies(scenario).items():
        assert run(scenario, make).utility <= bound.utility + 1e-9, policy
    assert bound.schedule >= 0.96 * bound.utility


def test_a_device_that_never_gets_warm_may_be_at_its_best() -> None:
    scenario = replace(SCENARIOS["cool_idle"](1), duration_s=120.0)
    assert clairvoyant(scenario).utility == pytest.approx(1.0)
    assert clairvoyant(scenario).schedule == pytest.approx(1.0)


def test_hotter_surroundings_are_worth_less() -> None:
    worths = [clairvoyant(two_rungs(60, ambient_c=ambient)).utility for ambient in (15, 40, 45)]
    assert worths == sorted(worths, reverse=True)
    assert worths[0] > worths[-1]


def test_it_is_remembered() -> None:
    assert clairvoyant(small()) is clairvoyant(small())


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 10_000))
def test_the_program_is_solved_to_its_own_dual(rows: int, pieces: int, seed: int) -> None:
    """The value of the amounts equals the bound that the prices prove."""
    rng = np.random.default_rng(seed)
    heat = np.tril(rng.random((rows, rows)))
    limits, worth = rng.random(rows) - 0.2, -np.sort(-rng.random((rows, pieces)), axis=1)
    lengths, penalty = rng.random((rows, pieces)), np.full(rows, 3.0)
    solved = solve(heat, limits, worth, lengths, penalty)
    excess = np.maximum(0.0, heat @ solved.amounts.sum(axis=1) - limits)
    value = (worth * solved.amounts).sum() - penalty @ excess
    prices = np.minimum(solved.prices, penalty)
    rest = np.maximum(0.0, worth - (heat.T @ prices)[:, None])
    assert value == pytest.approx(prices @ limits + (rest * lengths).sum(), abs=2e-3)


def test_the_frontier_lies_above_every_setting_and_is_concave() -> None:
    scenario = small()
    chain = frontier(scenario.tenants, 1.0, 1.0)
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(chain.points, chain.points[1:], strict=False)
    ]
    assert slopes == sorted(slopes, reverse=True)
    assert chain.points[0] == (0.0, 0.0)
    assert chain.points[-1][1] == pytest.approx(1.0)
    for rung in range(4):
        cores = sum(
            ladder.rate_hz * ladder.rungs[rung].cpu_s
            for one in scenario.tenants
            for ladder in one.ladders
        ) + sum(one.base_cores for one in scenario.tenants)
        worth = sum(
            one.weight * ladder.utility(Setting(rung))
            for one in scenario.tenants
            for ladder in one.ladders
        ) / sum(one.weight for one in scenario.tenants)
        assert chain.at(cores) >= worth - 1e-9
