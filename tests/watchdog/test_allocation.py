"""The best combination, against trying them all."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.watchdog import allocation
from edgeapp.watchdog.allocation import Allocation, allocate
from edgeapp.watchdog.options import Option

Combination = tuple[Option, ...]


def option(
    cores: float, utility: float, *, memory_mb: float = 0.0, swaps: int = 0, paused: bool = False
) -> Option:
    return Option({}, paused, cores, utility, memory_mb, swaps)


def rank(combination: Combination, price: float) -> tuple[int, int, int]:
    """What a combination is ranked by: value, then fewer swaps, then fewer cores."""
    return (
        sum(round((o.utility - price * o.swaps) * 1e7) for o in combination),
        -sum(o.swaps for o in combination),
        -sum(round(o.cores * 1e6) for o in combination),
    )


def fits(combination: Combination, cores: float, memory_mb: float | None) -> bool:
    used = sum(round(o.cores * 1e6) for o in combination)
    memory = sum(round(o.memory_mb * 1e3) for o in combination)
    return (
        used <= round(cores * 1e6)
        and cores >= 0
        and (memory_mb is None or memory <= round(memory_mb * 1e3))
    )


def differ(one: Combination, other: Combination) -> int:
    return sum(a is not b for a, b in zip(one, other, strict=True))


def agrees(
    groups: list[list[Option]], cores: float, memory_mb: float | None, price: float
) -> Allocation:
    """Allocate, and try all combinations beside it."""
    found = allocate(groups, cores=cores, memory_mb=memory_mb, price=price)
    every = list(product(*groups))
    possible = [c for c in every if fits(c, cores, memory_mb)]
    assert found.exact
    assert found.feasible == bool(possible)
    if possible:
        assert fits(found.chosen, cores, memory_mb)
        assert rank(found.chosen, price) == max(rank(c, price) for c in possible)
        others = [c for c in possible if differ(c, found.chosen) == 1]
        assert (found.runner_up is not None) == bool(others)
        if found.runner_up is not None:
            assert differ(found.runner_up, found.chosen) == 1
            assert rank(found.runner_up, price) == max(rank(c, price) for c in others)
    elif within := [c for c in every if fits(c, cores, None)]:
        least = min(sum(round(o.memory_mb * 1e3) for o in c) for c in within)
        assert sum(round(o.memory_mb * 1e3) for o in found.chosen) == least
        assert fits(found.chosen, cores, None)
    else:
        least = min(sum(round(o.cores * 1e6) for o in c) for c in every)
        assert sum(round(o.cores * 1e6) for o in found.chosen) == least
    assert found.cores == pytest.approx(sum(o.cores for o in found.chosen))
    assert found.utility == pytest.approx(sum(o.utility for o in found.chosen))
    assert found.memory_mb == pytest.approx(sum(o.memory_mb for o in found.chosen))
    assert found.swaps == sum(o.swaps for o in found.chosen)
    return found


# On a grid many sums are equal; off it none are, and sums are not exact.
COARSE = st.integers(0, 6).map(lambda n: n / 4)
FINE = st.floats(0, 1.5)
AMOUNT = st.one_of(COARSE, FINE)
OPTION = st.builds(
    lambda cores, utility, memory_mb, swaps: option(
        cores, utility, memory_mb=memory_mb * 40, swaps=swaps
    ),
    AMOUNT,
    AMOUNT,
    AMOUNT,
    st.integers(0, 2),
)
GROUPS = st.lists(st.lists(OPTION, min_size=1, max_size=4), max_size=4)


@settings(max_examples=100)
@given(
    GROUPS,
    st.one_of(COARSE.map(lambda c: 2 * c), st.floats(-1, 6)),
    st.one_of(st.none(), st.floats(0, 250), COARSE.map(lambda m: m * 80)),
    st.sampled_from([0.0, 0.02, 0.25]),
)
def test_it_is_the_best_of_all_combinations(
    groups: list[list[Option]], cores: float, memory_mb: float | None, price: float
) -> None:
    agrees(groups, cores, memory_mb, price)


@settings(max_examples=60)
@given(st.lists(st.lists(st.builds(option, COARSE, COARSE), min_size=1, max_size=4), max_size=3))
def test_every_limit_that_just_fits_is_used_to_the_last(groups: list[list[Option]]) -> None:
    """Sums of floats that are equal but for noise are equal."""
    shrunk = [[option(o.cores * 0.1 + 0.1, o.utility) for o in group] for group in groups]
    for total in {round(sum(o.cores for o in c), 9) for c in product(*shrunk)}:
        agrees(shrunk, total, None, 0.0)


def test_nothing_to_choose_is_chosen() -> None:
    found = allocate([], cores=1)
    assert found.chosen == ()
    assert found.feasible
    assert found.runner_up is None


def test_of_equal_utility_fewer_swaps_then_fewer_cores_win() -> None:
    moved, dear, cheap = option(0.1, 1.0, swaps=1), option(0.6, 1.0), option(0.5, 1.0)
    assert allocate([[moved, dear, cheap]], cores=1).chosen == (cheap,)


def test_float_noise_is_no_reason_to_swap() -> None:
    here, there = option(0.3, 0.1 + 0.2), option(0.3, 0.3, swaps=1)
    noisy = option(0.3, 0.3 + 1e-9, swaps=1)
    assert allocate([[there, noisy, here]], cores=1).chosen == (here,)


def test_a_swap_must_be_worth_its_price() -> None:
    here, better = option(0.2, 0.90), option(0.4, 0.95, swaps=1)
    assert allocate([[here, better]], cores=1, price=0.04).chosen == (better,)
    assert allocate([[here, better]], cores=1, price=0.06).chosen == (here,)


def test_what_costs_nothing_is_taken_without_any_room() -> None:
    free, dear = option(0.0, 0.5), option(0.5, 1.0)
    found = allocate([[dear, free], [free]], cores=0)
    assert found.chosen == (free, free)
    assert found.feasible


def test_a_greedy_choice_is_not_the_best() -> None:
    """The best gain for each core first would leave the room half empty."""
    greedy = [[option(0, 0), option(0.6, 0.7)], [option(0, 0), option(1.0, 1.0)]]
    assert allocate(greedy, cores=1.0).utility == 1.0


def test_no_room_at_all_takes_the_least_cores_and_says_so() -> None:
    critical = [option(0.3, 0.4), option(0.9, 1.0)]
    other = [option(0.0, 0.0, paused=True), option(0.1, 0.3)]
    for cores in (0.2, 0.0, -3.0, float("nan"), float("-inf")):
        found = allocate([critical, other], cores=cores)
        assert found.chosen == (critical[0], other[0])
        assert not found.feasible
        assert found.runner_up is None


def test_no_memory_takes_the_least_memory_that_the_cores_allow() -> None:
    small, large = option(0.3, 0.4, memory_mb=20), option(0.9, 1.0, memory_mb=50)
    frugal_but_dear = option(2.0, 1.0, memory_mb=1)
    found = allocate([[small, large, frugal_but_dear]], cores=1, memory_mb=10)
    assert found.chosen == (small,)
    assert not found.feasible


def test_memory_decides_where_cores_do_not() -> None:
    groups = [[option(0.5, 1.0, memory_mb=40), option(0.5, 0.8, memory_mb=10)] for _ in range(3)]
    found = agrees(groups, 2.0, 65.0, 0.0)
    assert [o.utility for o in found.chosen].count(1.0) == 1


def test_unlimited_room_takes_the_best_of_everything() -> None:
    groups = [[option(0.1, 0.1), option(9.0, 0.9, memory_mb=1e6)]] * 8
    assert allocate(groups, cores=float("inf")).utility == pytest.approx(7.2)


def adversarial() -> list[list[Option]]:
    """Utility grows as cores do, and hardly two sums are equal: no bound cuts anything off."""
    draw = random.Random(5)
    cores = [[draw.random() for _ in range(19)] for _ in range(8)]
    return [[option(c, c + 0.1) for c in group] for group in cores]


def test_where_there_is_too_much_to_look_at_the_best_found_is_good_and_says_so() -> None:
    found = allocate(adversarial(), cores=4.0)
    assert found.feasible
    assert not found.exact
    assert found.cores <= 4.0
    # Nothing could be better than all room used.
    assert 4.8 - 1e-3 < found.utility <= 4.8


def test_work_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: no group is tried on more states than are kept."""
    expanded = []
    step = allocation._Search.step

    def counted(
        search: allocation._Search, at: int, states: list[allocation._State], lowest: int | None
    ) -> list[tuple[int, allocation._State]]:
        expanded.append(len(states))
        return step(search, at, states, lowest)

    monkeypatch.setattr(allocation._Search, "step", counted)
    allocate(adversarial(), cores=4.0)
    assert max(expanded) == allocation.MOST_STATES
    assert len(expanded) == 8


