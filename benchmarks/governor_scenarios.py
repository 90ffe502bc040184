"""The governor in simulated worlds, beside no governor, a ladder of thresholds, and a fixed choice.

On the reporting seeds, 3 h each, against a bound that no policy can pass. Prints the whole table;
as arguments: seeds (`101,102`) and names of worlds. All of it takes half an hour on two cores, and
`make accept` keeps the table, and the course of a run in each hot world, in `docs/worlds`.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count
from statistics import fmean

from benchmarks.compare import REPO, Row
from edgeapp.core.clock import Clock
from edgeapp.simulation.clairvoyant import Clairvoyant, clairvoyant
from edgeapp.simulation.expected import missed
from edgeapp.simulation.player import Moment, PolicyOf, play
from edgeapp.simulation.policies import none, thresholds
from edgeapp.simulation.scenarios import HEAT, REPORTING_SEEDS
from edgeapp.simulation.score import Score, best_fixed, one_for_all, run
from edgeapp.simulation.spec import Scenario
from edgeapp.simulation.trials import SCENARIOS, SENSOR_FAULTS, with_prior
from edgeapp.watchdog.governor import Governor

WORSE, BETTER = "governor, prior x 0.7", "governor, prior x 1.3"
GOVERNOR, LADDER, NONE = "governor", "ladder", "none"
FIXED, FIXED_HERE = "best fixed", "best fixed of each world"
"""One choice for all hot worlds; one for each of them, as nobody could know it. First seed only: a
search takes many runs."""
PLAYED = (GOVERNOR, LADDER, NONE, WORSE, BETTER)
COMPARED = (*PLAYED, FIXED, FIXED_HERE)
FOLDER = REPO / "docs" / "worlds"
_RASTER_S = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy in one world with one seed."""

    world: str
    seed: int
    policy: str
    ratio: float
    """Utility over the bound's."""
    of_plan: float
    """Utility over that of a schedule that can be kept, made by somebody who knows everything: the best
    that is possible lies between it and the bound."""
    in_time: float
    """Over the bound's, if answers in time counted also while the hardware slows itself down."""
    swaps_per_h: float
    over_s: int
    avoidable_s: int
    miss: float
    greatest_c: float
    misses: tuple[str, ...]
    """Expectations of the world that the governor missed."""

    def __str__(self) -> str:
        """As in the table: ratio / swaps an hour / seconds above the trip that were avoidable."""
        return f"{self.ratio:.3f}/{self.swaps_per_h:.0f}/{self.avoidable_s}"


def governor(scenario: Scenario, clock: Clock) -> Governor:
    """The real one."""
    return Governor(scenario.tenants, scenario.limits, scenario.prior, clock)


def play_one(task: tuple[str, int]) -> list[Cell]:
    """All policies in one world; without a name, one fixed choice in all hot ones."""
    name, seed = task
    if not name:
        worlds = [make(seed) for make in HEAT.values()]
        found = zip(worlds, one_for_all(worlds), strict=True)
        return [_cell(one, FIXED, score, clairvoyant(one)) for one, score in found]
    scenario = SCENARIOS[name](seed)
    best = clairvoyant(scenario)
    policies: tuple[str, ...] = PLAYED if name in HEAT else (GOVERNOR,)
    if name in HEAT and seed == REPORTING_SEEDS[0]:
        policies = (*PLAYED, FIXED_HERE)
    return [_cell(scenario, policy, _score(scenario, policy), best) for policy in policies]


def _score(scenario: Scenario, policy: str) -> Score:
    if policy == FIXED_HERE:
        return best_fixed(scenario)
    if policy in {WORSE, BETTER}:
        return run(with_prior(scenario, 0.7 if policy == WORSE else 1.3), governor)
    others: dict[str, PolicyOf] = {GOVERNOR: governor, LADDER: thresholds, NONE: none}
    return run(scenario, others[policy])


def _cell(scenario: Scenario, policy: str, score: Score, known: Clairvoyant) -> Cell:
    best = known.utility
    misses = tuple(missed(scenario.expect, score, best)) if policy == GOVERNOR else ()
    if score.utility > best + 1e-9:
        misses = (*misses, "above the bound: the bound is wrong")
    critical = {tenant.name for tenant in scenario.tenants if tenant.critical}
    if score.paused & critical:
        misses = (*misses, "a critical pipeline was paused")
    return Cell(
        scenario.name,
        scenario.seed,
        policy,
        score.utility / best if best > 0 else 0.0,
        score.utility / known.schedule if known.schedule > 0 else 0.0,
        score.in_time / max(1, score.ticks) / best if best > 0 else 0.0,
        score.swaps_per_h,
        score.over_s,
        score.avoidable_s,
        score.miss,
        score.greatest_c,
        misses,
    )


