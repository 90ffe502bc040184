"""The folder of the unit's drop-ins: what differs in it from what is wanted, and bringing it about."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from edgeapp.core.whole_file import read_start, sync_folder, write_whole
from edgeapp.errors import Complaint, ConfigError, Place
from edgeapp.service.systemd.drop_ins import MARK, NAMES

_MOST_BYTES = 1 << 20


class Difference(NamedTuple):
    """One of our files is not as it should be."""

    what: Literal["missing", "changed", "stale"]
    name: str


def differences(folder: Path, wanted: Mapping[str, str]) -> list[Difference]:
    """Which of our files in a folder are missing, say something else, or are not wanted any more.

    Raises:
        ConfigError: a file that is not ours has one of our names.
        OSError: the folder cannot be read.
    """
    found: list[Difference] = []
    foreign: list[Complaint] = []
    for name in NAMES:
        try:
            text: str | None = read_start(folder / name, _MOST_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            text = None
        if text is not None and not text.startswith(MARK):
            problem = "this file was not made by `edgeapp service dropins`, but has the name of one"
            foreign.append(Complaint(Place(str(folder / name)), problem, "rename it"))
        elif text is None and name in wanted:
            found.append(Difference("missing", name))
        elif text is not None and name not in wanted:
            found.append(Difference("stale", name))
        elif text is not None and text != wanted[name]:
            found.append(Difference("changed", name))
    if foreign:
        raise ConfigError(foreign)
    return found


def bring_about(folder: Path, wanted: Mapping[str, str]) -> list[Difference]:
    """Write what differs, each file whole or not at all, and remove what is not wanted any more.

    Files of others stay as they are. Gives what differed.

    Raises:
        ConfigError: a file that is not ours has one of our names; nothing was written.
        OSError: it cannot be done; some of it may be.
    """
    differed = differences(folder, wanted)
    for what, name in differed:
        if what != "stale":
            write_whole(folder / name, wanted[name].encode())
            (folder / name).chmod(0o644)
    for what, name in differed:
        if what == "stale":
            with suppress(FileNotFoundError):
                (folder / name).unlink()
            sync_folder(folder)
    return differed
