"""What is wrong with ladders, limits and priors is said; and nothing of it makes anything crash."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.watchdog.checks import complaints, floor_of, impossible
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.limits import BatteryGoal, Limits, Prior

M = Rung("m", 0.080, 0.50, wall_s=0.050, memory_mb=60)
S = Rung("s", 0.040, 0.45, wall_s=0.025, memory_mb=30)
LIMITS, PRIOR = Limits(cores=4), Prior("bench")


def of(*rungs: Rung, **given: object) -> list[Tenant]:
    one = replace(Ladder("porch", "detect", rungs, 10.0), **given)  # type: ignore[arg-type]  # as given
    return [Tenant("porch", (one,))]


GOOD = of(M, S)


def test_what_is_right_is_passed_over_in_silence() -> None:
    assert impossible(GOOD, LIMITS, PRIOR) == []
    assert complaints(GOOD, LIMITS, PRIOR) == []
    assert impossible([], LIMITS, PRIOR) == []
    assert impossible([Tenant("meter", ())], LIMITS, PRIOR) == []


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(cores=0), "limits: cores is 0"),
        (Limits(cores=4, trip_c=39.9), "limits: trip_c is 39.9"),
        (Limits(cores=4, trip_c=125.5), "from 40 to 125"),
        (Limits(cores=4, trip_c=nan), "trip_c is nan"),
        (Limits(cores=4, margin_c=-1), "margin_c is -1"),
        (Limits(cores=4, margin_c=nan), "margin_c is nan"),
        (Limits(cores=4, margin_c=60), "margin_c is 60 K"),
        (Limits(cores=4, cpu_share=0), "cpu_share is 0"),
        (Limits(cores=4, cpu_share=1.1), "cpu_share is 1.1"),
        (Limits(cores=4, cpu_share=nan), "cpu_share is nan"),
        (Limits(cores=4, cores_without_sensor=-1), "cores_without_sensor is -1"),
        (Limits(cores=4, power_w=0), "power_w is 0 W"),
        (Limits(cores=4, power_w=inf), "power_w is inf W"),
        (Limits(cores=4, memory_reserve_mb=-5), "memory_reserve_mb is -5"),
        (Limits(cores=4, swaps_per_h=0), "swaps_per_h is 0"),
        (Limits(cores=4, battery=BatteryGoal(0)), "battery: for_s is 0 s"),
        (Limits(cores=4, battery=BatteryGoal(60, reserve=1)), "battery: reserve is 1"),
        (Limits(cores=4, battery=BatteryGoal(60, reserve=nan)), "battery: reserve is nan"),
        (Limits(cores=4, battery=BatteryGoal(60, capacity_wh=0)), "battery: capacity_wh is 0 Wh"),
    ],
)
def test_limits_that_nobody_can_keep(limits: Limits, says: str) -> None:
    [problem] = impossible(GOOD, limits, PRIOR)
    assert says in problem


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        (Prior("x", trip_c=20), "prior of board 'x': trip_c is 20"),
        (Prior("x", board_tau_s=0), "board_tau_s is 0"),
        (Prior("x", die_tau_s=-1), "die_tau_s is -1"),
        (Prior("x", board_k_per_core=nan), "board_k_per_core is nan"),
        (Prior("x", die_k_per_core=inf), "die_k_per_core is inf"),
        (Prior("x", core_w=0), "core_w is 0"),
        (Prior("x", idle_w=-2), "idle_w is -2"),
        (Prior("x", idle_k=nan), "idle_k is nan"),
        (Prior("x", ambient_c=900), "ambient_c is 900"),
    ],
)
def test_priors_of_no_device_on_earth(prior: Prior, says: str) -> None:
    [problem] = impossible(GOOD, LIMITS, prior)
    assert says in problem


@pytest.mark.parametrize(
    ("tenants", "says"),
    [
        (of(), "pipeline 'porch', stage 'detect': its ladder has no rungs"),
        (of(M, rate_hz=nan), "stage 'detect': rate_hz is nan Hz"),
        (of(M, rate_hz=-1.0), "rate_hz is -1 Hz"),
        (of(M, deadline_s=0.0), "deadline_s is 0 s"),
        (of(M, divisors=()), "divisors are none"),
        (of(M, divisors=(2, 4)), "divisors are 2, 4"),
        (of(M, divisors=(1, 4, 2)), "divisors are 1, 4, 2"),
        (of(replace(M, cpu_s=nan)), "variant 'm': cpu_s is nan s"),
        (of(replace(M, cpu_s=-0.1)), "edgeapp bench"),
        (of(replace(M, call_cpu_s=nan)), "call_cpu_s is nan s"),
        (of(replace(M, wall_s=inf)), "wall_s is inf s"),
        (of(replace(M, memory_mb=-1)), "memory_mb is -1 MB"),
        (of(replace(M, accuracy=nan)), "accuracy is nan"),
        (of(replace(M, accuracy=-0.5)), "give the variant its 'accuracy'"),
        ([GOOD[0], GOOD[0]], "there are two of this name"),
        ([replace(GOOD[0], weight=nan)], "weight is nan"),
        ([replace(GOOD[0], weight=-1.0)], "weight is -1"),
        ([replace(GOOD[0], base_cores=-1.0)], "base_cores is -1"),
        ([replace(GOOD[0], name="gate")], "is one of pipeline 'porch'"),
        ([replace(GOOD[0], ladders=GOOD[0].ladders * 2)], "has two ladders"),
    ],
)
def test_ladders_that_nobody_can_plan_with(tenants: list[Tenant], says: str) -> None:
    [problem] = impossible(tenants, LIMITS, PRIOR)
    assert says in problem


def test_all_mistakes_are_told_at_once() -> None:
    tenants = of(replace(M, cpu_s=nan, wall_s=-1.0), rate_hz=nan)
    limits = Limits(cores=0, trip_c=5, battery=BatteryGoal(-1))
    assert len(impossible(tenants, limits, Prior("x", core_w=-1))) == 7


@pytest.mark.parametrize(
    ("tenants", "says"),
    [
        (of(S, replace(M, accuracy=0.4, memory_mb=10)), "variant 'm': it needs 0.08 s of CPU time"),
        (of(S, replace(M, accuracy=0.4, cpu_s=0.01)), "variant 'm': it takes 60 MB"),
        (of(S, replace(M, cpu_s=0.01, memory_mb=3)), "it is more accurate (0.5) than 's' above it"),
        (of(M, replace(S, accuracy=0.0)), "variant 's': its accuracy is missing or 0"),
        (of(replace(M, accuracy=0.0), replace(S, accuracy=0.0)), "the accuracy of no variant"),
        (of(replace(M, accuracy=50.0), S), "give a fraction"),
        (of(M, replace(S, cpu_s=0.0)), "it costs no CPU time"),
        (of(M, S, rate_hz=0.0), "no packet is expected"),
        (of(M, S, deadline_s=0.02), "even its fastest variant takes 0.025 s"),
        (of(M, S, rate_hz=100.0, divisors=(1,)), "keeps its thread busy for 400%"),
        ([replace(GOOD[0], weight=0.0)], "its weight is 0"),
        ([replace(GOOD[0], base_cores=4.0)], "they need 4.10 cores, and 3.60 may be used"),
    ],
)
def test_ladders_that_cannot_be_meant_are_told(tenants: list[Tenant], says: str) -> None:
    assert impossible(tenants, LIMITS, PRIOR) == []
    told = complaints(tenants, LIMITS, PRIOR)
    assert says in " | ".join(told)
    assert all("pipeline" in one and ("; " in one or ", so " in one) for one in told)


def test_a_rung_that_is_never_chosen_is_named_with_the_one_that_is_better() -> None:
    odd = Rung("odd", 0.045, 0.44, wall_s=0.030, memory_mb=35)
    told = complaints(of(M, S, odd), LIMITS, PRIOR)
    assert any("'s' is as good in everything" in one and "variant 'odd'" in one for one in told)


def test_memory_that_differs_by_the_noise_of_its_measurement_is_nothing_to_tell() -> None:
    assert complaints(of(M, replace(S, memory_mb=M.memory_mb + 1.0)), LIMITS, PRIOR) == []


def test_of_two_equal_rungs_one_is_never_chosen() -> None:
    told = complaints(of(M, replace(M, variant="twin")), LIMITS, PRIOR)
    [one] = [one for one in told if "never chosen" in one]
    assert one.startswith("pipeline 'porch', stage 'detect', variant 'twin': 'm' is as good")


@pytest.mark.parametrize(
    ("limits", "prior", "says"),
    [
        (Limits(cores=4, trip_c=90), PRIOR, "slows down from 80 °C on"),
        (Limits(cores=4, trip_c=50), PRIOR, "that does nothing is expected at 53 °C"),
        (Limits(cores=4, power_w=2.0), PRIOR, "takes 2.1 W"),
        (Limits(cores=4, cores_without_sensor=4), PRIOR, "more than the 3.6 cores"),
    ],
)
def test_limits_that_cannot_be_meant_are_told(limits: Limits, prior: Prior, says: str) -> None:
    assert impossible(GOOD, limits, prior) == []
    [told] = complaints(GOOD, limits, prior)
    assert says in told


NUMBER = st.one_of(st.sampled_from([nan, inf, -inf, 0.0, -0.0, -1.0, 1e308]), st.floats(0, 2))


@settings(max_examples=60)
@given(
    st.lists(st.builds(Rung, st.just("v"), NUMBER, NUMBER, NUMBER, NUMBER), max_size=3).map(tuple),
    NUMBER,
    st.lists(st.integers(-2, 8), max_size=3).map(tuple),
    st.one_of(st.none(), NUMBER),
    st.builds(
        Limits, st.integers(-1, 4), NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, memory_reserve_mb=NUMBER
    ),
    st.builds(Prior, st.just("x"), *[NUMBER] * 9),
)
def test_whatever_is_given_is_answered_in_sentences(
    rungs: tuple[Rung, ...],
    rate_hz: float,
    divisors: tuple[int, ...],
    deadline_s: float | None,
    limits: Limits,
    prior: Prior,
) -> None:
    tenants = [Tenant("p", (Ladder("p", "s", rungs, rate_hz, divisors, deadline_s),))]
    problems = impossible(tenants, limits, prior)
    if not problems:
        problems = complaints(tenants, limits, prior)
    assert all(": " in one and "\n" not in one for one in problems)


def test_the_floor_is_the_cheapest_rung_that_can_be_used() -> None:
    dear_last = of(M, S, replace(M, variant="old", cpu_s=0.3))[0].ladders[0]
    assert floor_of(dear_last) == 1
    assert floor_of(dear_last, frozenset({1})) == 0
    assert floor_of(dear_last, frozenset({0, 1, 2})) == 2


def test_of_equally_cheap_rungs_the_floor_is_the_better_one() -> None:
    assert floor_of(of(M, replace(S, cpu_s=0.08))[0].ladders[0]) == 0
