"""The governor in each world, on a seed that nothing was tuned on."""

from dataclasses import replace

import pytest

from edgeapp.core.clock import Clock
from edgeapp.simulation.clairvoyant import clairvoyant
from edgeapp.simulation.expected import missed
from edgeapp.simulation.player import Moment, play
from edgeapp.simulation.scenarios import HEAT, REPORTING_SEEDS, TUNING_SEEDS
from edgeapp.simulation.score import Score, run
from edgeapp.simulation.spec import Scenario
from edgeapp.simulation.tree import TreeSenses
from edgeapp.simulation.trials import SCENARIOS, with_prior
from edgeapp.watchdog.governor import Governor

SEED = REPORTING_SEEDS[0]
CRITICAL = {"vibration", "camera-0"}
SHORT_OF_95 = {"burst_storm": 0.93, "hot_box_boot": 0.91, "pi5_cabinet": 0.915}
"""Worlds in which the goal, 95 % of the bound, is missed (docs/acceptance.md says so), and what must be
reached all the same."""


def governor(scenario: Scenario, clock: Clock) -> Governor:
    return Governor(scenario.tenants, scenario.limits, scenario.prior, clock)


def test_seeds_for_tuning_and_for_reporting_are_different() -> None:
    assert len(REPORTING_SEEDS) >= 5
    assert not set(REPORTING_SEEDS) & set(TUNING_SEEDS)


def test_a_seed_makes_the_same_world_again_and_another_one_another() -> None:
    for make in SCENARIOS.values():
        assert make(SEED) == make(SEED)
        assert make(SEED).plant != make(SEED + 1).plant


def test_a_run_is_deterministic() -> None:
    scenario = replace(SCENARIOS["burst_storm"](SEED), duration_s=300.0)
    assert run(scenario, governor) == run(scenario, governor)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_governor_comes_to_what_is_expected(name: str) -> None:
    """Each world has a pass condition of its own; what is critical is never paused in any."""
    scenario = SCENARIOS[name](SEED)
    best = clairvoyant(scenario).utility if scenario.expect.ratio_min is not None else None
    score = run(scenario, governor)
    problems = list(missed(scenario.expect, score, best))
    if name in SHORT_OF_95:
        assert best is not None
        [problem] = problems  # once there is none, it is time to take it off the list
        assert "of the best possible" in problem
        assert score.utility >= SHORT_OF_95[name] * best
    else:
        assert not problems
    assert not score.paused & CRITICAL
    if best is not None:
        assert score.utility <= best + 1e-9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_finds_the_chip_beside_a_clock_that_has_a_thermometer() -> None:
    """From files, as on a board with a DS3231: the warm SoC is governed, not the cool clock."""
    scenario = replace(SCENARIOS["ambient_step"](SEED), duration_s=4800.0)
    clock_chip = {
        "class/hwmon/hwmon0/name": "ds3231\n",
        "class/hwmon/hwmon0/temp1_input": "24500\n",
    }
    score = run(scenario, governor, read=TreeSenses(scenario, clock_chip).read)
    assert score.over_s == 0
    assert score.utility >= 0.9 * clairvoyant(scenario).utility


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_that_is_short_costs_standbys_first() -> None:
    scenario = replace(SCENARIOS["memory_pressure"](SEED), duration_s=4500.0)
    kept: list[tuple[float, bool]] = []
    score = Score(scenario.limits.trip_c)

    def watch(moment: Moment) -> None:
        score.note(moment)
        kept.append((moment.state.t_s, moment.decision.keep_standbys))

    play(scenario, governor, watch)
    assert all(keeps for t_s, keeps in kept if t_s < 3600)
    assert not any(keeps for t_s, keeps in kept if 3620 < t_s < 3660)
    assert not score.paused


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_beliefs_that_are_wrong_by_30_percent_cost_little(factor: float) -> None:
    """Over three of the hot worlds, at most three points of the best possible."""
    right, wrong = 0.0, 0.0
    names = ("ambient_step", "hot_box_boot", "pi5_cabinet")
    for name in names:
        scenario = HEAT[name](SEED)
        best = clairvoyant(scenario).utility
        right += run(scenario, governor).utility / best / len(names)
        score = run(with_prior(scenario, factor), governor)
        wrong += score.utility / best / len(names)
        assert score.avoidable_s <= 5
    assert wrong >= right - 0.03
