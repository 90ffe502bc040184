"""What the text in a file of the kernel says: a number that can be true, words, or a problem."""

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edgeapp.watchdog.signals.files import Files

Problem = Literal["", "missing", "error", "garbage", "range", "rate", "stale"]

_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR})
_WHOLE = re.compile(rb"\s*([+-]?[0-9]{1,19})[\s\0]*")
_NUMBERED = re.compile(r"(\d+)")
_LONGEST_WORDS = 64


@dataclass(frozen=True, slots=True)
class Signal:
    """Whether this device has a signal; a line of the report that people read at the start."""

    name: str
    """Such as "die temperature"."""
    found: bool
    where: str
    """Files or sensors that it comes from; empty: nowhere."""
    note: str = ""
    """What to know about it, or why it is not there; may be empty."""


def whole(text: bytes) -> int | None:
    """The whole number that a text is; None: it is something else."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def problem_of(error: OSError) -> Problem:
    """Whether a file is gone or does not answer."""
    return "missing" if error.errno in _GONE else "error"


def read_whole(files: Files, path: str, least: int, most: int) -> int | None:
    """The number in a file; None: there is none, or it is not from `least` to `most`."""
    try:
        value = whole(files.read(path))
    except OSError:
        return None
    return value if value is not None and least <= value <= most else None


def read_words(files: Files, path: str) -> str:
    """The first line of a file, printable ASCII only and short; empty: there is none."""
    try:
        text = files.read(path)
    except OSError:
        return ""
    line = text.replace(b"\0", b"\n").strip().partition(b"\n")[0][:_LONGEST_WORDS]
    return "".join(c for c in line.decode("ascii", "ignore") if c.isprintable()).strip()


def names_in(files: Files, folder: str) -> list[str]:
    """What lies in a folder, in order, but for names that nobody can print; nothing if unreadable."""
    try:
        names = files.names(folder)
    except OSError:
        return []
    return in_order(name for name in names if name.isascii() and name.isprintable())


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted as people count: zone2 before zone10."""
    return sorted(names, key=_counted)


def _counted(name: str) -> tuple[list[tuple[int, int, str]], str]:
    # A split by digits alternates text and number; the pairs keep the two comparable.
    parts = _NUMBERED.split(name[:_LONGEST_WORDS])
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts], name
