"""Who waits for what: pressure stall information, memory, and the CPU quota of our cgroup."""

import re

from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import Signal, read_whole

KIB_PER_MB = 1000 * 1000 / 1024

_SOME = re.compile(rb"^some avg10=([0-9]{1,3}\.[0-9]{1,4}) ", re.MULTILINE)
_FULL = re.compile(rb"^full avg10=([0-9]{1,3}\.[0-9]{1,4}) ", re.MULTILINE)
_AVAILABLE = re.compile(rb"^MemAvailable: +([0-9]{1,15}) kB$", re.MULTILINE)
_OURS = re.compile(rb"^0::(/[^\n]{0,1000})$", re.MULTILINE)
_INACTIVE = re.compile(rb"^inactive_file ([0-9]{1,19})$", re.MULTILINE)
_STAT = {
    key: re.compile(rb"^" + key + rb" ([0-9]{1,19})$", re.MULTILINE)
    for key in (b"nr_periods", b"nr_throttled", b"throttled_usec")
}
_MOST_BYTES = 1 << 50


class Pressure:
    """Shares of the last 10 s in which work had to wait (kernel `accounting/psi.rst`)."""

    def __init__(self, files: Files, proc: str) -> None:
        self._files = files
        self._cpu = f"{proc}/pressure/cpu"
        self._memory = f"{proc}/pressure/memory"
        self._found = (False, False)

    def probe(self) -> tuple[Signal, ...]:
        """Whether this kernel keeps account of it."""
        cpu, memory = self._share(self._cpu, _SOME), self._share(self._memory, _FULL)
        self._found = cpu is not None, memory is not None
        note = "the kernel needs CONFIG_PSI, and psi=1 at its command line on some boards"
        return tuple(
            Signal(name, found, path if found else "", "" if found else note)
            for name, path, found in (
                ("cpu pressure", self._cpu, self._found[0]),
                ("memory pressure", self._memory, self._found[1]),
            )
        )

    def read(self) -> tuple[float | None, float | None]:
        """Something waited for a core; everything waited for memory. 0..1; None: not known."""
        return (
            self._share(self._cpu, _SOME) if self._found[0] else None,
            self._share(self._memory, _FULL) if self._found[1] else None,
        )

    def _share(self, path: str, line: re.Pattern[bytes]) -> float | None:
        try:
            match = line.search(self._files.read(path))
        except OSError:
            return None
        share = float(match[1]) / 100 if match else None
        return share if share is not None and share <= 1 else None


class Cgroup:
    """Our control group, of version 2: its CPU quota and its memory limit. Version 1 is passed over."""

    def __init__(self, files: Files, sysfs: str, proc: str) -> None:
        self._files = files
        self._mount = f"{sysfs}/fs/cgroup"
        self._proc = proc
        self._stat: str | None = None
        self._limited: tuple[str, int] | None = None
        self._before: tuple[int, int, int, int] | None = None

    def probe(self) -> tuple[Signal, ...]:
        """Look for the nearest quota on the way from our group to the root."""
        self._stat = None
        self._limited = None
        for folder in self._ours():
            stat = f"{folder}/cpu.stat"
            if self._stat is None and self._counts(stat) and self._quota(folder):
                self._stat = stat
            if self._limited is None:
                most = read_whole(self._files, f"{folder}/memory.max", 1, _MOST_BYTES)
                self._limited = None if most is None else (folder, most)
        return (
            Signal(
                "cpu quota",
                self._stat is not None,
                self._stat or "",
                "" if self._stat else "none is set, or it cannot be seen from here",
            ),
        )

    def throttled(self, now_ns: int) -> float | None:
        """Share of the time since the last call in which the quota held us back, 0..1."""
        counts = self._counts(self._stat) if self._stat else None
        before, self._before = self._before, None
        if counts is None:
            return None
        self._before = (now_ns, *counts)
        if before is None or now_ns <= before[0]:
            return None
        periods, held, held_us = (now - then for now, then in zip(counts, before[1:], strict=True))
        if periods < 0 or held < 0 or held_us < 0:
            return None
        # The time is summed over the cores, so it may be more than there was; then the share of
        # periods in which it happened at all is the better bound.
        by_time = held_us * 1000 / (now_ns - before[0])
        return min(1.0, by_time, held / periods if periods else 0.0)

    def memory_left_mb(self) -> float | None:
        """Until our memory limit, with what the kernel would give back; None: no limit, or unknown."""
        if self._limited is None:
            return None
        folder, most = self._limited
        used = read_whole(self._files, f"{folder}/memory.current", 0, _MOST_BYTES)
        if used is None:
            return None
        try:
            match = _INACTIVE.search(self._files.read(f"{folder}/memory.stat"))
        except OSError:
            match = None
        cached = min(int(match[1]), used) if match else 0
        return max(0, most - used + cached) / 1e6

    def _ours(self) -> list[str]:
        """Our group and those above it, nearest first."""
        try:
            match = _OURS.search(self._files.read(f"{self._proc}/self/cgroup"))
        except OSError:
            return []
        if not match:
            return []
        path = match[1].decode("utf-8", "surrogateescape").rstrip("/")
        if ".." in path.split("/") or "\0" in path:
            return []  # we were moved out of what this namespace shows
        folders = []
        while path:
            folders.append(self._mount + path)
            path = path.rpartition("/")[0]
        return [*folders, self._mount]

    def _quota(self, folder: str) -> bool:
        try:
            return self._files.read(f"{folder}/cpu.max")[:3] != b"max"
        except OSError:
            return False

    def _counts(self, path: str) -> tuple[int, int, int] | None:
        try:
            text = self._files.read(path)
        except OSError:
            return None
        found = [pattern.search(text) for pattern in _STAT.values()]
        numbers = [int(match[1]) for match in found if match]
        return (numbers[0], numbers[1], numbers[2]) if len(numbers) == len(found) else None


class Memory:
    """Memory that can be had without pushing anything out."""

    def __init__(self, files: Files, proc: str, cgroup: Cgroup) -> None:
        self._files = files
        self._path = f"{proc}/meminfo"
        self._cgroup = cgroup

    def probe(self) -> tuple[Signal, ...]:
        """Whether it can be told."""
        found = self._kernel_mb() is not None
        return (Signal("memory", found, self._path if found else ""),)

    def read(self) -> float | None:
        """In MB of 10^6 bytes; the least of what the kernel has and what our group may take."""
        amounts = [
            mb for mb in (self._kernel_mb(), self._cgroup.memory_left_mb()) if mb is not None
        ]
        return min(amounts, default=None)

    def _kernel_mb(self) -> float | None:
        try:
            match = _AVAILABLE.search(self._files.read(self._path))
        except OSError:
            return None
        return int(match[1]) / KIB_PER_MB if match else None
