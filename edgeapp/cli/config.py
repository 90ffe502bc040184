"""`edgeapp config`: the device configuration as it counts, and where each value came from."""

import re
import sys
from collections.abc import Iterator, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import App, Parameter

from edgeapp.cli.arguments import Device, Flag
from edgeapp.cli.program import program

if TYPE_CHECKING:
    from edgeapp.config.device import DeviceReading
    from edgeapp.config.effective import Setting
    from edgeapp.config.places import Places
    from edgeapp.document.tree import Plain

Keys = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", metavar="KEY=VALUE", show_default=False),
]

_WIDEST = 60
"""Columns before the origins; longer values push theirs to the right."""
_UNQUOTED = re.compile(r"[A-Za-z0-9_./~]([A-Za-z0-9_./~%@:+-]*[A-Za-z0-9_./~%@+-])?")
_Row: TypeAlias = tuple[str, str]
"""What counts in a line, and the comment behind it."""
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

app = App(
    name="config",
    help_epilogue=f"Example:\n  {program()} config show --origin",
)


@app.command(
    usage="Usage: edgeapp config show [OPTIONS] [FILE]",
    help_epilogue=f"Example:\n  {program()} config show --origin",
)
def show(
    device: Device = None, *, origin: Flag = False, sets: Keys = (), json: Flag = False
) -> None:
    """Show the device configuration, its defaults included, and the pipelines that would run.

    What is printed is a device file itself. Secrets are shown as references.

    Args:
        device: The device file. If not given: what is installed.
        origin: Say of each value where it came from.
        sets: Change a key first, such as mqtt.host=localhost. Can be given several times.
        json: Print one JSON object.
    """
    from edgeapp.cli.installed import installed
    from edgeapp.config.device import read_device_layers
    from edgeapp.config.effective import settings_of
    from edgeapp.config.folder import yaml_files
    from edgeapp.config.places import pipelines_dir, places

    of = device or installed() or places()
    reading = read_device_layers(of, sets=sets)
    folder = pipelines_dir(of)
    pipelines = yaml_files(folder)
    settings = settings_of(reading)
    if json:
        facts: dict[str, Any] = {
            "files": [str(file) for file in reading.files],
            "settings": _nested(settings),
            "pipelines": [str(file) for file in pipelines],
        }
        if origin:
            facts["origins"] = {".".join(s.path): s.origin for s in settings if not s.is_group}
        print(dumps(facts, indent=2))
        return
    from edgeapp.service.logs import in_color

    dim, plain = (_DIM, _PLAIN) if in_color(sys.stdout) else ("", "")
    for text, comment in (*_head(of, reading), *_rows(settings, origin), *_tail(folder, pipelines)):
        print(f"{text}{dim}{comment}{plain}" if comment else text)


def _head(of: "Path | Places", reading: "DeviceReading") -> Iterator[_Row]:
    where = of.parent if isinstance(of, Path) else of.config
    if reading.files:
        yield "", "# Read, each over the one before:"
        yield from (("", f"#   {file}") for file in reading.files)
    else:
        yield "", f"# There is no device file in {where}."
    yield "", ""


def _rows(settings: "Sequence[Setting]", origin: bool) -> Iterator[_Row]:
    texts = [_text(setting, settings) for setting in settings]
    column = min(_WIDEST, max(map(len, texts))) + 2
    for setting, text in zip(settings, texts, strict=True):
        if not text:
            yield "", f"{_indent(setting)}# {setting.path[-1]}: not set"
        elif origin and not text.endswith(":"):
            yield f"{text:{column}}", f"# {setting.origin}"
        else:
            yield text, ""


def _tail(folder: Path, pipelines: "Sequence[Path]") -> Iterator[_Row]:
    yield "", ""
    if pipelines:
        yield "", "# Pipelines:"
        yield from (("", f"#   {file}") for file in pipelines)
    else:
        yield "", f"# There are no pipelines in {folder}."


def _text(setting: "Setting", settings: "Sequence[Setting]") -> str:
    """A setting as a line of YAML; empty where nothing is set."""
    head = f"{_indent(setting)}{setting.path[-1]}:"
    if setting.is_group:
        depth = len(setting.path)
        inside = (one for one in settings if one.path[:depth] == setting.path and one != setting)
        return head if any(one.value is not None for one in inside) else f"{head} {{}}"
    return "" if setting.value is None else f"{head} {_yaml(setting.value)}"


def _indent(setting: "Setting") -> str:
    return "  " * (len(setting.path) - 1)


def _yaml(value: "Plain") -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return dumps(value)


def _is_plain(text: str) -> bool:
    from edgeapp.document.scalars import resolve

    return bool(_UNQUOTED.fullmatch(text)) and resolve(text) == text


def _nested(settings: "Sequence[Setting]") -> dict[str, Any]:
    root: dict[str, Any] = {}
    for setting in settings:
        home = root
        for key in setting.path[:-1]:
            home = home[key]
        home[setting.path[-1]] = {} if setting.is_group else setting.value
    return root
