"""Which `--set` change the device file, and which the stages of pipelines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeapp.config.device_file import DeviceFile
from edgeapp.config.outside import KEYS, PREFIX
from edgeapp.config.sets import in_stages
from edgeapp.config.words import at_path, schema_of
from edgeapp.document.reader import read_file
from edgeapp.document.tree import Table, shortened
from edgeapp.errors import Complaint, ConfigError, Place


@dataclass(frozen=True, slots=True)
class SortedSets:
    """What followed each `--set`, in its order."""

    device: tuple[str, ...]
    stages: tuple[str, ...]


def sort_sets(sets: Sequence[str], files: Sequence[Path]) -> SortedSets:
    """Those that begin with a key of the device file change it, all others a stage of `files`.

    Where a stage has the name of such a key, it is meant, unless both could have the option.

    Raises:
        ConfigError: both could; says what to write instead.
    """
    device, stages = [], []
    found: list[Complaint] = []
    homes: dict[str, Path] | None = None
    for text in sets:
        target, equals, _ = text.partition("=")
        path = tuple(target.strip().split("."))
        if not equals or path[0] not in KEYS or in_stages(target) != target.strip():
            stages.append(text)
            continue
        homes = _stages(files) if homes is None else homes
        if len(path) == 1 or path[0] not in homes:
            device.append(text)
        elif at_path(schema_of(DeviceFile), path):
            found.append(_both(text, path, homes[path[0]]))
        else:
            stages.append(text)
    if found:
        raise ConfigError(found)
    return SortedSets(tuple(device), tuple(stages))


def _stages(files: Sequence[Path]) -> dict[str, Path]:
    """The ids of all stages, each with a file that has it; those that can be read."""
    homes: dict[str, Path] = {}
    for file in files:
        try:
            root = read_file(file)
        except ConfigError:
            continue  # whoever runs the file will say so
        stages = root.get("stages") if isinstance(root, Table) else None
        if stages is not None and isinstance(stages.value, Table):
            homes.update((entry.key, file) for entry in stages.value.entries)
    return homes


def _both(text: str, path: tuple[str, ...], file: Path) -> Complaint:
    dotted = ".".join(path)
    problem = f"'{path[0]}' is a stage of {file}, and a section of the device file with '{dotted}'"
    variable = f"{PREFIX}{'__'.join(path).upper()}"
    remedy = f"write --set stages.{dotted}=... for the stage; for the device set {variable}"
    return Complaint(Place(f"--set {shortened(text)}"), problem, remedy)
