"""`edgeapp thermal fit`: a recording as a device that can be simulated."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Flag, is_there
from edgeapp.cli.thermal_record import writable

if TYPE_CHECKING:
    from edgeapp.simulation.fitted import Fitted
    from edgeapp.watchdog.limits import Prior

Out = Annotated[Path | None, Parameter(name=["--out", "-o"], metavar="FILE", show_default=False)]


def fit(
    trace: Annotated[Path, Parameter(metavar="TRACE")],
    /,
    *,
    out: Out = None,
    sensor: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    ambient: Annotated[float | None, Parameter(metavar="C", show_default=False)] = None,
    force: Flag = False,
    json: Flag = False,
) -> int:
    """Fit a device to a recording.

    Args:
        trace: A recording, as 'edgeapp thermal record' makes it.
        out: The file to write; the name of the recording and _plant.json if not given.
        sensor: Name of the temperature sensor to go by; the die's if not given.
        ambient: How warm it was around the device, in degrees Celsius; guessed if not given.
        force: Write over a file that is there.
        json: Print one JSON object.
    """
    if not is_there(trace):
        raise exits.Quit(exits.NO_INPUT, f"there is no file '{trace}'")
    file = writable(out or trace.with_name(f"{trace.stem}_plant.json"), force=force)
    from edgeapp.cli.thermal_simulate import cores_of
    from edgeapp.simulation.fitted import fitted
    from edgeapp.simulation.trace import TraceError, read_trace, write_trace
    from edgeapp.watchdog.fit import FitError

    try:
        recording = read_trace(trace)
    except TraceError as error:
        raise exits.Quit(exits.BAD_DATA, f"mistakes in a trace:\n{error}") from None
    if recording.samples is None:
        raise exits.Quit(exits.USAGE, f"'{trace}' is a device already: simulate it")
    try:
        made = fitted(recording, cores_of(recording), sensor=sensor, ambient_c=ambient)
    except FitError as error:
        raise exits.Quit(exits.BAD_DATA, f"{trace}: {error}") from None
    try:
        write_trace(file, made.trace)
    except OSError as error:
        problem = f"'{file}' cannot be written: {error.strerror}"
        raise exits.Quit(exits.UNAVAILABLE, problem) from None
    if json:
        _print_json(made, file)
    else:
        print("\n".join(prior_lines(made.fit.prior, made.sensor, made.fit.residual_c)))
        print(f"Kept in {file}.")
    return exits.OK


def prior_lines(prior: "Prior", sensor: str, error_k: float) -> list[str]:
    """What was learned of a device, for people."""
    return [
        f"By '{sensor}':",
        f"  board  +{prior.board_k_per_core:.1f} K for each busy core, in {prior.board_tau_s:.0f} s",
        f"  die    +{prior.die_k_per_core:.1f} K more, in {prior.die_tau_s:.1f} s",
        f"  idle   {prior.idle_k:.1f} K above surroundings of {prior.ambient_c:.1f} °C",
        f"  {error_k:.2f} K remain unexplained.",
    ]


def _print_json(made: "Fitted", file: Path) -> None:
    from dataclasses import asdict
    from json import dumps

    facts = {
        "file": str(file),
        "sensor": made.sensor,
        "samples": made.fit.samples,
        "error_k": made.fit.residual_c,
        "prior": asdict(made.fit.prior),
    }
    print(dumps(facts))
