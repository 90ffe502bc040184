"""What this device says of itself, second for second, as a recording.

Whatever `Readings` reads is kept, raw: so a replay shows it the same files, on any machine, and what
is recorded needs no list of its own.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from edgeapp.core.clock import NS, Clock
from edgeapp.simulation.trace import Trace
from edgeapp.simulation.trace_device import path_problem
from edgeapp.simulation.trace_samples import (
    LONGEST_TEXT,
    MEASURES,
    TIME,
    Cell,
    Samples,
    longest_gap_s,
)
from edgeapp.watchdog.boards import prior_of
from edgeapp.watchdog.limits import Limits
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.signals.files import Files, RealFiles
from edgeapp.watchdog.tick import Reading

MOST_ROWS = 100_000
"""A day at one sample a second, and some."""
MOST_FILES = 150

_NUMBER = re.compile(r"-?\d{1,18}")
_TEMPERATURE = re.compile(r"(^|/)temp(\d+_input)?$")
_LEFT_OUT = ("fs/cgroup/", "kernel/")
"""Of the machine that records, not of its heat."""


class NotedFiles:
    """Files, and what was read of them below one folder since `take`."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = f"{root}/"
        self._noted: dict[str, str | None] = {}

    def read(self, path: str) -> bytes:
        """As of `Files`."""
        name = path.removeprefix(self._root) if path.startswith(self._root) else ""
        try:
            content = self._files.read(path)
        except OSError:
            if name:
                self._noted[name] = None
            raise
        if name:
            self._noted[name] = content.decode("ascii", "replace")
        return content

    def names(self, folder: str) -> list[str]:
        """As of `Files`."""
        return self._files.names(folder)

    def take(self) -> dict[str, str | None]:
        """What was read since the last call; None: it could not be."""
        noted, self._noted = self._noted, {}
        return noted


class Recorder:
    """A recording that grows by `tick`. One thread.

    `own_cores`: asked at each tick for the cores that edgeapp used since the one before, None if it
    is not known.
    """

    def __init__(
        self,
        clock: Clock,
        own_cores: Callable[[], float | None],
        *,
        name: str,
        tick_s: float = 1.0,
        cores: int | None = None,
        files: Files | None = None,
        sysfs_root: Path = Path("/sys"),
        proc_root: Path = Path("/proc"),
    ) -> None:
        self._clock = clock
        self._own_cores = own_cores
        self._name = name
        self._tick_s = tick_s
        self._cores = cores or os.cpu_count() or 1
        self._noted = NotedFiles(files or RealFiles(), sysfs_root)
        self.readings = Readings(
            clock,
            files=self._noted,
            sysfs_root=sysfs_root,
            proc_root=proc_root,
            cores=self._cores,
        )
        self.prior = prior_of(self.readings.model)
        """What is believed of such a board."""
        self._probed = self._noted.take()
        """What was read while looking which sensors there are: names, types, limits."""
        self._began_ns = clock.now_ns()
        self._rows: list[tuple[float, dict[str, Cell]]] = []
        self._files: dict[str, None] = {}
        self.readings.read()  # so that loads are known from the first row on
        self._noted.take()
        self.reading: Reading | None = None
        """The newest one."""

    @property
    def rows(self) -> int:
        """Samples so far."""
        return len(self._rows)

    @property
    def full(self) -> bool:
        """Nothing more is taken."""
        return len(self._rows) >= MOST_ROWS

    def tick(self) -> None:
        """Take a sample, and empty ones for the time that was slept through.

        None is taken in the millisecond of the one before: what is recorded has to be readable.
        """
        t_s = round((self._clock.now_ns() - self._began_ns) / NS, 3)
        if self.full or (self._rows and t_s <= self._rows[-1][0]):
            return
        self.reading = reading = self.readings.read()
        noted = self._noted.take()
        row: dict[str, Cell] = {
            "own_cpu": _rounded(self._own_cores()),
            "total_cpu": _rounded(reading.busy_cores),
            "cpu_pressure": _rounded(reading.cpu_pressure),
            "memory_pressure": _rounded(reading.memory_pressure),
            "memory_available_mb": _rounded(reading.memory_available_mb, 1),
        }
        for path, content in noted.items():
            if path in self._files or self._may_add(path):
                self._files[path] = None
                row[path] = _cell(content)
        self._bridge(t_s)
        self._rows.append((t_s, row))

    def _may_add(self, path: str) -> bool:
        return (
            len(self._files) < MOST_FILES
            and not path.startswith(_LEFT_OUT)
            and path not in MEASURES
            and not path_problem(path)
        )

    def _bridge(self, t_s: float) -> None:
        """A stretch without samples, such as of a stopped process, is rows without values."""
        longest_s = longest_gap_s(self._tick_s)
        while self._rows and round(t_s - self._rows[-1][0], 3) > longest_s and not self.full:
            self._rows.append((round(self._rows[-1][0] + longest_s, 3), {}))

    def trace(self) -> Trace:
        """All so far; at least two samples must have been taken.

        Files that always said the same are kept once, but for temperatures: that one stands still
        is worth seeing.
        """
        static = {
            path: content
            for path, content in self._probed.items()
            if content is not None and not path.startswith(_LEFT_OUT) and not path_problem(path)
        }
        columns = list(MEASURES)
        for path in self._files:
            told = {row[path] for _, row in self._rows if path in row}
            if (
                len(told) == 1
                and not _TEMPERATURE.search(path)
                and (only := told.pop()) is not None
            ):
                static[path] = f"{only}\n"
                continue
            static.pop(path, None)
            columns.append(path)
        known = [
            column
            for column in columns
            if column == TIME
            or column not in MEASURES
            or any(row.get(column) is not None for _, row in self._rows)
        ]
        last: dict[str, Cell] = {}
        rows = []
        for t_s, row in self._rows:
            # A slow sensor is not read at each tick: it still says what it said last.
            last = {**last, **row} if row else {}
            rows.append((t_s, *(last.get(column) for column in known[1:])))
        return Trace(
            name=self._name,
            samples=Samples(tuple(known), tuple(rows)),
            tick_s=self._tick_s,
            duration_s=self._rows[-1][0],
            limits=Limits(self._cores, trip_c=self.readings.trip_c or self.prior.trip_c),
            prior=self.prior,
            static_files=dict(sorted(static.items())),
        )


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _cell(content: str | None) -> Cell:
    """A whole number where it is one, else the text."""
    if content is None:
        return None
    text = content.strip().partition("\n")[0][:LONGEST_TEXT]
    return int(text) if _NUMBER.fullmatch(text) and str(int(text)) == text else text