def cells(names: Iterable[str] = SCENARIOS, seeds: Sequence[int] = REPORTING_SEEDS) -> list[Cell]:
    """All runs, as many at a time as there are cores."""
    names = list(names)
    tasks = [("", seed) for seed in seeds[:1] if set(HEAT) <= set(names)]
    tasks += [(name, seed) for name in names for seed in seeds]
    with ProcessPoolExecutor(cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        return [cell for some in pool.map(play_one, tasks) for cell in some]


def table(found: Sequence[Cell]) -> str:
    """Means over the seeds; avoidable seconds and misses are sums, the temperature the greatest."""
    heads = "world|policy|of the best|worst seed|of a plan|in time|swaps/h|hot s|avoidable s|missed %|°C"
    lines = [f"|{heads}|", "|---" * (heads.count("|") + 1) + "|"]
    for world in dict.fromkeys(cell.world for cell in found):
        for policy in COMPARED:
            some = [cell for cell in found if (cell.world, cell.policy) == (world, policy)]
            if some:
                lines.append(
                    f"| {world} | {policy} | {fmean(cell.ratio for cell in some):.3f} "
                    f"| {min(cell.ratio for cell in some):.3f} "
                    f"| {fmean(cell.of_plan for cell in some):.3f} "
                    f"| {fmean(cell.in_time for cell in some):.3f} "
                    f"| {fmean(cell.swaps_per_h for cell in some):.1f} "
                    f"| {sum(cell.over_s for cell in some)} "
                    f"| {sum(cell.avoidable_s for cell in some)} "
                    f"| {100 * fmean(cell.miss for cell in some):.2f} "
                    f"| {max(cell.greatest_c for cell in some):.1f} |"
                )
    return "\n".join(lines)


def rows() -> list[Row]:
    """What was promised of the governor, on the reporting seeds."""
    found = cells()
    text = table(found)
    print(text)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "README.md").write_text(f"{_INTRODUCTION}\n{text}\n", encoding="utf-8")
    for make in HEAT.values():
        keep_course(make(REPORTING_SEEDS[0]))
    return judged(found)


_INTRODUCTION = f"""# The governor in simulated worlds

Written by `make accept`: 3 h in each world with each of the seeds {REPORTING_SEEDS}, of which nothing
was chosen; the two best fixed choices were searched on the first of them alone. *Of the best*: utility
over a bound that no policy can pass (`edgeapp/simulation/clairvoyant.py`); *of a plan*: over a schedule that
can be kept, by somebody who knows the whole day, so that the truth lies between the two. A second in which the
hardware slows itself down for heat counts nothing there, and a kelvin above the trip costs a second;
*in time* counts answers that came in time whatever the hardware did. *Hot* seconds are above the trip,
*avoidable* ones while something was left to be reduced; both are sums over the seeds. The files `*.csv`
are the course of the governor's run with the first seed, once a minute.
"""


