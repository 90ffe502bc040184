"""What runs on the device of a trace, what must hold, what is believed, and what must come out."""

from itertools import pairwise

from edgeapp.simulation.checked import Table, number, shown
from edgeapp.simulation.spec import Expect
from edgeapp.watchdog.ladder import Ladder, Rung, Tenant
from edgeapp.watchdog.limits import BatteryGoal, Limits, Prior

_MOST_TENANTS, _MOST_LADDERS, _MOST_RUNGS, _MOST_DIVISORS = 64, 16, 16, 8
_MOST_DIVISOR = 1000
_LIMITS = Limits(cores=1)
_PRIOR = Prior("")
_GOAL = BatteryGoal(1.0)
_RUNG = Rung("", 0.0, 0.0)
_LADDER = Ladder("", "", (), 1.0)
_TENANT = Tenant("", ())


def limits_of(table: Table, cores: int | None, trip_c: float | None) -> Limits:
    """The `limits`; cores and trip are the plant's where they are not given."""
    with table:
        goal = None
        if table.has("battery"):
            with table.table("battery") as battery:
                goal = BatteryGoal(
                    for_s=battery.number("for_s", low=1, high=1e9),
                    reserve=battery.number("reserve", _GOAL.reserve, low=0, high=0.99),
                    capacity_wh=battery.maybe("capacity_wh", low=0, high=1e6, above=True),
                )
        return Limits(
            cores=table.whole("cores", cores, low=1, high=4096),
            trip_c=table.number("trip_c", trip_c or _LIMITS.trip_c, low=0, high=150),
            margin_c=table.number("margin_c", _LIMITS.margin_c, low=0, high=50),
            cpu_share=table.number("cpu_share", _LIMITS.cpu_share, low=0, high=1, above=True),
            cores_without_sensor=table.maybe("cores_without_sensor", low=0, high=4096),
            power_w=table.maybe("power_w", low=0, high=10_000, above=True),
            battery=goal,
            memory_reserve_mb=table.number(
                "memory_reserve_mb", _LIMITS.memory_reserve_mb, low=0, high=1e7
            ),
            swaps_per_h=table.number(
                "swaps_per_h", _LIMITS.swaps_per_h, low=0, high=3600, above=True
            ),
        )


def prior_of(table: Table) -> Prior:
    """The `prior`."""
    with table:
        return Prior(
            board=table.text("board", "", empty=True),
            trip_c=table.number("trip_c", _PRIOR.trip_c, low=0, high=150),
            idle_k=table.number("idle_k", _PRIOR.idle_k, low=0, high=200),
            board_k_per_core=table.number(
                "board_k_per_core", _PRIOR.board_k_per_core, low=0, high=100, above=True
            ),
            board_tau_s=table.number("board_tau_s", _PRIOR.board_tau_s, low=1, high=1e6),
            die_k_per_core=table.number(
                "die_k_per_core", _PRIOR.die_k_per_core, low=0, high=100, above=True
            ),
            die_tau_s=table.number("die_tau_s", _PRIOR.die_tau_s, low=0.1, high=1e5),
            idle_w=table.number("idle_w", _PRIOR.idle_w, low=0, high=1000),
            core_w=table.number("core_w", _PRIOR.core_w, low=0, high=1000),
            ambient_c=table.number("ambient_c", _PRIOR.ambient_c, low=-60, high=100),
        )


def tenants_of(top: Table) -> tuple[Tenant, ...]:
    """The `tenants`, if any: pipelines with the ladders of their model stages."""
    tenants: list[Tenant] = []
    for position, value in enumerate(top.items("tenants", required=False, most=_MOST_TENANTS)):
        with Table(top.problems, f"tenants[{position}]", value) as table:
            name = table.text("name", longest=64)
            if name in {other.name for other in tenants}:
                top.problems.add(table.path("name"), f"'{name}' is given twice", "rename one")
            tenants.append(
                Tenant(
                    name,
                    _ladders(table, name),
                    weight=table.number("weight", _TENANT.weight, low=0, high=1e6, above=True),
                    critical=table.flag("critical", default=False),
                    base_cores=table.number("base_cores", 0.0, low=0, high=4096),
                )
            )
    return tuple(tenants)


