"""`edgeapp outbox`: what waits on this device's disk for the broker."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag
from edgeapp.cli.program import program
from edgeapp.uplink.outbox import PRIORITIES

if TYPE_CHECKING:
    from edgeapp.config.device import DeviceConfig
    from edgeapp.config.places import Places
    from edgeapp.core.message import Priority
    from edgeapp.uplink.disk.store_reader import StoreReader

Class = Annotated[
    tuple[Literal["critical", "normal", "bulk"], ...],
    Parameter(name="--class", negative="", metavar="CLASS", show_default=False),
]
Count = Annotated[int | None, Parameter(metavar="N")]

_PEEK = 10
_MOST = 100_000

app = App(
    name="outbox",
    help_epilogue=f"Example:\n  {program()} outbox peek --newest 3",
)


@app.default
@app.command(help_epilogue=f"Example:\n  {program()} outbox status")
def status(*, device: Device = None, json: Flag = False) -> int:
    """Say how much waits, since when, and what the broker refused.

    Args:
        device: The device file that the running process was given.
        json: Print one JSON object.
    """
    of = _of(device)
    config = _config(of)
    with _reader(config) as reader:
        facts = _facts(config, of, reader)
    if json:
        _print_json(facts)
    else:
        print("\n".join(_lines(facts)))
    uplink = facts["uplink"]
    ill = any(file["problem"] for file in facts["files"]) or facts["problem"]
    return exits.FAILED if ill or (uplink and uplink["outbox_problem"]) else exits.OK


@app.command(help_epilogue=f"Example:\n  {program()} outbox peek --class critical --newest 3")
def peek(
    *,
    classes: Class = (),
    dead: Flag = False,
    newest: Count = None,
    oldest: Count = None,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Show messages that wait, each with its id, age, topic and size.

    Args:
        classes: Only those of this class. Can be given several times.
        dead: Those that the broker refused for good, with its reasons.
        newest: So many of the newest ones of each class.
        oldest: So many of the oldest ones of each class; 10 if neither is given.
        device: The device file that the running process was given.
        json: Print a JSON object for each message, with its body.
    """
    if newest is not None and oldest is not None:
        raise exits.Quit(exits.USAGE, "give either --newest or --oldest")
    limit = next((count for count in (newest, oldest) if count is not None), _PEEK)
    if not 0 < limit <= _MOST:
        raise exits.Quit(exits.USAGE, f"a number of messages is 1 to {_MOST:,}, not {limit:,}")
    of = _of(device)
    config = _config(of)
    from edgeapp.service.outbox_look import dead_rows, waiting_rows
    from edgeapp.uplink.disk.store import StoreError

    rows_of = dead_rows if dead else waiting_rows
    with _reader(config) as reader:
        try:
            rows = rows_of(
                reader, config.device, classes or PRIORITIES, limit, newest=newest is not None
            )
        except StoreError as error:
            raise exits.Quit(exits.BAD_DATA, f"the outbox cannot be read: {error}") from None
    for row in rows:
        _print_json(row) if json else print(_shown(row))
    closed = [file for file in reader.files if file.problem]
    if not rows and not json and not closed:
        print("the broker refused none" if dead else "nothing waits on the disk")
    for file in closed:
        print(f"{file.name}: {file.problem}", file=sys.stderr)
    return exits.FAILED if closed else exits.OK


