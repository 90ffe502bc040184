"""The application as arithmetic."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.dial import Setting
from edgeapp.simulation.app_model import LOAD_CORE_S, LOAD_CORES, AppModel, fair_level, floor_of
from edgeapp.simulation.policies import Settings, best_of, plain_decision
from edgeapp.simulation.scenarios import tenants

TENANTS = tenants()
CAMERA = TENANTS[0].ladders[0].key


def app(settings: Settings, cores: int = 4) -> AppModel:
    model = AppModel(TENANTS, cores, random.Random(0))
    model.obey(plain_decision(settings))
    return model


def everywhere(rung: int, divisor: int = 1) -> dict[tuple[str, str], Setting]:
    return {ladder.key: Setting(rung, divisor) for one in TENANTS for ladder in one.ladders}


def test_at_rest_all_answers_are_in_time_and_cost_what_they_cost() -> None:
    tick = app(best_of(TENANTS)).tick(1.0, 0.0)
    ladders = [ladder for one in TENANTS for ladder in one.ladders]
    cost = sum(ladder.rate_hz * ladder.rungs[0].cpu_s for ladder in ladders)
    assert tick.utility == pytest.approx(1.0)
    assert tick.missed == 0
    assert tick.work.own_cores == pytest.approx(cost + sum(one.base_cores for one in TENANTS))


def test_a_throttled_clock_makes_the_best_late_and_the_small_ones_dearer() -> None:
    """At 0.4 of the clock the best models need more than a core each: all of them are late."""
    assert app(best_of(TENANTS)).tick(0.4, 0.0).utility == 0
    small = app(everywhere(3))
    assert small.tick(0.5, 0.0).work.own_cores == pytest.approx(
        2 * small.tick(1.0, 0.0).work.own_cores
    )


def test_cpu_time_tells_the_clock_and_wall_time_the_neighbours() -> None:
    model = app(everywhere(2))
    alone = model.tick(1.0, 0.0).work.stages[CAMERA]
    slow = model.tick(0.5, 0.0).work.stages[CAMERA]
    crowded = model.tick(1.0, 8.0).work.stages[CAMERA]
    assert alone.cpu_s
    assert alone.wall_s
    assert slow.cpu_s
    assert crowded.cpu_s
    assert crowded.wall_s
    assert slow.cpu_s / alone.cpu_s == pytest.approx(2.0, rel=0.1)
    assert crowded.cpu_s / alone.cpu_s == pytest.approx(1.0, rel=0.1)
    assert crowded.wall_s / alone.wall_s > 1.5


def test_one_rung_down_is_at_hand_and_one_up_has_to_be_loaded() -> None:
    model = app(everywhere(1))
    model.tick(1.0, 0.0)
    assert model.obey(plain_decision(everywhere(2))) == len(TENANTS)
    assert model.obey(plain_decision(everywhere(0))) == 0
    loading, up = [], 0
    base = sum(one.base_cores for one in TENANTS)
    ladders = [ladder for one in TENANTS for ladder in one.ladders]
    while up < len(TENANTS):
        tick = model.tick(1.0, 0.0)
        stages = tick.work.stages
        at_work = sum(
            ladder.rate_hz * ladder.rungs[stages[ladder.key].actual.rung].cpu_s
            for ladder in ladders
        )
        loading.append(tick.work.own_cores - at_work - base)
        up += model.obey(plain_decision(everywhere(0)))
        assert len(loading) < 30
    # One after the other, on half a core.
    assert max(loading) == pytest.approx(LOAD_CORES, rel=0.01)
    assert sum(loading) >= 0.99 * LOAD_CORE_S * len(TENANTS)


def test_a_fall_by_several_rungs_goes_through_the_standby() -> None:
    model = app(everywhere(0))
    assert model.obey(plain_decision(everywhere(3))) == len(TENANTS)
    assert model.tick(1.0, 0.0).work.stages[CAMERA].actual.rung == 1


def test_without_standbys_a_step_down_has_to_be_loaded() -> None:
    model = app(everywhere(1))
    keep_none = replace(plain_decision(everywhere(1)), keep_standbys=False)
    model.obey(keep_none)
    assert model.obey(replace(keep_none, settings=everywhere(2))) == 0


def test_loading_takes_only_what_is_left() -> None:
    model = app(everywhere(0), cores=2)
    model.obey(plain_decision(everywhere(3)))
    tick = model.tick(1.0, 4.0)
    assert tick.busy_cores == pytest.approx(2.0)
    assert tick.work.stages[CAMERA].opening


def test_closed_and_paused_cost_nothing_but_the_taking_of_pictures() -> None:
    closed = app(everywhere(0, 0)).tick(1.0, 0.0)
    assert closed.work.own_cores == pytest.approx(sum(one.base_cores for one in TENANTS))
    assert closed.utility == closed.wanted == 0
    model = app(best_of(TENANTS))
    model.obey(replace(plain_decision(best_of(TENANTS)), paused=frozenset({"audio"})))
    tick = model.tick(1.0, 0.0)
    assert tick.work.paused == {"audio"}
    assert tick.utility == pytest.approx(2.0 / 2.8)


def test_the_floor_is_the_cheapest_at_its_lowest_rate() -> None:
    assert app(floor_of(TENANTS)).at_floor()
    assert not app(everywhere(3)).at_floor()


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), st.integers(1, 8))
def test_cores_are_shared_fairly_and_none_is_left_idle(wants: list[float], cores: int) -> None:
    """All is used if it is wanted, and nobody who gets less than wanted gets less than another."""
    level = fair_level(wants, cores)
    used = [min(want, level) for want in wants]
    assert sum(used) == pytest.approx(min(sum(wants), cores))
    assert all(one >= level - 1e-9 or one == want for one, want in zip(used, wants, strict=True))
