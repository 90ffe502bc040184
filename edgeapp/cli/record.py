"""`edgeapp record`: run a pipeline, and keep what its sources give in a file."""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Flag, Sets, existing, seconds
from edgeapp.cli.run import Level, LogFormat, run_files

if TYPE_CHECKING:
    from edgeapp.plan.graph import Plan
    from edgeapp.runtime.app import App
    from edgeapp.runtime.kit import Kit
    from edgeapp.service.recordings.recorder import Recorder

SUFFIX = ".edgerec"
_LEAST_MB = 1
_MB = 1_000_000


def record(
    file: Annotated[Path, Parameter(metavar="FILE")],
    /,
    *,
    out: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    sets: Sets = (),
    for_: Duration = None,
    max_mb: Annotated[int, Parameter(metavar="N")] = 500,
    device: Device = None,
    json: Flag = False,
    plain: Flag = False,
    log_level: Level = "info",
    log_format: LogFormat = None,
) -> int:
    """Record a pipeline.

    Args:
        file: The pipeline file. It runs as with `run`: it sends and acts.
        out: The recording to write; if not given, the pipeline's name and .edgerec.
        sets: Change an option, such as belt.rate_hz=30. Can be given several times.
        for_: Stop after this time: 30s, 5m, 2h.
        max_mb: Stop before the recording has more than so many megabytes.
        device: The device file.
        json: Print the state as one JSON object a second, and a summary at the end.
        plain: Print a line now and then instead of the live view.
        log_level: The least of what is logged, on standard error.
        log_format: Lines for people or for machines. If not given: $EDGEAPP_LOG, else text.
    """
    chosen = existing([file])
    for_s = None if for_ is None else seconds(for_)
    if max_mb < _LEAST_MB:
        raise exits.Quit(exits.USAGE, "--max-mb is a whole number from 1 on")

    @contextmanager
    def around(plans: "tuple[Plan, ...]", kit: "Kit") -> "Iterator[App]":
        from edgeapp.config.sort_sets import sort_sets

        [plan] = plans
        to = _file(out or Path(plan.name))
        changes = sort_sets(sets, chosen).stages
        with _recorded(plan, kit, to, changes, max_bytes=max_mb * _MB, json=json) as app:
            yield app

    try:
        return run_files(
            chosen,
            sets,
            device,
            for_s,
            json=json,
            plain=plain,
            log_level=log_level,
            log_format=log_format,
            around=around,
        )
    except KeyboardInterrupt:  # or SIGTERM, before the start or after the end
        return exits.OK


def _file(out: Path) -> Path:
    """The file to write: not there yet, in a folder that is.

    Raises:
        Quit: it cannot be written.
    """
    if out.name in {"", ".."}:
        raise exits.Quit(exits.USAGE, f"'{out}' is a folder: name a file with --out")
    file = out if out.suffix else out.with_name(out.name + SUFFIX)
    if file.exists():
        raise exits.Quit(exits.USAGE, f"'{file}' is there already: name another file with --out")
    if not file.parent.is_dir():
        raise exits.Quit(exits.NO_INPUT, f"there is no folder '{file.parent}'")
    return file


@contextmanager
def _recorded(
    plan: "Plan", kit: "Kit", file: Path, sets: tuple[str, ...], *, max_bytes: int, json: bool
) -> "Iterator[App]":
    from edgeapp.runtime.app import App
    from edgeapp.service.privacy import masked
    from edgeapp.service.recordings.recorder import RecordedPipeline, Recorder
    from edgeapp.service.recordings.recording import RecordingWriter
    from edgeapp.service.recordings.replay import header_of

    kit = replace(kit, seed=secrets.randbits(32))
    redact = masked(plan)
    counts = {source: len(mask.polygons) for source, mask in redact.items()}
    try:
        header = header_of(plan, sets=sets, seed=kit.seed or 0, masked=counts)
        writer = RecordingWriter(file, header, max_bytes=max_bytes)
    except TypeError as error:
        raise exits.Quit(exits.USAGE, f"this pipeline cannot be recorded: {error}") from None
    except FileExistsError:
        raise exits.Quit(
            exits.USAGE,
            f"'{file}.part' is there already, a recording that was cut off: "
            "replay it, and remove it or name another file with --out",
        ) from None
    except OSError as error:
        raise exits.Quit(
            exits.UNAVAILABLE, f"'{error.filename or file}' cannot be used: {error.strerror}"
        ) from None
    with Recorder(
        writer,
        plan,
        clock=kit.clock,
        log=kit.log.bind(pipeline=plan.name),
        redact=redact,
        over=lambda: os.kill(os.getpid(), signal.SIGTERM),  # ends the run as a user would
    ) as recorder:
        app = App([plan], kit)
        app.pipelines = [RecordedPipeline(plan, kit, recorder)]
        yield app
        recorder.finish(app.pipelines[0].state)
    _tell(recorder, file, header.masked, json=json)


def _tell(recorder: "Recorder", file: Path, masked: dict[str, int], *, json: bool) -> None:
    """Say what became of the recording.

    Raises:
        Quit: it could not be written.
    """
    from edgeapp.cli.words import plural, reasons

    if not recorder.finished:
        why = recorder.problem or "nothing came"
        raise exits.Quit(
            exits.UNAVAILABLE,
            f"the recording ended early: {why}; '{file}.part' holds "
            f"{plural(recorder.packets, 'packet')}",
        )
    size = file.stat().st_size
    if json:
        from json import dumps

        facts: dict[str, Any] = {
            "type": "recording",
            "file": str(file),
            "packets": recorder.packets,
            "bytes": size,
            "missing": dict(recorder.missing),
            "full": recorder.full,
            "masked": masked,
        }
        print(dumps(facts), flush=True)
        return
    said = f"{file}: {plural(recorder.packets, 'packet')}, {size / _MB:.1f} MB"
    if recorder.full:
        said += "; it ended there, full: --max-mb allows more"
    if recorder.missing:
        said += (
            f"; missing, because the disk was too slow: {reasons(dict(recorder.missing))}. "
            "A replay will not be the same as this run"
        )
    if masked:
        said += f"; pictures of {', '.join(masked)} are blacked out where the masks are"
    print(f"{said}.", flush=True)