def eight_cameras(seed: int) -> tuple[list[list[Option]], float, float]:
    """As eight pipelines of 6 rungs and 3 divisors come out of `options_of`, and what they have."""
    draw = random.Random(seed)
    groups = []
    for _ in range(8):
        top, steep = draw.uniform(0.3, 0.9), draw.uniform(0.5, 0.7)
        rungs = [(top * steep**k, 1 - 0.06 * k * draw.random(), 40 * 0.8**k) for k in range(6)]
        group = [option(0, 0)]
        for at, (cores, utility, memory_mb) in enumerate(rungs):
            group += [
                option(cores / d, utility * d**-0.3, memory_mb=memory_mb, swaps=int(at != 2))
                for d in (1, 2, 4)
            ]
        groups.append(group)
    return groups, draw.uniform(0.5, 3.0), draw.uniform(60.0, 250.0)


@pytest.mark.parametrize("seed", range(5))
def test_eight_pipelines_are_solved_exactly(seed: int) -> None:
    groups, cores, memory_mb = eight_cameras(seed)
    free = allocate(groups, cores=cores, price=0.02)
    tight = allocate(groups, cores=cores, memory_mb=memory_mb, price=0.02)
    assert free.exact
    assert tight.exact
    assert tight.memory_mb <= memory_mb + 1e-3
    value = free.utility - 0.02 * free.swaps
    assert tight.utility - 0.02 * tight.swaps <= value + 1e-6
