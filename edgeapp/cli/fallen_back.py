"""`edgeapp run` when the guard says that the service does not come up as it is configured."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgeapp.cli.run import Level, exit_code, kit_of, one_thread_each, run_loop, stops_kept

if TYPE_CHECKING:
    from edgeapp.config.places import Places
    from edgeapp.core.clock import Clock
    from edgeapp.core.context import Log
    from edgeapp.service.starts.fallback import Fallback
    from edgeapp.service.starts.start import Start
    from edgeapp.service.systemd.notify import Notifier


def run_fallen_back(
    start: "Start",
    device: Path | None,
    for_s: float | None,
    log_level: Level,
    log_format: Literal["text", "json"] | None,
) -> int:
    """Run what was good last, or in safe mode nothing but the way out; returns the exit code."""
    one_thread_each()
    from edgeapp.service.systemd.notify import from_environment

    notifier = from_environment()
    from edgeapp.config.places import places
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.service.logs import format_from, set_up
    from edgeapp.service.starts.fallback import fall_back
    from edgeapp.service.systemd.stacks import dump_on_crash

    log = set_up(log_level, log_format or format_from())
    dump_on_crash()
    of = device or places()
    clock = MonotonicClock()
    what = fall_back(start, of, log)
    return _serve(what, of, for_s, notifier=notifier, log=log, clock=clock)


def _serve(
    what: "Fallback",
    of: "Path | Places",
    for_s: float | None,
    *,
    notifier: "Notifier",
    log: "Log",
    clock: "Clock",
) -> int:
    from edgeapp.cli.beside import Beside
    from edgeapp.cli.link_up import link_up
    from edgeapp.config.places import state_dir
    from edgeapp.runtime.app import App
    from edgeapp.service.starts.fallback import Again
    from edgeapp.service.starts.healthy import Healthy
    from edgeapp.service.starts.start import OLDER

    start = what.start
    if start.mode == "safe":
        log.error("safe mode: no pipeline runs, what waits is still sent", why=start.why)
    else:
        log.error(OLDER, why=start.why, pipelines=", ".join(plan.name for plan in what.plans))
    early = stops_kept()
    with link_up(what.device, what.plans, log=log, clock=clock) as link:
        kit = kit_of(what.plans, link, what.device.data_dir, log=log, clock=clock)
        app = App(what.plans, kit, stays=True)
        data_dir = state_dir(of, what.device.data_dir)
        healthy = Healthy(start, data_dir, app.status, clock=clock, log=log)
        again = Again(partial(_check, of), healthy.mark, log=log)
        beside = Beside(
            app, link, what.device, None, again, notifier=notifier, healthy=healthy, start=start
        )
        outcomes = run_loop(app, beside, for_s, early)
    return exit_code(outcomes, app.uplink_problem)


def _check(of: "Path | Places") -> None:
    """Read all of the configuration as `run` would; raises ConfigError for what is wrong."""
    from edgeapp.cli.installed import chosen
    from edgeapp.config.device import read_device
    from edgeapp.plan.load import load

    what = chosen((), of, "run")
    load(what.pipelines, device=read_device(what.device))
