"""The files that a service was started with, and what differs once one of them does."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeapp.config.device import DeviceConfig
from edgeapp.config.folder import yaml_files
from edgeapp.config.layers import device_files
from edgeapp.config.places import Places
from edgeapp.document.reader import read_bytes
from edgeapp.document.render import clean, clean_place
from edgeapp.errors import Complaint, ConfigError
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.plan.variants import Models
from edgeapp.service.starts.good import GoodFiles

_MOST_SAID = 3
_LONGEST = 300

Mark = tuple[object, ...]
"""Differs once a file does."""
Load = Callable[[Sequence[Path], Mapping[Path, bytes]], tuple[Plan, ...]]
"""Plans of some files with these texts. Raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Given:
    """What runs, as the command line named it."""

    files: tuple[Path, ...]
    sets: tuple[str, ...] = ()
    device: Path | Places | None = None
    folder: Path | None = None
    """Of which all files run; None: those that were named."""

    def listed(self) -> tuple[Path, ...]:
        """The pipeline files that are to run now.

        Raises:
            ConfigError: the folder cannot be looked into.
        """
        return self.files if self.folder is None else yaml_files(self.folder)

    def load(self, device: DeviceConfig) -> Load:
        """How these files are read, with what the command line changed. For one thread at a time."""
        models = Models(device.data_dir)

        def do(files: Sequence[Path], texts: Mapping[Path, bytes]) -> tuple[Plan, ...]:
            if not files:
                return ()
            return load(files, sets=self.sets, device=device, texts=texts, models=models)

        return do


@dataclass(frozen=True, slots=True)
class Loaded:
    """Pipelines with the texts that they were made of."""

    plans: tuple[Plan, ...]
    texts: Mapping[Path, bytes]
    """By file, in the order of the plans."""
    fallen_back: Mapping[Path, str]
    """Files that are wrong, and what is wrong: their last good texts were taken."""


def device_marks(of: Path | Places | None) -> dict[Path, Mark]:
    """The device file and those of `conf.d`, as they are now; take these before they are read."""
    try:
        return {file: mark_of(file) for file in device_files(of)}
    except ConfigError as error:
        return {Path(): tuple(one.problem for one in error.complaints)}


def texts_of(files: Iterable[Path]) -> dict[Path, bytes]:
    """What is in some files now.

    Raises:
        ConfigError: some cannot be read; all of them.
    """
    texts: dict[Path, bytes] = {}
    found: list[Complaint] = []
    for file in files:
        try:
            texts[file] = read_bytes(file)
        except ConfigError as error:
            found.extend(error.complaints)
    if found:
        raise ConfigError(found)
    return texts


def load_or_good(files: Sequence[Path], load: Load, good: GoodFiles | None) -> Loaded:
    """Load what is there, and the last good text of a file that is wrong.

    Raises:
        ConfigError: something is wrong that no good text helps against; every mistake in what is
            there.
    """
    texts: dict[Path, bytes] = {}
    try:
        texts = texts_of(files)
        return Loaded(load(files, texts), texts, {})
    except ConfigError as error:
        wrong = error
    fallen: dict[Path, str] = {}
    for file in files:
        said = [one for one in wrong.complaints if one.place and one.place.file == str(file)]
        kept = good.text_of(file) if said and good is not None else None
        if kept is not None:
            texts[file], fallen[file] = kept, said_of(said)
        elif file not in texts:
            raise wrong
    if not fallen:
        raise wrong
    try:
        texts = {file: texts[file] for file in files}
        return Loaded(load(files, texts), texts, fallen)
    except (ConfigError, KeyError):
        raise wrong from None


def mark_of(file: Path) -> Mark:
    """Of the content of a file."""
    try:
        # As far as it would be read: there may be a pipe by now, or something without an end.
        return mark(read_bytes(file))
    except ConfigError as error:
        return tuple(one.problem for one in error.complaints)


def mark(text: bytes) -> Mark:
    """Of a text."""
    return (hashlib.sha256(text).digest(),)


def models_of(plan: Plan) -> tuple[Path, ...]:
    """The model files of a pipeline."""
    return tuple(v.file for stage in plan.stages.values() for v in stage.variants)


def marks_of_models(files: Iterable[Path]) -> Mark:
    """Model files: which, how large, and when they were changed."""
    found: list[object] = []
    for file in files:
        try:
            state = file.stat()
            found.append((file, state.st_size, state.st_mtime_ns))
        except OSError as error:
            found.append((file, error.errno))
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    shown = ", ".join(names[:_MOST_SAID])
    more = len(names) - _MOST_SAID
    return f"{shown} and {more} more" if more > 0 else shown


def said_of(complaints: Sequence[Complaint]) -> str:
    """The first few mistakes, without anything secret."""
    said = [_complaint(one) for one in complaints[:_MOST_SAID]]
    if len(complaints) > _MOST_SAID:
        said.append(f"{len(complaints) - _MOST_SAID} more")
    return "; ".join(said)


def _complaint(complaint: Complaint) -> str:
    said = complaint.problem
    place = complaint.place
    if place is not None:
        file = Path(clean_place(place)).name
        said = f"{file}:{place.line}: {said}" if place.line else f"{file}: {said}"
    if complaint.remedy:
        said = f"{said} ({complaint.remedy})"
    said = clean(said)
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
