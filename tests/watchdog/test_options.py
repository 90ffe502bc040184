"""The ways in which a pipeline can run."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.core.dial import Setting
from edgeapp.watchdog.ladder import CLOSED, Ladder, Rung, StageKey, Tenant
from edgeapp.watchdog.options import MOST_OPTIONS, Option, options_of, warm_mb
from edgeapp.watchdog.tick import StageWork, Work

RUNGS = (
    Rung("m", 0.080, 0.50, wall_s=0.050, memory_mb=60),
    Rung("s", 0.040, 0.45, wall_s=0.025, memory_mb=30),
    Rung("n", 0.010, 0.35, wall_s=0.008, memory_mb=12),
)


def tenant(*ladders: Ladder, critical: bool = False, base_cores: float = 0.05) -> Tenant:
    return Tenant("porch", ladders, weight=2.0, critical=critical, base_cores=base_cores)


def ladder(stage: str = "detect", rungs: tuple[Rung, ...] = RUNGS, **given: object) -> Ladder:
    return replace(Ladder("porch", stage, rungs, rate_hz=10.0), **given)  # type: ignore[arg-type]  # as given


def work(
    *works: tuple[str, StageWork], paused: frozenset[str] = frozenset(), own_cores: float = 0.5
) -> Work:
    return Work(own_cores, {("porch", stage): own for stage, own in works}, paused)


def on(setting: Setting, **given: object) -> StageWork:
    return replace(StageWork(10.0, setting), **given)  # type: ignore[arg-type]  # as given


def options(of: Tenant, doing: Work, **given: object) -> tuple[Option, ...]:
    return options_of(of, doing, **{"rates": {}, **given})  # type: ignore[arg-type]  # as given


def settings_of(found: tuple[Option, ...], stage: str = "detect") -> set[Setting]:
    return {o.settings["porch", stage] for o in found if not o.paused}


def running(found: tuple[Option, ...]) -> list[Option]:
    return [o for o in found if not o.paused]


def only(found: tuple[Option, ...], setting: Setting) -> Option:
    [one] = [o for o in running(found) if o.settings["porch", "detect"] == setting]
    return one


HERE = work(("detect", on(Setting(1))))


def test_an_option_costs_what_runs_and_is_worth_its_weight() -> None:
    found = options(tenant(ladder()), work(("detect", on(Setting(0)))))
    one = only(found, Setting(0, 2))
    assert one.cores == pytest.approx(0.05 + 10 / 2 * 0.080)
    assert one.utility == pytest.approx(2.0 * 2**-0.3)
    assert one.memory_mb == 60 + 30
    assert one.swaps == 0
    assert not one.late
    assert not one.now
    assert only(found, Setting(2)).swaps == 1


def test_what_runs_now_is_marked_and_costs_no_swap() -> None:
    found = options(tenant(ladder()), HERE)
    [now] = [o for o in found if o.now]
    assert now.settings["porch", "detect"] == Setting(1)
    assert now.swaps == 0
    assert only(found, Setting(1, 4)).swaps == 0


def test_what_was_wanted_last_counts_as_now_while_a_stage_is_on_its_way() -> None:
    found = options(tenant(ladder()), HERE, held={("porch", "detect"): Setting(0)})
    assert only(found, Setting(0)).now
    assert only(found, Setting(1)).swaps == 1


def test_the_cheapest_come_first_and_at_rest_before_all() -> None:
    found = options(tenant(ladder()), HERE)
    assert found[0].paused
    assert found[0].cores == 0
    assert all(a.cores <= b.cores for a, b in pairwise(found))


def test_a_closed_gate_keeps_the_devices_open_and_the_rung() -> None:
    closed = only(options(tenant(ladder()), HERE), Setting(1, CLOSED))
    assert closed.cores == pytest.approx(0.05)
    assert closed.utility == 0
    assert closed.swaps == 0


def test_what_is_critical_is_never_paused_and_its_gate_never_closed() -> None:
    found = options(tenant(ladder(), critical=True), HERE, inflation=50.0, stretch=9.0)
    assert found
    assert not any(o.paused for o in found)
    assert CLOSED not in {s.divisor for s in settings_of(found)}


def test_struck_rungs_are_no_choice_and_no_standby() -> None:
    found = options(
        tenant(ladder()), work(("detect", on(Setting(0), struck=frozenset({1})))), held=None
    )
    assert {s.rung for s in settings_of(found)} == {0, 2}
    assert only(found, Setting(0)).memory_mb == 60 + 12


def test_a_wanted_rung_that_was_struck_is_what_the_stage_does_instead() -> None:
    found = options(
        tenant(ladder()),
        work(("detect", on(Setting(2), struck=frozenset({0})))),
        held={("porch", "detect"): Setting(0)},
    )
    assert only(found, Setting(2)).now


def test_where_all_rungs_are_struck_what_answers_stays() -> None:
    doing = work(("detect", on(Setting(1), struck=frozenset({0, 1, 2}))))
    assert {s.rung for s in settings_of(options(tenant(ladder()), doing))} == {1}


def test_a_pinned_stage_has_one_choice_and_its_pipeline_keeps_running() -> None:
    doing = work(("detect", on(Setting(1), pinned=Setting(0, 3))), ("ocr", on(Setting(2))))
    found = options(tenant(ladder(), ladder("ocr")), doing)
    assert settings_of(found) == {Setting(0, 3)}
    assert len(settings_of(found, "ocr")) > 3
    assert not any(o.paused for o in found)


def test_a_pin_is_obeyed_although_its_answers_come_late() -> None:
    doing = work(("detect", on(Setting(1), pinned=Setting(0))))
    assert settings_of(options(tenant(ladder(deadline_s=0.01)), doing)) == {Setting(0)}


def test_in_an_emergency_pins_are_not_obeyed() -> None:
    doing = work(("detect", on(Setting(1), pinned=Setting(0))))
    found = options(tenant(ladder()), doing, obey_pins=False)
    assert Setting(2, 4) in settings_of(found)
    assert any(o.paused for o in found)


def test_what_somebody_paused_stays_paused_and_free() -> None:
    found = options(tenant(ladder()), work(paused=frozenset({"porch"})))
    [one] = found
    assert one.paused
    assert one.now
    assert (one.cores, one.utility, one.memory_mb, one.swaps) == (0, 0, 0, 0)


def test_what_we_paused_may_run_again_and_has_to_load_its_models_for_it() -> None:
    found = options(tenant(ladder()), work(paused=frozenset({"porch"})), paused_by_us=True)
    assert [o.paused for o in found if o.now] == [True]
    assert {o.swaps for o in running(found)} == {1}


def test_answers_that_would_be_too_old_are_no_choice() -> None:
    found = options(tenant(ladder(deadline_s=0.060)), work(), inflation=2.0)
    assert {s.rung for s in settings_of(found) if s.divisor != CLOSED} == {1, 2}
    found = options(tenant(ladder(deadline_s=0.060)), work(), inflation=2.0, stretch=2.0)
    assert {s.rung for s in settings_of(found) if s.divisor != CLOSED} == {2}


def test_a_thread_that_cannot_keep_up_is_no_choice() -> None:
    found = options(tenant(ladder()), work(("detect", on(Setting(0)))), stretch=2.5)
    # 10 Hz x 0.08 s x 2.5 is 2 s in a second, half of them 1 s, a quarter of them 0.5 s
    assert Setting(0, 4) in settings_of(found)
    assert not {Setting(0), Setting(0, 2), Setting(1)} & settings_of(found)


def test_where_nothing_is_in_time_the_least_remains_and_says_so() -> None:
    found = options(tenant(ladder(deadline_s=0.001), critical=True), HERE)
    [one] = found
    assert one.late
    assert one.settings["porch", "detect"] == Setting(2, 4)


def test_a_rate_that_trembles_about_the_limit_does_not_move_the_setting() -> None:
    """Room to climb is less than room to stay."""
    near = {("porch", "detect"): 10.9}  # 0.872 of the thread's time, of 0.9
    above = work(("detect", on(Setting(0))))
    assert Setting(0) in settings_of(options(tenant(ladder()), above, rates=near))
    assert Setting(0) not in settings_of(options(tenant(ladder()), HERE, rates=near))


def test_a_rung_that_is_as_good_in_nothing_is_left_out_unless_it_runs() -> None:
    rungs = (*RUNGS, Rung("odd", 0.045, 0.30, wall_s=0.03, memory_mb=70))
    doing = work(("detect", on(Setting(0))))
    assert 3 not in {s.rung for s in settings_of(options(tenant(ladder(rungs=rungs)), doing))}
    doing = work(("detect", on(Setting(3))))
    assert Setting(3) in settings_of(options(tenant(ladder(rungs=rungs)), doing))


def test_no_divisors_where_packets_must_not_be_left_out() -> None:
    found = options(tenant(ladder(divisors=(1,))), HERE)
    assert {s.divisor for s in settings_of(found)} == {1}
    assert found[0].paused


def test_what_was_divided_before_its_model_was_exchanged_is_divided_no_more() -> None:
    for divisor in (CLOSED, 4):
        held = {("porch", "detect"): Setting(1, divisor)}
        found = options(tenant(ladder(divisors=(1,))), HERE, held=held)
        assert {s.divisor for s in settings_of(found)} == {1}
        assert only(found, Setting(1)).now


def test_what_was_pinned_before_at_a_rate_of_its_own_may_stay() -> None:
    found = options(tenant(ladder()), work(("detect", on(Setting(1, 3)))))
    assert only(found, Setting(1, 3)).now


def test_standbys_take_memory_only_where_they_are_kept() -> None:
    one = ladder()
    assert warm_mb(one, 0, struck=frozenset(), standbys=True) == 90
    assert warm_mb(one, 0, struck=frozenset(), standbys=False) == 60
    assert warm_mb(one, 2, struck=frozenset(), standbys=True) == 12
    without = options(tenant(one), HERE, standbys=False)
    assert only(without, Setting(1)).memory_mb == 30


def test_a_pipeline_without_models_runs_or_is_paused() -> None:
    found = options(tenant(), work())
    assert [(o.paused, o.cores, o.utility) for o in found] == [(True, 0, 0), (False, 0.05, 2.0)]


def test_a_zero_rate_divides_nothing_by_zero() -> None:
    found = options(tenant(ladder(rate_hz=0.0)), HERE)
    assert max(o.utility for o in found) == pytest.approx(2.0)


def test_many_model_stages_stay_few_options() -> None:
    stages = [ladder(f"s{i}") for i in range(7)]
    doing = work(*((f"s{i}", on(Setting(i % 3))) for i in range(7)))
    found = options(tenant(*stages), doing)
    assert len(found) <= MOST_OPTIONS + 3
    [now] = [o for o in found if o.now]
    assert [now.settings["porch", f"s{i}"].rung for i in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert running(found)[0].cores == pytest.approx(0.05)
    best = max(o.utility for o in found)
    assert best == pytest.approx(2.0)


AMOUNT = st.one_of(st.integers(0, 4).map(lambda n: n / 4), st.floats(0, 1))
RUNG = st.builds(
    lambda cpu_s, accuracy, wall_s, memory_mb: Rung(
        "v", cpu_s * 0.2, accuracy, wall_s * 0.1, memory_mb * 50
    ),
    AMOUNT,
    AMOUNT,
    AMOUNT,
    AMOUNT,
)
LADDERS = st.lists(
    st.tuples(
        st.lists(RUNG, min_size=1, max_size=3).map(tuple),
        st.sampled_from([(1,), (1, 2)]),
        st.sampled_from([None, 0.05]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=2,
)


@given(LADDERS, st.booleans(), st.floats(0, 2), st.floats(0, 150), st.sampled_from([0.0, 0.1]))
def test_nothing_that_could_be_the_best_is_left_out(
    drawn: list[tuple[tuple[Rung, ...], tuple[int, ...], float | None, int]],
    critical: bool,
    cores: float,
    memory_mb: float,
    price: float,
) -> None:
    """Whatever is scarce, the best of these is as good as the best of all combinations."""
    ladders = tuple(
        ladder(f"s{i}", rungs=rungs, divisors=divisors, deadline_s=deadline_s)
        for i, (rungs, divisors, deadline_s, _) in enumerate(drawn)
    )
    now = [Setting(at % len(rungs)) for rungs, _, _, at in drawn]
    doing = work(*((f"s{i}", on(setting)) for i, setting in enumerate(now)))
    of = tenant(*ladders, critical=critical)
    found = options(of, doing)
    every = list(
        product(*(choices(one, at, critical) for one, at in zip(ladders, now, strict=True)))
    )

    def best(values: list[tuple[float, float, float, int]]) -> float | None:
        fits = [v for v in values if v[0] <= cores and v[2] <= memory_mb]
        return max((v[1] - price * v[3] for v in fits), default=None)

    ours = best([(o.cores - 1e-9, o.utility, o.memory_mb - 1e-9, o.swaps) for o in running(found)])
    theirs = best(
        [
            (
                of.base_cores + sum(c[0] for c in combination),
                of.weight / len(ladders) * sum(c[1] for c in combination),
                sum(c[2] for c in combination),
                sum(c[3] for c in combination),
            )
            for combination in every
        ]
    )
    if ours is None or theirs is None:
        roomy = [o for o in running(found) if o.cores <= cores - 1e-6]
        assert theirs is None or not [o for o in roomy if o.memory_mb <= memory_mb - 1e-6]
    else:
        assert ours >= theirs - 1e-6


Choice = tuple[float, float, float, int]


def choices(one: Ladder, now: Setting, critical: bool) -> list[Choice]:
    """All settings of a stage at the full clock, spelled out: cores, worth, memory, swaps."""
    found = []
    for rung, divisor in product(range(len(one.rungs)), one.divisors):
        costs, held = one.rungs[rung], one.rungs[now.rung]
        lane, held_lane = 10 / divisor * costs.cpu_s, 10 * held.cpu_s
        room = 0.95 if lane > held_lane or costs.wall_s > held.wall_s else 1.0
        late = one.deadline_s is not None and costs.wall_s > one.deadline_s * room
        if not late and lane <= 0.9 * room:
            found.append(choice(one, Setting(rung, divisor), now))
    if not found:
        # The lightest, and of two such the one that answers sooner.
        _, _, i = min((rung.cpu_s, rung.wall_s, i) for i, rung in enumerate(one.rungs))
        found = [choice(one, Setting(i, one.divisors[-1]), now)]
    if critical or not one.may_divide:
        return found
    return [*found, choice(one, Setting(now.rung, CLOSED), now)]


def choice(one: Ladder, setting: Setting, now: Setting) -> Choice:
    closed = setting.divisor == CLOSED
    rung = one.rungs[setting.rung]
    below = [r.memory_mb for r in one.rungs[setting.rung + 1 :]][:1]
    return (
        0.0 if closed else 10 / setting.divisor * rung.cpu_s,
        one.utility(setting),
        rung.memory_mb + sum(below),
        int(setting.rung != now.rung),
    )


def test_keys_are_those_of_the_stages() -> None:
    found = options(tenant(ladder(), ladder("ocr")), work())
    keys: set[StageKey] = {("porch", "detect"), ("porch", "ocr")}
    assert all(set(o.settings) == keys for o in found)
