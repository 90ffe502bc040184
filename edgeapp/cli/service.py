"""`edgeapp service`: the unit that runs the pipelines of this device."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Files, existing
from edgeapp.cli.program import program

if TYPE_CHECKING:
    from edgeapp.service.systemd.drop_ins import DropIns

UNIT_FOLDER = "/etc/systemd/system/edgeapp.service.d"

app = App(
    name="service",
    help_epilogue=f"Example:\n  {program()} service dropins",
)

_SAID = {"missing": "wrote", "changed": "wrote anew", "stale": "removed"}


@app.command(
    usage="Usage: edgeapp service dropins [OPTIONS] [FILE...]",
    help="Show what the unit needs on this machine for these pipelines: devices, groups, secrets, "
    "hosts.\n\n"
    "Without --out, nothing is written. With it, DIR holds these files and no older ones of their "
    "kind; other files in it stay. To be called after every change of what pipelines use, and as "
    "root, who alone can see the secrets. What is missing is said, and ends no start.",
    help_epilogue=f"Example:\n  sudo {program()} service dropins --out {UNIT_FOLDER}",
)
def dropins(
    *files: Files,
    device: Device = None,
    out: Annotated[Path | None, Parameter(metavar="DIR")] = None,
) -> int:
    """Show what the unit needs on this machine for these pipelines.

    Args:
        files: Pipeline files. If not given: all installed.
        device: The device file. If not given: what is installed.
        out: Folder to write to: the drop-ins of edgeapp.service.
    """
    made = _made(existing(files) if files else [], device)
    from edgeapp.document.render import clean

    for doubt in made.doubts:
        print(f"edgeapp: {clean(doubt)}", file=sys.stderr)
    if out is None:
        print("\n".join(f"# {UNIT_FOLDER}/{name}\n{text}" for name, text in made.files.items()))
        return exits.OK
    from edgeapp.service.systemd.drop_in_folder import bring_about

    absent = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    try:
        differed = bring_about(out, made.files)
    except OSError as error:
        problem = f"'{error.filename or out}' cannot be written: {error.strerror}"
        raise exits.Quit(exits.FAILED, problem) from None
    for folder in reversed(absent):
        if folder.is_dir():
            print(f"made the folder {folder}")
    for what, name in differed:
        print(f"{_SAID[what]} {out / name}")
    if differed:
        print("to use them: sudo systemctl daemon-reload && sudo systemctl restart edgeapp")
    else:
        print(f"nothing to change in {out}")
    return exits.OK


def _made(files: list[Path], device: Path | None) -> "DropIns":
    from edgeapp.config.device import read_device
    from edgeapp.config.folder import yaml_files
    from edgeapp.config.places import places
    from edgeapp.plan.load import load
    from edgeapp.service.doctor.machine import Machine
    from edgeapp.service.systemd.drop_ins import drop_ins, needed

    installed = places(root=True)  # whoever asks: it is about the service
    if not files and device is None:
        files = list(yaml_files(installed.pipelines))
    told = {"STATE_DIRECTORY": str(installed.data), "RUNTIME_DIRECTORY": str(installed.run)}
    config = read_device(device or installed, environment={**told, **os.environ})
    plans = load(files, device=config, open_models=False) if files else ()
    return drop_ins(needed(plans, config), config, Machine())
