"""The machine as the doctor sees it: its files below a root, and programs that answer in time."""

import errno
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edgeapp.core.whole_file import read_start
from edgeapp.uplink.wall_clock import wall_clock_is_synchronised

PROGRAM_S = 5.0
"""How long a program may take to answer."""
_MOST_BYTES = 1 << 20


class Ran(NamedTuple):
    """How a program ended."""

    code: int | None
    """Its exit code, negative for a signal; None: it is not there, or took too long."""
    out: str = ""
    problem: str = ""
    """Why it did not end by itself."""


Run = Callable[[Sequence[str], float], Ran]


def run_program(command: Sequence[str], most_s: float) -> Ran:
    """Run a program to its end, without a terminal and in English; it is killed after `most_s`.

    Of what it says the last megabyte is kept.
    """
    try:
        ended = subprocess.run(  # noqa: S603  programs of ours, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=most_s,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
    except FileNotFoundError:
        return Ran(None, problem=f"there is no program '{command[0]}'")
    except subprocess.TimeoutExpired:
        return Ran(None, problem=f"'{command[0]}' did not answer within {most_s:.0f} s")
    except OSError as error:
        return Ran(None, problem=f"'{command[0]}' cannot be run: {error.strerror}")
    return Ran(ended.returncode, _end_of(ended.stdout).decode("utf-8", errors="replace"))


def _end_of(said: bytes) -> bytes:
    """Of too much the end, where a log has what is newest; whole lines."""
    return said if len(said) <= _MOST_BYTES else said[-_MOST_BYTES:].partition(b"\n")[2]


class User(NamedTuple):
    """An account of the machine."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Machine:
    """Reads files and asks programs. Whatever may not be seen raises OSError, and is no end."""

    root: Path = Path("/")
    """The folder that stands for /; another one in tests."""
    run: Run = field(default_factory=lambda: run_program)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    uid: int = field(default_factory=os.geteuid)
    is_device: Callable[[os.stat_result], bool] = lambda state: (
        stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode)
    )
    """Whether a file is the node of a device; tests have no other files than common ones."""
    wall_s: Callable[[], float] = time.time
    """Seconds since 1970."""
    synchronised: Callable[[], bool] = wall_clock_is_synchronised
    """Whether the kernel says that the wall clock is."""

    def path(self, absolute: str | Path) -> Path:
        """Where a file of the machine is."""
        return self.root / str(absolute).lstrip("/")

    def text(self, absolute: str | Path, most_bytes: int = 65_536) -> str:
        """The beginning of a text file, without the space around it.

        Raises:
            OSError: it cannot be read.
        """
        return read_start(self.path(absolute), most_bytes).decode("utf-8", "replace").strip(" \n\0")

    def text_or(self, absolute: str | Path, otherwise: str = "") -> str:
        """The same, or something else where it cannot be read."""
        try:
            return self.text(absolute)
        except OSError:
            return otherwise

    def names(self, folder: str | Path) -> list[str]:
        """What lies in a folder, sorted; nothing where it may not be looked into."""
        try:
            return sorted(path.name for path in self.path(folder).iterdir())
        except OSError:
            return []

    def is_there(self, absolute: str | Path) -> bool | None:
        """Whether there is such a file; None: the folder may not be looked into."""
        try:
            self.path(absolute).lstat()
        except OSError as error:
            return None if error.errno in {errno.EACCES, errno.EPERM} else False
        return True

    def user(self, name_or_id: str | int) -> User | None:
        """An account by its name or number; None: there is none."""
        for row in self._rows("/etc/passwd", 7):
            if row[0] == name_or_id or row[2] == str(name_or_id):
                return User(row[0], int(row[2]), int(row[3]))
        return None

    def groups_of(self, user: User) -> dict[int, str]:
        """The groups of an account: numbers and names."""
        return {
            int(row[2]): row[0]
            for row in self._rows("/etc/group", 4)
            if int(row[2]) == user.gid or user.name in row[3].split(",")
        }

    def group(self, name_or_id: str | int) -> tuple[str, int] | None:
        """A group's name and number; None: there is none."""
        for row in self._rows("/etc/group", 4):
            if row[0] == name_or_id or row[2] == str(name_or_id):
                return row[0], int(row[2])
        return None

    def _rows(self, file: str, columns: int) -> Iterator[list[str]]:
        for line in self.text_or(file).splitlines():
            row = line.split(":")
            if len(row) == columns and row[2].isdecimal() and (columns == 4 or row[3].isdecimal()):  # noqa: PLR2004  of /etc/group
                yield row


def may_open(state: os.stat_result, user: User, groups: Iterable[int], *, write: bool) -> bool:
    """Whether an account may open a file for reading (and writing), by owner, group and mode."""
    if user.uid == 0:
        return True
    wanted = 0o6 if write else 0o4
    if state.st_uid == user.uid:
        return (state.st_mode >> 6) & wanted == wanted
    if state.st_gid in set(groups):
        return (state.st_mode >> 3) & wanted == wanted
    return state.st_mode & wanted == wanted