def keep_course(scenario: Scenario) -> None:
    """Play the governor and write what a plot needs, once a minute."""
    moments: list[Moment] = []
    play(scenario, governor, moments.append)
    with (FOLDER / f"{scenario.name}.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        names = [" ".join(key) for key in moments[0].app.work.stages]
        heads = ("t_s", "ambient_c", "die_c", "forecast_30s_c", "own_cores", "busy_cores")
        writer.writerow((*heads, "utility", *names))
        writer.writerows(_course(moment) for moment in moments[_RASTER_S - 1 :: _RASTER_S])


def _course(moment: Moment) -> list[str]:
    state, work = moment.state, moment.app.work
    ahead_c = moment.decision.forecast_30s_c
    figures = (
        state.ambient_c,
        next(iter(state.nodes_c.values())),
        ahead_c if ahead_c is not None else float("nan"),
        work.own_cores,
        moment.app.busy_cores,
        moment.app.utility,
    )
    settings = [
        "paused" if name in work.paused else f"{stage.actual.rung}/{stage.actual.divisor}"
        for (name, _), stage in work.stages.items()
    ]
    return [f"{state.t_s:.0f}", *(f"{figure:.2f}" for figure in figures), *settings]


def judged(found: Sequence[Cell]) -> list[Row]:
    """Rows of the acceptance table."""

    def mean(policy: str) -> float:
        return fmean(cell.ratio for cell in found if cell.world in HEAT and cell.policy == policy)

    heat = [cell for cell in found if cell.world in HEAT and cell.policy == GOVERNOR]
    worst = {
        name: fmean(cell.ratio for cell in heat if cell.world == name)
        for name in dict.fromkeys(cell.world for cell in heat)
    }
    lowest = min(worst, key=worst.__getitem__)
    calm = [cell for cell in heat if cell.world != "burst_storm"]
    storm = max((cell.avoidable_s for cell in heat if cell.world == "burst_storm"), default=0)
    cool = [cell for cell in found if cell.world == "cool_idle"]
    faults = [cell for cell in found if cell.world in SENSOR_FAULTS]
    swaps, miss = fmean(cell.swaps_per_h for cell in heat), fmean(cell.miss for cell in heat)
    avoidable = sum(cell.avoidable_s for cell in calm)
    in_time = fmean(
        cell.in_time for cell in found if (cell.world in HEAT, cell.policy) == (True, NONE)
    )
    tried = {cell.seed for cell in found if cell.policy == WORSE}
    right = fmean(cell.ratio for cell in heat if cell.seed in tried)
    wrong = right - min(mean(WORSE), mean(BETTER))
    cool_swaps = sum(cell.swaps_per_h for cell in cool)
    weakest = min((cell.ratio for cell in faults), default=0.0)
    hottest_s = max((cell.over_s for cell in faults), default=0)
    missed_all = [cell for cell in found if cell.misses]
    detail = "; ".join(f"{cell.world} {cell.seed}: {cell.misses[0]}" for cell in missed_all[:6])
    return [
        _least("heat: governor, mean of the clairvoyant's utility", 0.97, mean(GOVERNOR)),
        _least("heat: the worst world, mean over seeds", 0.95, worst[lowest], lowest),
        Row(
            "heat: the same over a schedule that can be kept",
            "",
            f"{fmean(cell.of_plan for cell in heat):.3f}",
            None,
        ),
        Row("heat: a ladder of thresholds", "", f"{mean(LADDER):.3f}", None),
        _most("heat: no governor (the worlds are hard)", 0.6, mean(NONE)),
        Row("heat: no governor, answers in time", "", f"{in_time:.3f}", None),
        _most("heat: best fixed choice for all (the worlds are hard)", 0.9, mean(FIXED)),
        Row("heat: best fixed choice of each world", "", f"{mean(FIXED_HERE):.3f}", None),
        _most("heat: avoidable seconds above the trip, all but the storm", 0, avoidable),
        _most("burst storm: avoidable seconds above the trip in 3 h, worst", 10, storm),
        _most("heat: model swaps an hour, mean", 20, swaps),
        _most("cool: model swaps", 0, cool_swaps),
        _most("heat: deadline misses, %", 0.1, 100 * miss),
        _most("heat: priors wrong by 30 % cost, points", 3, 100 * wrong),
        _least("sensor faults: the worst of all", 0.86, weakest),
        _most("sensor faults: seconds above the trip, worst", 5, hottest_s),
        Row(
            f"pass conditions of {len({cell.world for cell in found})} worlds, all seeds",
            "all met",
            f"{len(missed_all)} missed",
            not missed_all,
            detail,
        ),
    ]


def _least(what: str, bound: float, got: float, detail: str = "") -> Row:
    return Row(what, f">= {bound:g}", f"{got:.3f}", got >= bound, detail)


def _most(what: str, bound: float, got: float, detail: str = "") -> Row:
    return Row(what, f"<= {bound:g}", f"{got:.3g}", got <= bound + 1e-9, detail)


if __name__ == "__main__":
    chosen = [int(seed) for seed in sys.argv[1].split(",")] if sys.argv[1:] else REPORTING_SEEDS
    done = cells(sys.argv[2:] or SCENARIOS, chosen)
    print(table(done))
    if not sys.argv[2:]:
        print(*judged(done), sep="\n")
    for one in done:
        print(
            *(f"{one.world} {one.seed} {one.policy}: {text}" for text in one.misses),
            sep="\n",
            end="",
        )
