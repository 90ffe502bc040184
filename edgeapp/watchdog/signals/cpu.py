"""What the cores do: how many are busy, and at which clock."""

import re
from dataclasses import dataclass

from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.values import Signal, names_in, problem_of, read_whole, read_words

MOST_POLICIES = 8
"""Groups of cores with one clock that are read."""
OVER = 1.25
"""The clock may be that much above its nominal greatest: some boost beyond it."""

_KHZ = (1, 20_000_000)
_TICKS = re.compile(rb"cpu +([0-9]{1,20}(?: +[0-9]{1,20}){4,9}) *\n")
_CORE = re.compile(rb"\ncpu[0-9]")
_POLICY = re.compile(r"policy[0-9]{1,4}")
_CPU = re.compile(r"cpu[0-9]{1,4}")


class Load:
    """Cores that are busy, from the ticks that the kernel counts in `/proc/stat`.

    `psutil.cpu_percent` reads the same file at thrice the cost, counts what a hypervisor took away as
    idle time, does not know which cores are switched off, and cannot be given another root.
    """

    def __init__(self, files: Files, proc: str, cores: int) -> None:
        self._files = files
        self._path = f"{proc}/stat"
        self._cores = cores
        self._before: tuple[int, int, int] | None = None

    def probe(self) -> tuple[Signal, ...]:
        """Whether load can be told."""
        try:
            found = _TICKS.match(self._files.read(self._path)) is not None
            note = "" if found else "what it says is not understood"
        except OSError as error:
            found, note = False, _why(error)
        return (Signal("load", found, self._path if found else "", note),)

    def read(self) -> float | None:
        """Cores in use since the last call, by everybody.

        None: it cannot be told, also at the first call and when the counters stand or go back. Time
        that a hypervisor gave to others counts as busy: those cores are not to be had. Waiting for a
        disk does not.
        """
        try:
            text = self._files.read(self._path)
        except OSError:
            text = b""
        match = _TICKS.match(text)
        before, self._before = self._before, None
        if not match:
            return None
        # user nice system idle iowait irq softirq steal; guest time is within user and nice.
        ticks = [int(part) for part in match[1].split()[:8]]
        waiting = ticks[4]
        busy = sum(ticks) - ticks[3] - waiting
        self._before = busy, ticks[3], waiting
        if before is None:
            return None
        more_busy, more_idle = busy - before[0], ticks[3] - before[1]
        more_waiting = max(0, waiting - before[2])  # known to go back by itself
        total = more_busy + more_idle + more_waiting
        if more_busy < 0 or more_idle < 0 or total <= 0:
            return None
        # A core that was switched off has no line of its own and adds nothing to the sum of all.
        cores = len(_CORE.findall(text)) if b"\nintr" in text else self._cores
        return (cores or self._cores) * more_busy / total


@dataclass(frozen=True, slots=True)
class _Policy:
    now: str
    greatest_khz: int
    cores: int


class Clocks:
    """The clock of the cores over their greatest. On some boards what was asked for, not what is."""

    def __init__(self, files: Files, sysfs: str) -> None:
        self._files = files
        self._root = f"{sysfs}/devices/system/cpu"
        self._policies: tuple[_Policy, ...] = ()

    def probe(self) -> tuple[Signal, ...]:
        """Look which groups of cores have a clock."""
        folders = [
            f"{self._root}/cpufreq/{name}"
            for name in names_in(self._files, f"{self._root}/cpufreq")
            if _POLICY.fullmatch(name)
        ] or [
            f"{self._root}/{name}/cpufreq"
            for name in names_in(self._files, self._root)
            if _CPU.fullmatch(name)
        ]
        policies = []
        for folder in folders[:MOST_POLICIES]:
            greatest = read_whole(self._files, f"{folder}/cpuinfo_max_freq", *_KHZ)
            now = f"{folder}/scaling_cur_freq"
            if greatest and read_whole(self._files, now, *_KHZ):
                cores = len(read_words(self._files, f"{folder}/affected_cpus").split())
                policies.append(_Policy(now, greatest, max(1, cores)))
        self._policies = tuple(policies)
        where = ", ".join(policy.now for policy in policies)
        note = "firmware may slow the cores down without a word here" if policies else ""
        return (Signal("clock", bool(policies), where, note),)

    def read(self) -> float | None:
        """Mean over the cores, 0..1; None: nobody says."""
        total, cores = 0.0, 0
        for policy in self._policies:
            most = int(policy.greatest_khz * OVER)
            khz = read_whole(self._files, policy.now, 1, most)
            if khz is not None:
                total += policy.cores * min(1.0, khz / policy.greatest_khz)
                cores += policy.cores
        return total / cores if cores else None


def _why(error: OSError) -> str:
    return "not there" if problem_of(error) == "missing" else error.strerror or "does not answer"
