"""`edgeapp calibrate`: how warm load makes this device."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Flag, seconds

if TYPE_CHECKING:
    from edgeapp.simulation.calibration import Calibration
    from edgeapp.watchdog.limits import Prior

_DEFAULT_S, _LONGEST_S = 600.0, 6 * 3600.0
_TOLD_EVERY = 30
_LOAD = """
import select
while not select.select([0], [], [], 0)[0]:
    sum(range(100_000))
"""
"""Ends when its standard input is closed: also when we are killed."""


def calibrate(*, for_: Duration = None, device: Device = None, json: Flag = False) -> int:
    """Calibrate.

    Args:
        for_: How long, 4m to 6h; 10m if not given. The longer, the surer.
        device: The device file, whose data directory gets what is learned.
        json: Print one JSON object at the end.
    """
    from edgeapp.simulation.calibration import SAFE_K, SHORTEST_S, Calibration, die_sensor

    for_s = _DEFAULT_S if for_ is None else seconds(for_)
    if not SHORTEST_S <= for_s <= _LONGEST_S:
        why = (
            "less does not show how slowly a board warms up"
            if for_s < SHORTEST_S
            else "the slowest board is warm long before that"
        )
        raise exits.Quit(exits.USAGE, f"--for is 4m to 6h, not '{for_}': {why}")
    from edgeapp.cli.installed import installed
    from edgeapp.cli.thermal_record import stopped_by_signals
    from edgeapp.config.device import read_device
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.watchdog.boards import prior_of
    from edgeapp.watchdog.prior_file import heat_device
    from edgeapp.watchdog.readings import Readings

    data_dir = read_device(device or installed()).data_dir
    _refuse_unwritable(data_dir)
    clock = MonotonicClock()
    readings = Readings(clock)
    base = prior_of(readings.model)
    sensor = die_sensor(readings.read())
    if sensor is None:
        problem = (
            "this device has no temperature sensor of its processor that can be read: nothing can be "
            "calibrated; the watchdog goes by load and by how long the models take"
        )
        raise exits.Quit(exits.UNAVAILABLE, problem)
    trip_c = readings.trip_c or base.trip_c
    cores = heat_device().cores
    if not json:
        print(
            f"Loading up to {cores} cores for {for_s / 60:.0f} minutes; '{sensor.name}' is at "
            f"{sensor.value_c:.1f} °C, the load ends at {trip_c - SAFE_K:g} °C. Ctrl-C ends it.",
            flush=True,
        )
    with stopped_by_signals() as stop, busy_cores() as load:
        calibration = Calibration(load, cores=cores, trip_c=trip_c, for_s=for_s, sensor=sensor.name)
        began_ns = clock.now_ns()
        ticks = 0
        while not stop.is_set():
            t_s = (clock.now_ns() - began_ns) / 1e9
            step = calibration.tick(t_s, readings.read())
            if step is None:
                break
            if ticks % _TOLD_EVERY == 0 and not json:
                heat = "no temperature" if step.die_c is None else f"{step.die_c:.1f} °C"
                print(
                    f"{int(t_s) // 60:>3}:{int(t_s) % 60:02}  {heat}, {step.busy} busy", flush=True
                )
            ticks += 1
            clock.wait(stop, ticks - (clock.now_ns() - began_ns) / 1e9)
    if stop.is_set():
        raise exits.Quit(exits.INTERRUPTED, "ended before its time: nothing was kept")
    return _keep(calibration, base, data_dir, json=json)


def _refuse_unwritable(data_dir: Path) -> None:
    """Say so before ten minutes of load, not after.

    Raises:
        Quit: what is learned cannot be kept.
    """
    home = next((folder for folder in (data_dir, *data_dir.parents) if folder.exists()), data_dir)
    if not os.access(home, os.W_OK):
        problem = f"what is learned cannot be kept in '{data_dir}': ask as its owner, or with sudo"
        raise exits.Quit(exits.UNAVAILABLE, problem)


@contextmanager
def busy_cores() -> Iterator[Callable[[int], None]]:
    """Sets how many cores are kept busy, by as many processes; none when the block ends."""
    running: list[subprocess.Popen[bytes]] = []

    def load(cores: int) -> None:
        while len(running) > cores:
            _end(running.pop())
        while len(running) < cores:
            running.append(
                subprocess.Popen(  # noqa: S603 - ourselves
                    [sys.executable, "-S", "-E", "-c", _LOAD],
                    stdin=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for us to hear
                )
            )

    try:
        yield load
    finally:
        load(0)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _keep(calibration: "Calibration", base: "Prior", data_dir: Path, *, json: bool) -> int:
    """Fit, write and say what was learned.

    Raises:
        Quit: nothing was learned, or it cannot be kept.
    """
    from edgeapp.cli.thermal_fit import prior_lines
    from edgeapp.simulation.calibration import Ended
    from edgeapp.watchdog.fit import FitError
    from edgeapp.watchdog.prior_file import PriorFileError, prior_file, write_prior

    early = {
        Ended.HOT: "the load ended early, for the device came near its trip",
        Ended.UNDERVOLTAGE: "the load ended early, for the voltage was too low: mend the supply",
        Ended.BLIND: "the temperature sensor does not answer any more",
    }.get(calibration.ended, "")
    if early:
        print(f"edgeapp: {early}", file=sys.stderr)
    file = prior_file(data_dir)
    try:
        fit = calibration.fit(base)
        write_prior(
            file,
            fit.prior,
            measured=_now(),
            sensor=calibration.sensor,
            samples=fit.samples,
            error_k=fit.residual_c,
        )
    except (FitError, PriorFileError) as error:
        raise exits.Quit(exits.FAILED, f"too little was learned: {error}") from None
    except OSError as error:
        problem = f"'{file}' cannot be written: {error.strerror}"
        raise exits.Quit(exits.UNAVAILABLE, problem) from None
    if json:
        from dataclasses import asdict
        from json import dumps

        facts = {"file": str(file), "sensor": calibration.sensor, "samples": fit.samples}
        print(dumps(facts | {"error_k": fit.residual_c, "prior": asdict(fit.prior)}))
    else:
        print("\n".join(prior_lines(fit.prior, calibration.sensor, fit.residual_c)))
        print(f"Kept in {file}.")
    return exits.OK


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