def _ladders(tenant: Table, pipeline: str) -> tuple[Ladder, ...]:
    ladders: list[Ladder] = []
    where = tenant.path("ladders")
    for position, value in enumerate(tenant.items("ladders", most=_MOST_LADDERS)):
        with Table(tenant.problems, f"{where}[{position}]", value) as table:
            stage = table.text("stage", longest=64)
            if stage in {other.stage for other in ladders}:
                table.problems.add(table.path("stage"), f"'{stage}' is given twice", "rename one")
            ladders.append(
                Ladder(
                    pipeline,
                    stage,
                    _rungs(table),
                    rate_hz=table.number("rate_hz", low=0, high=1e6, above=True),
                    divisors=_divisors(table),
                    deadline_s=table.maybe("deadline_s", low=0, high=3600, above=True),
                )
            )
    return tuple(ladders)


def _rungs(ladder: Table) -> tuple[Rung, ...]:
    rungs = []
    where = ladder.path("rungs")
    for position, value in enumerate(ladder.items("rungs", most=_MOST_RUNGS)):
        with Table(ladder.problems, f"{where}[{position}]", value) as table:
            rungs.append(
                Rung(
                    table.text("variant", longest=200),
                    cpu_s=table.number("cpu_s", low=0, high=3600, above=True),
                    accuracy=table.number("accuracy", low=0, high=1),
                    wall_s=table.number("wall_s", _RUNG.wall_s, low=0, high=3600),
                    memory_mb=table.number("memory_mb", _RUNG.memory_mb, low=0, high=1e6),
                    call_cpu_s=table.maybe("call_cpu_s", low=0, high=3600, above=True),
                )
            )
    if not rungs and isinstance(ladder.raw("rungs"), list):
        ladder.problems.add(where, "is empty", "give at least one rung, the best first")
    return tuple(rungs) or (_RUNG,)


def _divisors(ladder: Table) -> tuple[int, ...]:
    if not ladder.has("divisors"):
        return _LADDER.divisors
    given = ladder.items("divisors", most=_MOST_DIVISORS)
    whole = tuple(one for one in given if type(one) is int and 1 <= one <= _MOST_DIVISOR)
    rising = all(a < b for a, b in pairwise(whole))
    if isinstance(ladder.raw("divisors"), list) and (
        len(whole) < len(given) or whole[:1] != (1,) or not rising
    ):
        where = ladder.path("divisors")
        ladder.problems.add(where, "are no rising whole numbers from 1 on", "as in [1, 2, 4]")
        return _LADDER.divisors
    return whole or _LADDER.divisors


def expect_of(table: Table) -> Expect:
    """The `expect`."""
    with table:
        changes = table.whole("changes_max") if table.has("changes_max") else None
        return Expect(
            ratio_min=table.maybe("ratio_min", low=0, high=1),
            utility_min=table.maybe("utility_min", low=0, high=1),
            over_s_max=table.maybe("over_s_max", low=0, high=1e9),
            avoidable_over_s_max=table.maybe("avoidable_over_s_max", low=0, high=1e9),
            model_swaps_per_h_max=table.maybe("model_swaps_per_h_max", low=0, high=1e6),
            miss_max=table.maybe("miss_max", low=0, high=1),
            infeasible_within_s=table.maybe("infeasible_within_s", low=0, high=1e9),
            detects=_detects(table.table("detects")),
            changes_max=changes,
            battery_lasts_s=_span(table, "battery_lasts_s"),
            replan_within_s=_span(table, "replan_within_s"),
        )


def _detects(table: Table) -> dict[str, tuple[float, float]]:
    found = {}
    with table:
        for name in table.keys():  # noqa: SIM118 - no mapping: asking for the keys allows them all
            if (span := _span(table, name)) is not None:
                found[name] = span
    return found


def _span(table: Table, key: str) -> tuple[float, float] | None:
    if not table.has(key):
        return None
    pair = table.raw(key)
    where = table.path(key)
    if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - a pair
        table.problems.add(where, f"is {shown(pair)}", "write [seconds, seconds]")
        return None
    first, second = (
        number(table.problems, f"{where}[{position}]", value, low=0)
        for position, value in enumerate(pair)
    )
    return first, second
