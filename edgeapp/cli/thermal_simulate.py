"""`edgeapp thermal simulate`: the governor on simulated and recorded devices."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag, is_there

if TYPE_CHECKING:
    from edgeapp.simulation.spec import Scenario
    from edgeapp.simulation.trace import Trace
    from edgeapp.watchdog.ladder import Tenant

Traces = Annotated[str, Parameter(metavar="TRACE")]
Pipelines = Annotated[
    tuple[Path, ...],
    Parameter(name="--pipelines", negative="", consume_multiple=True, metavar="FILE..."),
]
Picture = Annotated[Path | None, Parameter(metavar="FILE", show_default=False)]

_BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class _Job:
    """One trace, ready to be run."""

    trace: "Trace"
    tenants: "tuple[Tenant, ...]"
    where: str


def simulate(
    *traces: Traces,
    pipelines: Pipelines = (),
    plot: Picture = None,
    seed: Annotated[int | None, Parameter(metavar="N", show_default=False)] = None,
    alone: Flag = False,
    list_: Annotated[bool, Parameter(name="--list", negative="", show_default=False)] = False,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Simulate.

    Args:
        traces: Files of the format edgeapp-thermal/1, or names of built-in ones.
        pipelines: Pipeline files that run on the device, with the costs that 'edgeapp bench' kept;
            those of the trace, or three made-up ones, if not given.
        plot: Draw the run into this file, .png or .svg. Needs edgeapp[plot].
        seed: Weather, bursts and noise; the trace's own if not given.
        alone: Leave out what the governor is compared with, and the best possible: faster.
        list_: List the built-in ones.
        device: The device file, whose data directory has the costs.
        json: Print one JSON object for each trace.
    """
    if list_:
        return _list(json=json)
    if not traces:
        raise exits.Quit(exits.USAGE, "name at least one trace; --list shows the built-in ones")
    pictures = _pictures(plot, len(traces))
    hosts = _tenants(pipelines, device) if pipelines else ()
    jobs = [_job(name, hosts, seed) for name in traces]
    missed = 0
    for job, picture in zip(jobs, pictures, strict=True):
        if job.trace.closed:
            missed += _simulated(job, picture, alone=alone, json=json)
        else:
            _replayed(job, picture, json=json)
        sys.stdout.flush()
    return exits.FAILED if missed else exits.OK


# What is simulated


def _list(*, json: bool) -> int:
    from edgeapp.simulation.trials import SCENARIOS

    if json:
        from json import dumps

        print(dumps(list(SCENARIOS)))
        return exits.OK
    wide = max(map(len, SCENARIOS))
    for name, make in SCENARIOS.items():
        summary = (make.__doc__ or "").strip().partition("\n")[0]
        print(f"{name:<{wide}}  {summary}".rstrip())
    return exits.OK


def _pictures(plot: Path | None, count: int) -> list[Path | None]:
    """Where each run is drawn.

    Raises:
        Quit: nothing can be drawn there.
    """
    if plot is None:
        return [None] * count
    from edgeapp.simulation.plot import KINDS, PlotError, require_matplotlib

    if plot.suffix.removeprefix(".") not in KINDS:
        raise exits.Quit(exits.USAGE, f"'{plot}' is no picture: name a file .png or .svg")
    if not (is_there(plot.parent) and plot.parent.is_dir()):
        raise exits.Quit(exits.NO_INPUT, f"there is no folder '{plot.parent}'")
    try:
        require_matplotlib()
    except PlotError as error:
        raise exits.Quit(exits.UNAVAILABLE, str(error)) from None
    if count == 1:
        return [plot]
    return [plot.with_name(f"{plot.stem}-{number}{plot.suffix}") for number in range(1, count + 1)]


def _tenants(files: Sequence[Path], device: Path | None) -> "tuple[Tenant, ...]":
    """The pipelines, with the costs that were measured; a warning for each without."""
    from edgeapp.cli.arguments import existing
    from edgeapp.config.device import read_device
    from edgeapp.plan.load import load
    from edgeapp.service.governing.tenants import hosted

    config = read_device(device)
    hosts = [hosted(plan, config.data_dir) for plan in load(existing(files), device=config)]
    for host in hosts:
        if host.problem:
            print(f"{host.plan.name}: costs are assumed: {host.problem}", file=sys.stderr)
    tenants = tuple(host.tenant for host in hosts)
    if not any(tenant.ladders for tenant in tenants):
        raise exits.Quit(exits.USAGE, "none of these pipelines has a model: nothing can be chosen")
    return tenants


