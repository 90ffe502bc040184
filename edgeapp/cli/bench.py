"""`edgeapp bench`: what each stage of a pipeline costs on this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Flag, Sets, existing, seconds

if TYPE_CHECKING:
    from edgeapp.cli.measure import Measured

_DEFAULT_S = 5.0


def bench(
    file: Annotated[Path, Parameter(metavar="FILE")],
    /,
    *,
    sets: Sets = (),
    for_: Duration = None,
    frames: Annotated[int | None, Parameter(metavar="N")] = None,
    device: Device = None,
    json: Flag = False,
    write: Annotated[bool, Parameter(negative="--no-write", show_default=False)] = True,
) -> int:
    """Measure a pipeline.

    Args:
        file: The pipeline file.
        sets: Change an option first, such as belt.rate_hz=30. Can be given several times.
        for_: How long to measure each rung of the ladder; 5s if neither this nor --frames is given.
        frames: Stop each measurement after so many packets of the source.
        device: The device file.
        json: Print one JSON object.
        write: Whether to keep the costs below the data directory, for a governor to plan with.
    """
    chosen = existing([file])
    if frames is not None and frames < 1:
        raise exits.Quit(exits.USAGE, "--frames is a whole number from 1 on")
    limit_s = seconds(for_) if for_ is not None else (None if frames else _DEFAULT_S)
    from edgeapp.cli.run import one_thread_each

    one_thread_each()
    from edgeapp.cli.costs import costs_of
    from edgeapp.cli.installed import configured, installation_of
    from edgeapp.cli.measure import measurable, measure, rungs_of
    from edgeapp.plan.load import load
    from edgeapp.service.logs import set_up
    from edgeapp.watchdog.costs import costs_file, write_costs

    config, changes = configured(device or installation_of(chosen), sets, chosen)
    [whole] = load(chosen, sets=changes, device=config)
    plan, left_out = measurable(whole)
    log = set_up("warning")
    results = [
        measure(plan, rung, log, limit_s=limit_s, frames=frames) for rung in range(rungs_of(plan))
    ]
    kept = costs_file(config.data_dir, plan.name) if write else None
    if json:
        from json import dumps

        print(dumps(_facts(plan.name, left_out, results, kept), indent=2))
    else:
        print("\n".join(_table(plan.name, left_out, results)))
        if kept:
            print(f"Kept in {kept}.")
    sys.stdout.flush()
    if kept:
        try:
            write_costs(kept, costs_of(plan, results))
        except OSError as error:
            problem = f"the costs cannot be kept in '{kept}': {error.strerror}"
            raise exits.Quit(exits.UNAVAILABLE, problem) from None
    return exits.OK


def _facts(
    name: str, left_out: tuple[str, ...], results: "list[Measured]", kept: Path | None
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "pipeline": name,
        "left_out": list(left_out),
        "rungs": [asdict(result) for result in results],
        "costs_file": str(kept) if kept else None,
    }


def _table(name: str, left_out: tuple[str, ...], results: "list[Measured]") -> list[str]:
    from edgeapp.cli.words import plural, rate

    best = results[0]
    head = f"{name}: {plural(best.frames, 'packet')} in {best.wall_s:.1f} s on one thread: "
    head += f"{rate(best.frames / best.wall_s)} a second; peak memory {best.peak_rss_mb:.0f} MB"
    lines = [
        head,
        "",
        f"{'stage':<14}{'plugin':<28}{'packets':>9}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'MB':>7}",
    ]
    for position, stage in enumerate(best.stages):
        rows = [stage]
        if stage.variant is not None:  # the other rungs of its ladder below it
            rows += [r.stages[position] for r in results[1:]]
        seen: set[str | None] = set()
        for row in rows:
            if row.variant in seen:
                continue
            seen.add(row.variant)
            what = row.plugin if row.variant is None else f"{row.plugin} {row.variant}"
            line = (
                f"{row.id:<13.13} {what:<27.27} {row.packets:>9,}"
                f"{_ms(row.cpu_ms):>9}{_ms(row.p50_ms):>9}{_ms(row.p99_ms):>9}{_mb(row.memory_mb):>7}"
            )
            lines.append(line.rstrip())
    lines += ["", "CPU ms: CPU time for each packet that the stage took."]
    if any(stage.variant for stage in best.stages):
        lines.append("MB: what loading the model adds to the memory of a process with another one.")
    if left_out:
        lines.append(f"Left out, for they would act: {', '.join(left_out)}.")
    return lines


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _mb(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
