"""What this process writes to the disk, and how much that is in a day: flash is worn by it."""

import os
from pathlib import Path
from typing import Any

from edgeapp.core.clock import NS, Clock
from edgeapp.core.whole_file import read_start

_MB = 1024 * 1024
_DAY_S = 86_400.0


class Wear:
    """Counts since the process began. Any thread.

    The kernel counts what the process made dirty, children that have ended included. The group of
    the service counts what reached the disk in fact, where its controller is on: that is taken then.
    """

    def __init__(
        self, clock: Clock, *, proc: Path = Path("/proc"), sysfs: Path = Path("/sys")
    ) -> None:
        """Begin to count the time; the counts themselves are those of the process."""
        self._clock = clock
        self._proc = proc / "self"
        self._sysfs = sysfs
        self._began_ns = clock.now_ns()
        self._at_first = self._written() or 0

    def facts(self) -> dict[str, Any] | None:
        """How much was written and how much that is in a day; None: the system does not count."""
        written = self._written()
        if written is None:
            return None
        since_s = (self._clock.now_ns() - self._began_ns) / NS
        done = max(0, written - self._at_first)
        return {
            "since_s": round(since_s, 1),
            "written_mb": round(done / _MB, 3),
            "per_day_mb": round(per_day(done, since_s) / _MB, 1),
            "counted_by": "process" if self._of_group() is None else "disk",
        }

    def _written(self) -> int | None:
        of_group = self._of_group()
        return _of_process(self._proc / "io") if of_group is None else of_group

    def _of_group(self) -> int | None:
        """Bytes that the group of the service wrote, in its version 2."""
        group = _text(self._proc / "cgroup").partition("0::/")[2].partition("\n")[0]
        text = _text(self._sysfs / "fs/cgroup" / group / "io.stat") if group else ""
        words = [word for word in text.split() if word.startswith("wbytes=")]
        counts = [int(word[7:]) for word in words if word[7:].isdecimal()]
        return sum(counts) if counts else None


def per_day(written: float, since_s: float) -> float:
    """What is written in a day if it goes on as it has; nothing is said of less than a second."""
    return written / since_s * _DAY_S if since_s >= 1 else 0.0


def size_below(folder: Path, most_files: int) -> int:
    """Bytes of the files in a folder and below it, links not followed; after so many it stops.

    Raises:
        OSError: it may not be looked into.
    """
    size = count = 0
    waiting = [folder]
    while waiting and count < most_files:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size


def _of_process(file: Path) -> int | None:
    for line in _text(file).splitlines():
        name, _, count = line.partition(": ")
        if name == "write_bytes" and count.isdecimal():
            return int(count)
    return None


def _text(file: Path) -> str:
    try:
        return read_start(file, 65_536).decode("ascii", "replace")
    except OSError:
        return ""
