"""What a command is about that names no file: what is installed on this device."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.cli.arguments import existing
from edgeapp.cli.program import program
from edgeapp.config.folder import yaml_files
from edgeapp.config.places import CONF_D, SYSTEM, Places, pipelines_dir, places
from edgeapp.errors import Complaint, ConfigError, Place

if TYPE_CHECKING:
    from edgeapp.config.device import DeviceConfig


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files that a command is about."""

    pipelines: list[Path]
    device: Path | Places | None
    """The device file that was named; an installation; None: everything has its default."""
    service: bool
    """No pipeline file was named: those of a whole configuration run."""


def chosen(
    files: Sequence[Path],
    device: Path | Places | None,
    command: str,
    *,
    environment: Mapping[str, str] | None = None,
) -> Chosen:
    """The files that were named; without any, all that are beside `device`, or in our own places.

    Raises:
        Quit: a file that was named is not there.
        ConfigError: none was named, and none is installed.
    """
    if files:
        return Chosen(existing(files), device, service=False)
    of = device or places(environment)
    folder = pipelines_dir(of)
    found = yaml_files(folder)
    if not found:
        what = (
            "there is no pipeline in this folder" if folder.is_dir() else "there is no such folder"
        )
        remedy = f"put pipelines there, each a file *.yaml, or name one: {program()} {command} FILE"
        raise ConfigError([Complaint(Place(str(folder)), f"{what}, and no file was named", remedy)])
    return Chosen(list(found), of, service=True)


def installed(
    environment: Mapping[str, str] | None = None, *, system: Places = SYSTEM
) -> Places | None:
    """The installation that a command without --device is about: ours, else that of the device.

    None where there is neither, or where we may not look into it.
    """
    environment = os.environ if environment is None else environment
    own = places(environment)
    if _is_there(own):
        return own
    if "CONFIGURATION_DIRECTORY" in environment:  # whoever says where it is means no other
        return None
    return system if _is_there(system) else None


def _is_there(of: Places) -> bool:
    parts = (of.device_file, of.config / CONF_D, of.pipelines)
    return os.access(of.config, os.R_OK | os.X_OK) and any(map(os.path.lexists, parts))


def installation_of(
    files: Sequence[Path], environment: Mapping[str, str] | None = None, *, system: Places = SYSTEM
) -> Places | None:
    """The installation whose pipelines these files are; None: they are of none."""
    folders = {file.absolute().parent for file in files}
    known = (places(environment), system)
    return next((of for of in known if folders == {of.pipelines.absolute()}), None)


def configured(
    device: Path | Places | None, sets: Sequence[str], files: Sequence[Path]
) -> "tuple[DeviceConfig, tuple[str, ...]]":
    """The device configuration, with those of `--set` that change it; and the others of them.

    Raises:
        ConfigError: something is wrong with what the device configuration is read from.
    """
    from edgeapp.config.device import read_device
    from edgeapp.config.sort_sets import sort_sets

    given = sort_sets(sets, files)
    return read_device(device, sets=given.device), given.stages