@app.command(help_epilogue=f"Example:\n  {program()} outbox purge --class bulk --yes")
def purge(
    *,
    classes: Class = (),
    dead: Flag = False,
    yes: Flag = False,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Remove messages for good: nobody will get them.

    Args:
        classes: Only those that wait of this class. Can be given several times.
        dead: Those that the broker refused; without --class nothing else.
        yes: Do not ask.
        device: The device file that the running process was given.
        json: Print a JSON object with their number.
    """
    of = _of(device)
    config = _config(of)
    chosen: tuple[Priority, ...] = classes or (() if dead else PRIORITIES)
    with _reader(config) as reader:
        facts = _facts(config, of, reader)
    if not yes:
        _confirm(facts, chosen, dead=dead)
    if facts["running"]:
        from edgeapp.cli.asking import answer

        count = answer(of, "purge", classes=list(chosen), dead=dead).facts["count"]
    else:
        count = _purge_here(config, chosen, dead=dead)
    if json:
        _print_json({"count": count})
    else:
        from edgeapp.cli.words import plural

        print(f"{plural(count, 'message')} removed")
    return exits.OK


# What is there


def _of(device: Path | None) -> "Path | Places | None":
    from edgeapp.cli.installed import installed

    return device or installed()


def _config(of: "Path | Places | None") -> "DeviceConfig":
    from edgeapp.config.device import read_device

    return read_device(of)


def _folder(config: "DeviceConfig") -> Path:
    from edgeapp.cli.link_up import OUTBOX

    return config.data_dir / OUTBOX


def _reader(config: "DeviceConfig") -> "StoreReader":
    """The store.

    Raises:
        Quit: there is none, or it may not be read.
    """
    from edgeapp.uplink.disk.store_reader import StoreReader

    folder = _folder(config)
    try:
        return StoreReader(folder)
    except FileNotFoundError:
        where = f"there is no outbox in '{config.data_dir}'"
        if config.mqtt is None:
            problem = f"{where}: no broker is named; give the --device that names one"
        else:
            problem = f"{where}: nothing was ever sent from there; is it the right --device?"
        raise exits.Quit(exits.NO_INPUT, problem) from None
    except PermissionError:
        raise _not_yours(folder) from None
    except OSError as error:
        raise exits.Quit(exits.NO_INPUT, f"'{folder}' cannot be read: {error.strerror}") from None


def _not_yours(folder: Path) -> exits.Quit:
    return exits.Quit(exits.NO_INPUT, f"'{folder}' belongs to another user: ask as that user")


def _running(config: "DeviceConfig", of: "Path | Places | None") -> dict[str, Any]:
    """What the process says that runs: `running` (None: it may not be asked) and its `uplink`."""
    from edgeapp.cli.asking import answer
    from edgeapp.errors import Unavailable
    from edgeapp.service.control.server import SOCKET

    try:
        uplink = answer(of, "status", window_s=0.0).facts.get("uplink")
    except Unavailable:
        socket = (config.run_dir or config.data_dir) / SOCKET
        hidden = socket.exists() and not os.access(socket, os.W_OK)
        return {"running": None if hidden else False, "uplink": None}
    return {"running": True, "uplink": uplink}


def _facts(
    config: "DeviceConfig", of: "Path | Places | None", reader: "StoreReader"
) -> dict[str, Any]:
    from edgeapp.service.outbox_look import look

    quotas = config.outbox
    bytes_of = quotas.critical_bytes, quotas.normal_bytes, quotas.bulk_bytes
    return {
        "device": config.device,
        "folder": str(_folder(config)),
        **_running(config, of),
        **look(reader, dict(zip(PRIORITIES, bytes_of, strict=True))),
    }


# How it is shown


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    from edgeapp.cli.uplink_words import uplink_lines
    from edgeapp.cli.words import plural, printable, size, span

    yield printable(f"{facts['device']}: outbox in {facts['folder']}")
    if facts["uplink"]:
        yield from uplink_lines(facts["uplink"])
    else:
        yield {
            True: "running, but nothing is sent to a broker",
            False: "not running",
            None: "running or not: who may know is the user whose process it is",
        }[facts["running"]]
    if facts["problem"]:
        yield f"cannot be read: {printable(facts['problem'])}"
    else:
        yield ""
        whole = not any(file["problem"] for file in facts["files"])
        yield f"  {'on the disk' if whole else 'readable':<12}{'messages':>10}{'size':>9}{'of':>9}  oldest"
    for name, one in facts["classes"].items():
        oldest = span(one["oldest_s"]) if one["oldest_s"] is not None else "unknown"
        yield (
            f"  {name:<12}{one['messages']:>10,}{size(one['bytes']):>9}"
            f"{size(one['quota_bytes']):>9}  {oldest if one['messages'] else ''}"
        ).rstrip()
    yield ""
    if facts["dead"]:
        yield (
            f"{plural(facts['dead'], 'message')} refused for good by the broker: "
            f"{program()} outbox peek --dead"
        )
    for file in facts["files"]:
        problem = f": {printable(file['problem'])}" if file["problem"] else ""
        yield f"{file['name']}, {size(file['size_bytes'])}{problem}"


def _shown(row: Mapping[str, Any]) -> str:
    """One message on one line, cut to the terminal's width where it is a terminal."""
    import shutil
    from json import dumps

    from edgeapp.cli.painter import fit
    from edgeapp.cli.words import printable, size, span

    if "problem" in row:
        return printable(f"{row['id']}  {row['problem']}")
    age = "age unknown" if row["age_s"] is None else f"{span(row['age_s'])} ago"
    if "refused" in row:
        what = f"refused: {row['refused']}"
    elif "body" in row:
        what = dumps(row["body"], ensure_ascii=False)
    else:
        what = row["content_type"] or "binary"
    head = f"{row['id']}  {row['class']}  {age}  {row['topic']}  {size(row['bytes'])}"
    line = printable(f"{head}  {what}")
    return fit(line, shutil.get_terminal_size().columns).rstrip() if sys.stdout.isatty() else line


def _print_json(value: object) -> None:
    from json import dumps

    print(dumps(value, ensure_ascii=False))


# Removing


def _confirm(facts: Mapping[str, Any], chosen: "Sequence[Priority]", *, dead: bool) -> None:
    """Ask whoever is at the terminal.

    Raises:
        Quit: nobody is, or the answer is no.
    """
    from edgeapp.cli.words import plural

    count = sum(facts["classes"].get(name, {"messages": 0})["messages"] for name in chosen)
    count += facts["dead"] if dead else 0
    if not sys.stdin.isatty():
        raise exits.Quit(exits.USAGE, f"say --yes to remove {plural(count, 'message')} for good")
    print(f"This removes {plural(count, 'message')} for good. Type 'purge' to go on: ", end="")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != "purge":
        raise exits.Quit(exits.USAGE, "nothing was removed")


def _purge_here(config: "DeviceConfig", chosen: "Sequence[Priority]", *, dead: bool) -> int:
    """Remove messages while nothing runs.

    Raises:
        Quit: the disk does not do it.
    """
    from edgeapp.core.clock import MonotonicClock
    from edgeapp.service.logs import set_up
    from edgeapp.uplink.durable_outbox import DurableOutbox
    from edgeapp.uplink.wall_clock import WallClock

    folder = _folder(config)
    if not os.access(folder, os.W_OK):
        raise _not_yours(folder)
    clock = MonotonicClock()
    wall = WallClock(clock)
    log = set_up("error", "text")  # what goes wrong is said below
    with closing(DurableOutbox(folder, run=0, clock=clock, wall=wall, log=log)) as outbox:
        outbox.step()
        if problem := outbox.statistics().problem:
            raise exits.Quit(exits.UNAVAILABLE, f"nothing was removed: {problem}")
        try:
            return outbox.purge(chosen, dead=dead)
        except TimeoutError as error:
            problem = outbox.statistics().problem or str(error)
            raise exits.Quit(exits.UNAVAILABLE, f"perhaps not removed: {problem}") from None
