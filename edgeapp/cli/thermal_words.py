"""What came of a simulation, as tables and sentences."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeapp.simulation.contest import Contest
    from edgeapp.simulation.replay import ReplaySummary
    from edgeapp.simulation.trace import Trace


def simulation_lines(contest: "Contest", where: str) -> Iterator[str]:
    """A table with a row for each policy, and what was expected."""
    from edgeapp.cli.words import clock, plural, printable

    scenario = contest.scenario
    head = f"{scenario.name}, seed {scenario.seed} ({where}): {clock(scenario.duration_s)}"
    pipelines = plural(len(scenario.tenants), "pipeline")
    yield printable(f"{head}, {pipelines}, trip at {scenario.limits.trip_c:g} °C")
    yield ""
    yield (
        f"  {'':<18}{'utility':>8}{'of best':>9}{'above trip':>12}{'avoidable':>11}"
        f"{'swaps/h':>9}{'missed':>9}{'hottest':>10}"
    )
    for name, score in contest.scores.items():
        ratio = contest.ratio(score)
        share = "" if ratio is None else f"{100 * ratio:.1f} %"
        yield (
            f"  {name:<18}{100 * score.utility:>6.1f} %{share:>9}{score.over_s:>10,} s"
            f"{score.avoidable_s:>9,} s{score.swaps_per_h:>9.1f}{100 * score.miss:>7.2f} %"
            f"{score.greatest_c:>7.1f} °C"
        )
    if contest.best is not None:
        yield f"  {'clairvoyant':<18}{100 * contest.best:>6.1f} %{'100 %':>9}"
    yield ""
    if contest.misses:
        yield "Missed:"
        yield from (f"  {sentence}" for sentence in contest.misses)
    elif contest.expected:
        yield "All that the trace expects was met."


def replay_facts(trace: "Trace", summary: "ReplaySummary") -> dict[str, Any]:
    """What came of a replay, for machines."""
    return {
        "name": trace.name,
        "duration_s": summary.ticks,
        "over_s": summary.over_s,
        "without_heat_s": summary.without_heat,
        "greatest_c": summary.greatest_c,
        "changes": summary.changes,
        "model_swaps": summary.swaps,
        "urgent_s": summary.urgent,
        "infeasible_s": summary.infeasible,
        "levels_s": dict(summary.levels),
        "binding_s": dict(summary.binding),
        "detectors": dict(summary.detectors),
        "utility": None,
    }


def replay_lines(trace: "Trace", summary: "ReplaySummary", where: str) -> Iterator[str]:
    """What would have been done, in sentences."""
    from edgeapp.cli.words import clock, plural, printable, span

    yield printable(f"{trace.name} ({where}): a recording of {clock(trace.duration_s)}")
    yield ""
    if summary.greatest_c is None:
        yield "  heat      no temperature was recorded"
    else:
        above = f"{summary.over_s:,} s at {summary.trip_c:g} °C or above"
        yield f"  heat      up to {summary.greatest_c:.1f} °C; {above}"
    if summary.greatest_c is not None and summary.without_heat:
        yield f"            none known for {span(summary.without_heat)}"
    yield f"  levels    {_shares(summary.levels)}"
    yield f"  held by   {_shares(summary.binding)}"
    changes = f"{plural(summary.changes, 'change')}, {plural(summary.swaps, 'model swap')}"
    urgent = f", urgent for {span(summary.urgent)}" if summary.urgent else ""
    yield f"  choices   {changes}{urgent}"
    if summary.infeasible:
        yield f"            too hot even at the floor for {span(summary.infeasible)}"
    if summary.detectors:
        fired = ", ".join(f"{name} {count}x" for name, count in summary.detectors.most_common())
        yield f"  fired     {fired}"
    yield ""
    yield "This is what the watchdog would have done; heat and load stayed as recorded, so nothing can"
    yield "be said of its utility beside the best possible. For that make a device of the recording:"
    yield printable(f"edgeapp thermal fit {where}")


def _shares(counts: Counter[str]) -> str:
    total = max(1, counts.total())
    return ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in counts.most_common())
