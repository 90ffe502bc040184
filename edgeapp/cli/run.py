"""`edgeapp run`: read, check, connect, run, and say how it went."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Files, Flag, Sets, seconds

if TYPE_CHECKING:
    from edgeapp.cli.beside import Beside
    from edgeapp.cli.link_up import LinkUp
    from edgeapp.cli.watch import Watch
    from edgeapp.config.places import Places
    from edgeapp.core.clock import Clock
    from edgeapp.core.context import Log
    from edgeapp.plan.graph import Plan
    from edgeapp.runtime.app import App
    from edgeapp.runtime.kit import Kit
    from edgeapp.runtime.pipeline import Outcome
    from edgeapp.service.starts.start import Start

    Around = Callable[[tuple[Plan, ...], Kit], AbstractContextManager[App]]

Level = Literal["debug", "info", "warning", "error"]
_STOPS = (signal.SIGTERM, signal.SIGINT)
LogFormat = Annotated[Literal["text", "json"] | None, Parameter(show_default=False)]


def run(
    *files: Files,
    sets: Sets = (),
    for_: Duration = None,
    device: Device = None,
    json: Flag = False,
    plain: Flag = False,
    watch: Flag = False,
    log_level: Level = "info",
    log_format: LogFormat = None,
) -> int:
    """Run pipelines.

    Args:
        files: Pipeline files. Each runs on its own: the end of one leaves the others alone.
        sets: Change an option, such as belt.rate_hz=30. Can be given several times.
        for_: Stop after this time: 30s, 5m, 2h.
        device: The device file: broker, secrets, data directory. All of it has defaults.
        json: Print the state as one JSON object a second, and a summary at the end.
        plain: Print a line now and then instead of the live view.
        watch: Reload by itself, as `edgeapp reload` does, once files were changed.
        log_level: The least of what is logged, on standard error.
        log_format: Lines for people or for machines. If not given: $EDGEAPP_LOG, else text.
    """
    from edgeapp.cli.installed import chosen
    from edgeapp.service.starts.start import Start, start_of

    for_s = None if for_ is None else seconds(for_)
    start = Start() if files else start_of()
    try:
        if start.mode != "normal":
            from edgeapp.cli.fallen_back import run_fallen_back

            return run_fallen_back(start, device, for_s, log_level, log_format)
        what = chosen(files, device, "run")
        return run_files(
            what.pipelines,
            sets,
            what.device,
            for_s,
            service=what.service,
            start=start,
            json=json,
            plain=plain,
            watch_files=watch,
            log_level=log_level,
            log_format=log_format,
        )
    except KeyboardInterrupt:  # or SIGTERM, before the start or after the end
        return exits.OK


def run_files(
    files: list[Path],
    sets: tuple[str, ...],
    device: "Path | Places | None",
    for_s: float | None,
    *,
    service: bool = False,
    start: "Start | None" = None,
    json: bool,
    plain: bool,
    watch_files: bool = False,
    log_level: Level,
    log_format: Literal["text", "json"] | None,
    around: "Around | None" = None,
) -> int:
    """Run pipelines and say how it went; returns the exit code.

    `service`: nothing is printed but what is asked for: `json`, `plain`, and it goes on whether
    pipelines run or not. `start`: how the service was started. `watch_files`: reload by itself.
    `around` makes the application, and is left once it has ended and was summed up.
    """
    one_thread_each()
    from edgeapp.service.systemd.notify import from_environment

    notifier = from_environment()
    import numpy as np  # noqa: F401  a broken wheel is no mistake in a file: the guard counts it

    from edgeapp.cli import serving
    from edgeapp.cli.installed import configured
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.service.logs import format_from, set_up
    from edgeapp.service.reloading.pipeline_files import Given, device_marks, load_or_good
    from edgeapp.service.systemd.stacks import dump_on_crash

    texts, marks = serving.texts_of(device), device_marks(device)
    config, changes = configured(device, sets, files)
    good = serving.good_files(device, config)
    given = Given(tuple(files), changes, device, files[0].parent if service else None)
    loaded = load_or_good(files, given.load(config), good if service else None)
    plans = loaded.plans
    log = set_up(log_level, log_format or format_from())
    dump_on_crash()
    from edgeapp.cli.beside import Beside
    from edgeapp.cli.link_up import link_up

    clock = MonotonicClock()
    early = stops_kept()  # from here on there is something to be put in order
    with link_up(config, plans, log=log, clock=clock) as link:
        kit = kit_of(plans, link, config.data_dir, log=log, clock=clock)
        with (around or partial(_alone, stays=service))(plans, kit) as app:
            watch = None
            if json or plain or not service:
                watch = _watch(link, for_s=for_s, json=json, plain=plain)
            reload = file_watch = None
            if around is None:
                from edgeapp.service.reloading.reload import Reload

                equip = partial(_equip, link)
                check_device = partial(configured, device, sets, files)
                reload = Reload(
                    app,
                    loaded,
                    given,
                    marks=marks,
                    device=config,
                    equip=equip,
                    good=good,
                    check_device=check_device,
                )
                if watch_files:
                    from edgeapp.service.reloading.file_watch import FileWatch, seen

                    file_watch = FileWatch(partial(seen, given), reload, log)
            healthy = None
            if service and start is not None and reload is not None:
                healthy = serving.healthy_of(start, device, config, app, texts=texts, reload=reload)
            beside = Beside(
                app,
                link,
                config,
                watch,
                reload,
                notifier=notifier,
                healthy=healthy,
                files=reload,
                file_watch=file_watch,
            )
            outcomes = run_loop(app, beside, for_s, early)
            nobody_reads = watch is not None and watch.nobody_reads
            if watch is not None and not nobody_reads:
                _summary(app, outcomes, link, json=json)
    code = exit_code(outcomes, app.uplink_problem, nobody_reads=nobody_reads)
    return exits.GAVE_UP if healthy is not None and healthy.gave_up else code


def one_thread_each() -> None:
    """Keep BLAS and OpenMP to one thread. Only of use before numpy is imported."""
    for pool in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(pool, "1")


@contextmanager
def _alone(plans: "tuple[Plan, ...]", kit: "Kit", *, stays: bool) -> "Iterator[App]":
    from edgeapp.runtime.app import App

    yield App(plans, kit, stays=stays)


def kit_of(
    plans: "tuple[Plan, ...]", link: "LinkUp", data_dir: Path, *, log: "Log", clock: "Clock"
) -> "Kit":
    """What the pipelines are given of this process."""
    from edgeapp.runtime.kit import Kit

    return _equip(link, plans, Kit(clock, link.uplink, None, log, data_dir))


def _equip(link: "LinkUp", plans: "Sequence[Plan]", kit: "Kit") -> "Kit":
    """Give pipelines what they need of this process.

    Raises:
        RefusedError: it was started without what they need.
    """
    from edgeapp.cli.link_up import needs_broker
    from edgeapp.service.control.server import RefusedError

    if link.endpoint is None and needs_broker(plans):
        raise RefusedError("nothing was sent to a broker so far: to begin takes a restart")
    if kit.pool is None and any(stage.variants for plan in plans for stage in plan.stages.values()):
        from edgeapp.models.session import Pool  # onnxruntime is loaded only where it is used

        return replace(kit, pool=Pool(kit.clock))
    return kit


def _watch(link: "LinkUp", *, for_s: float | None, json: bool, plain: bool) -> "Watch":
    from edgeapp.cli.watch import JsonShow, LiveShow, PlainShow, Watch

    if json:
        from json import dumps

        print(dumps({"type": "start", "subscribe": link.hints}), flush=True)
        return Watch(JsonShow(link.facts))
    if link.hints:
        print("Watch the messages from another terminal:", *link.hints, sep="\n  ", flush=True)
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return Watch(PlainShow())
    hint = f"messages: {link.hints[0]}" if link.hints else ""
    return Watch(LiveShow(link.view, for_s=for_s, hint=hint))


def stops_kept() -> list[int]:
    """What is to stop us, from now on until the event loop listens, is kept in this list."""
    early: list[int] = []
    for number in _STOPS:
        signal.signal(number, lambda number, _frame: early.append(number))
    return early


def run_loop(
    app: "App", show: "Beside", for_s: float | None, early: list[int] | None = None
) -> "dict[str, Outcome]":
    """Run the event loop.

    `early`: as `stops_kept` gave it. A signal that comes before the loop listens is not lost; one
    that comes after the end changes nothing: the summary is printed and the exit code stays.
    """
    import asyncio

    from edgeapp.runtime.app import run_until_stopped

    early = stops_kept() if early is None else early

    async def beside(app: "App") -> None:
        if early:
            os.kill(os.getpid(), early[0])
        await show(app)

    gc.enable()
    gc.freeze()  # what is loaded by now stays; the collector need not walk it for years
    with asyncio.Runner() as runner:
        return runner.run(run_until_stopped(app, show.uplink, for_s=for_s, beside=beside))


def _summary(app: "App", outcomes: "dict[str, Outcome]", link: "LinkUp", *, json: bool) -> None:
    from edgeapp.cli import report, words
    from edgeapp.service.facts import facts

    pipelines = app.status()
    if json:
        from json import dumps

        rows = [
            facts(pipeline, say=words.result)
            | {
                "ending": outcomes[pipeline.name].ending,
                "stuck": outcomes[pipeline.name].stuck,
                "unaccounted": pipeline.unaccounted(),
            }
            for pipeline in pipelines
        ]
        print(dumps({"type": "summary", "pipelines": rows, "uplink": link.facts()}), flush=True)
        return
    sentences = [report.sentence(pipeline, outcomes[pipeline.name]) for pipeline in pipelines]
    for said in filter(None, [*sentences, link.sentence()]):
        print(_wrapped(said) if sys.stdout.isatty() else said)
    sys.stdout.flush()


def _wrapped(sentence: str) -> str:
    import shutil
    import textwrap

    columns = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(sentence, columns - 1, subsequent_indent="  ")


def exit_code(
    outcomes: "dict[str, Outcome]", uplink_problem: str, *, nobody_reads: bool = False
) -> int:
    """Of a run that has ended; says what went wrong, and leaves behind who is stuck."""
    stuck = [f"{name}/{stage}" for name, outcome in outcomes.items() for stage in outcome.stuck]
    if uplink_problem:
        print(f"edgeapp: the uplink crashed: {uplink_problem}", file=sys.stderr, flush=True)
    if stuck:
        print(f"edgeapp: left behind, stuck: {', '.join(stuck)}", file=sys.stderr, flush=True)
        _flush_output()
        os._exit(exits.FAILED)  # their threads cannot be ended in any other way
    if nobody_reads:
        return exits.NOBODY_READS
    failed = uplink_problem or any(o.ending == "failed" for o in outcomes.values())
    return exits.FAILED if failed else exits.OK


def _flush_output() -> None:
    with suppress(OSError):  # nobody reads it
        sys.stdout.flush()