def _job(name: str, hosts: "tuple[Tenant, ...]", seed: int | None) -> _Job:
    """A trace with all that its run needs.

    Raises:
        Quit: there is no such trace, or it is wrong.
    """
    from edgeapp.simulation.scenarios import REPORTING_SEEDS, tenants
    from edgeapp.simulation.trace import TraceError, read_trace, trace_of
    from edgeapp.simulation.trials import SCENARIOS

    if name in SCENARIOS:
        made = SCENARIOS[name](REPORTING_SEEDS[0] if seed is None else seed)
        trace, where = trace_of(made), _BUILT_IN
    elif not is_there(file := Path(name)):
        from edgeapp.document.words import nearest

        near = nearest(name, SCENARIOS)
        hint = f"did you mean '{near}'? " if near else ""
        listed = f"there is no file '{name}', and no built-in trace of that name; {hint}see --list"
        raise exits.Quit(exits.NO_INPUT, listed)
    else:
        try:
            trace, where = read_trace(file), name
        except TraceError as error:
            raise exits.Quit(exits.BAD_DATA, f"mistakes in a trace:\n{error}") from None
        if seed is not None:
            trace = replace(trace, seed=seed)
    return _Job(trace, hosts or trace.tenants or tenants(), where)


def _scenario(job: _Job) -> "Scenario":
    from edgeapp.simulation.spec import Scenario
    from edgeapp.watchdog.limits import Limits, Prior

    trace, plant = job.trace, job.trace.plant
    assert plant is not None
    trip_c = plant.throttle.on_c
    return Scenario(
        trace.name,
        trace.seed,
        plant,
        trace.inputs,
        job.tenants,
        trace.limits or Limits(plant.power.cores, trip_c=trip_c),
        trace.prior or Prior("unknown", trip_c=trip_c),
        trace.sensors,
        trace.duration_s,
        trace.expect,
    )


# Closed loop


def _simulated(job: _Job, picture: Path | None, *, alone: bool, json: bool) -> bool:
    """Run a simulated device; whether it missed what is expected of it."""
    from edgeapp.cli.thermal_words import simulation_lines
    from edgeapp.simulation.contest import contest
    from edgeapp.simulation.series import Series

    series = Series()
    scenario = _scenario(job)
    result = _guarded(
        lambda: contest(
            scenario, job.trace.static_files, watch=series.moment, alone=alone, tell=_progress
        )
    )
    if json:
        _print_json({"type": "simulation", "trace": job.where, **result.facts()})
    else:
        print("\n".join(simulation_lines(result, job.where)))
    if picture is not None:
        chart = series.chart(
            f"{scenario.name}, seed {scenario.seed}",
            result.sentence,
            trip_c=scenario.limits.trip_c,
            cores=scenario.plant.power.cores,
            tenants=job.tenants,
            sensors=scenario.sensors,
        )
        _draw(chart, picture, json=json)
    return bool(result.misses)


def _replayed(job: _Job, picture: Path | None, *, json: bool) -> None:
    """Show a recording to the governor."""
    from edgeapp.cli.thermal_words import replay_facts, replay_lines
    from edgeapp.simulation.replay import Replayed, ReplaySummary, replay
    from edgeapp.simulation.series import Series
    from edgeapp.watchdog.governor import Governor
    from edgeapp.watchdog.limits import Limits, Prior

    trace = job.trace
    limits = trace.limits or Limits(cores_of(trace))
    prior = trace.prior or Prior("unknown", trip_c=limits.trip_c)
    series, summary = Series(), ReplaySummary(limits.trip_c)

    def watch(tick: Replayed) -> None:
        series.replayed(tick)
        summary.note(tick)

    _guarded(lambda: replay(trace, Governor, job.tenants, limits, prior, watch=watch))
    if json:
        _print_json({"type": "replay", "trace": job.where, **replay_facts(trace, summary)})
    else:
        print("\n".join(replay_lines(trace, summary, job.where)))
    if picture is not None:
        chart = series.chart(
            f"{trace.name}, as recorded",
            "what the watchdog would have chosen; heat and load are those of the recording",
            trip_c=limits.trip_c,
            cores=limits.cores,
            tenants=job.tenants,
            sensors=trace.sensors,
        )
        _draw(chart, picture, json=json)


def cores_of(trace: "Trace") -> int:
    """Of the device; for a recording that does not say, as many as were ever busy."""
    from math import ceil

    if trace.limits is not None:
        return trace.limits.cores
    assert trace.samples is not None
    busy = [cores for cores in trace.samples.column("total_cpu") if cores is not None]
    return max(1, ceil(max(busy, default=1.0) - 0.05))


def _guarded(run: Any) -> Any:
    """Ladders and limits that make no sense are the user's, and said together.

    Raises:
        Quit: they do not.
    """
    from edgeapp.watchdog.ladder import LadderError

    try:
        return run()
    except LadderError as error:
        said = "\n".join(error.problems)
        raise exits.Quit(exits.BAD_DATA, f"this cannot be governed:\n{said}") from None


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


def _draw(chart: Any, picture: Path, *, json: bool) -> None:
    from edgeapp.simulation.plot import PlotError, draw

    try:
        draw(chart, picture)
    except PlotError as error:
        raise exits.Quit(exits.UNAVAILABLE, str(error)) from None
    if not json:
        print(f"Drawn into {picture}.")


def _print_json(facts: dict[str, Any]) -> None:
    from json import dumps

    print(dumps(facts))
