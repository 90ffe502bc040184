"""All that says something of the device, the least important first: files, environment, `--set`."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeapp.config.device_file import DeviceFile
from edgeapp.config.folder import yaml_files
from edgeapp.config.merge import cleared, merged
from edgeapp.config.outside import environment_layers, set_layers
from edgeapp.config.places import CONF_D, Places
from edgeapp.config.words import at_path, schema_of
from edgeapp.document.reader import read, read_bytes
from edgeapp.document.tree import Table, kind_of
from edgeapp.errors import Complaint, ConfigError, Place

WANTED_EMPTY = (("mqtt", "tls"), ("mqtt", "home_assistant"))
"""Sections that are left empty by somebody who wants them, or who has commented out what stood there.

To go on without, in plain text, is not what they want: it takes more to say that.
"""


def device_files(of: Path | Places | None) -> tuple[Path, ...]:
    """The files that a device configuration is read from, in their order: the later wins.

    A device file, then those of the folder `conf.d` beside it. An installation need have none.

    Raises:
        ConfigError: `conf.d` is not a folder of such files, or a pipe is among them.
    """
    if of is None:
        return ()
    if isinstance(of, Path):
        return (of, *_parts(of.parent / CONF_D))
    own = (of.device_file,) if os.path.lexists(of.device_file) else ()
    return (*own, *_parts(of.config / CONF_D))


def _parts(folder: Path) -> tuple[Path, ...]:
    files = yaml_files(folder)
    # It would be read as empty, or keep us waiting; and what is read once more would be gone.
    pipes = [file for file in files if _is_pipe(file)]
    if pipes:
        problem, remedy = "this is a pipe, not a file", "put a file there, or remove it"
        raise ConfigError([Complaint(Place(str(pipe)), problem, remedy) for pipe in pipes])
    return files


def _is_pipe(file: Path) -> bool:
    try:
        return stat.S_ISFIFO(file.stat().st_mode)
    except OSError:  # which is said when it is read
        return False


def read_layers(
    files: Sequence[Path],
    sets: Sequence[str],
    environment: Mapping[str, str],
    found: list[Complaint],
    texts: Mapping[Path, bytes] | None = None,
) -> Table:
    """All that is said, merged, each piece with the place of the layer that won.

    Mistakes in what is said go to `found`; whether it makes sense is not looked at. `texts`: what
    the files hold; they are read if not given.
    """
    said = Table((), Place(str(files[0]) if files else ""))
    for layer in _layers(files, sets, environment, found, texts):
        said = merged(said, layer)
    return cleared(said, _may_be_empty)


def _layers(
    files: Sequence[Path],
    sets: Sequence[str],
    environment: Mapping[str, str],
    found: list[Complaint],
    texts: Mapping[Path, bytes] | None,
) -> Iterator[Table]:
    for file in files:
        try:
            text = read_bytes(file) if texts is None else texts[file]
            root = read(text, str(file), empty=Table((), Place(str(file))))
        except ConfigError as error:
            found.extend(error.complaints)
            continue
        if isinstance(root, Table):
            yield root
            continue
        problem = f"a device file has keys such as device and mqtt, but this is {kind_of(root)}"
        found.append(Complaint(root.place, problem))
    yield from environment_layers(environment, found)
    yield from set_layers(sets, found)


def _may_be_empty(path: tuple[str, ...]) -> bool:
    return path not in WANTED_EMPTY and bool(at_path(schema_of(DeviceFile), path))
