"""`edgeapp new`: a project to begin with, which works as it is."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.program import program

Template = Literal["camera", "machine", "sound", "plugin"]

_TEMPLATES = Path(__file__).with_name("templates")
_MODELS = (_TEMPLATES / "models", Path(__file__).parents[2] / "pipelines" / "models")
"""In an installed package, and in a checkout."""
_MODELS_OF = {"camera": ("conveyor_160.onnx", "conveyor_labels.txt")}
_NAME = b"NAME"
_SUFFIX = ".template"
"""Of files that would be taken for a part of edgeapp itself, such as Python."""


def new(
    template: Annotated[Template, Parameter(metavar="TEMPLATE")],
    folder: Annotated[Path, Parameter(metavar="DIR")],
    /,
) -> int:
    """Make a project.

    Args:
        template: What kind: camera, machine (vibration), sound, or plugin (one of your own).
        folder: The folder to make; it may be there if it is empty.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise exits.Quit(exits.USAGE, f"'{folder}' is there already, and is no empty folder")
        files = dict(_files(template, _name_of(folder)))
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        _expect(folder)
    except OSError as error:
        raise exits.Quit(
            exits.UNAVAILABLE, f"'{error.filename}' cannot be written: {error.strerror}"
        ) from None
    print("\n".join(_what_next(folder, template)))
    return exits.OK


def _files(template: str, name: str) -> Iterator[tuple[Path, bytes]]:
    for root in (_TEMPLATES / "common", _TEMPLATES / template):
        for file in sorted(root.rglob("*")):
            if file.is_file():
                path = file.relative_to(root)
                content = file.read_bytes().replace(_NAME, name.encode())
                yield path.with_name(path.name.removesuffix(_SUFFIX)), content
    for model in _MODELS_OF.get(template, ()):
        found = next(folder / model for folder in _MODELS if (folder / model).exists())
        yield Path("models") / model, found.read_bytes()


def _name_of(folder: Path) -> str:
    from edgeapp.config.names import sanitised

    return sanitised(folder.absolute().name) or "my-app"


def _expect(folder: Path) -> None:
    """Take what the project's test cases give on this machine as what is expected."""
    from edgeapp.cli.run import one_thread_each

    one_thread_each()
    from edgeapp.cli.test import write_expected
    from edgeapp.config.device import read_device
    from edgeapp.service.logs import set_up
    from edgeapp.service.recordings.cases import cases_in, read_case, run_case

    device = read_device(folder / "device.yaml")
    for file in cases_in(folder):
        case = read_case(file)
        write_expected(case, run_case(case, device, set_up("warning")).lines)


def _what_next(folder: Path, template: str) -> list[str]:
    with_device = " --device device.yaml" if template == "plugin" else ""
    edgeapp = program()
    if os.sep in edgeapp and not Path(edgeapp).is_absolute():  # it is called from elsewhere now
        edgeapp = str(Path(edgeapp).absolute())
    from edgeapp.document.render import clean

    return [
        f"{clean(str(folder))} is ready; README.md in it says how to go on. Try:",
        f"  cd {clean(shlex.quote(str(folder)))}",
        f"  {edgeapp} check pipeline.yaml{with_device}",
        f"  {edgeapp} test",
        f"  {edgeapp} run pipeline.yaml --device device.yaml --for 30s",
    ]
