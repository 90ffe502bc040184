"""Electrical power that is taken now, from what measures it beside batteries."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.hwmon import Chip
from edgeapp.watchdog.signals.values import (
    Signal,
    in_order,
    names_in,
    problem_of,
    read_whole,
    read_words,
)

MOST_W = 1000.0
STALE_S = 10.0
"""An energy counter that stands for so long is broken: even an idle processor takes power."""

_INPUTS = ("VDD_IN", "POM_5V_IN", "5V_IN")
"""Rails that feed the whole module, by Jetson's labels."""
_PARTS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDD_SYS_5V0")
"""Rails that make up the whole on an AGX Orin, which has no rail for all."""
_LABEL = re.compile(r"in([0-9]{1,2})_label")
_METER = re.compile(r"ina2[0-9]{2}")
_ZONE = re.compile(r"intel-rapl:[0-9]{1,2}")
_MOST_UJ = 1 << 62


@dataclass(frozen=True, slots=True)
class _Rail:
    millivolt: str
    milliampere: str


class PowerMonitor:
    """A chip beside the processor: INA3221 on a Jetson, one of the INA2xx on other boards."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._rails: tuple[_Rail, ...] = ()
        self._microwatt: str | None = None

    def probe(self, chips: Sequence[Chip]) -> tuple[Signal, ...]:
        """Look for one that measures the whole device."""
        rails = {}
        for chip in chips:
            if chip.name == "ina3221":
                for attribute in in_order(chip.attributes):
                    if match := _LABEL.fullmatch(attribute):
                        rail = _Rail(
                            chip.path(f"in{match[1]}_input"), chip.path(f"curr{match[1]}_input")
                        )
                        rails[read_words(self._files, chip.path(attribute))] = rail
        whole = [label for label in _INPUTS if label in rails][:1]
        chosen = whole or [label for label in _PARTS if label in rails]
        self._rails = tuple(rails[label] for label in chosen)
        meters = [
            chip.path("power1_input")
            for chip in chips
            if _METER.fullmatch(chip.name) and "power1_input" in chip.attributes
        ]
        # Two of them measure two things, and nothing says which of those is the device.
        self._microwatt = meters[0] if len(meters) == 1 and not chosen else None
        where = ", ".join(chosen) or self._microwatt or ""
        note = "taken for what feeds the device" if self._microwatt else ""
        return (Signal("power monitor", bool(where), where, note),)

    def read(self) -> float | None:
        """In watts; None: there is none, or it does not answer."""
        if self._microwatt:
            power = read_whole(self._files, self._microwatt, 0, int(MOST_W * 1e6))
            return None if power is None else power / 1e6
        total = 0.0
        for rail in self._rails:
            millivolt = read_whole(self._files, rail.millivolt, 0, 60_000)
            milliampere = read_whole(self._files, rail.milliampere, 0, 60_000)
            if millivolt is None or milliampere is None:
                return None
            total += millivolt * milliampere / 1e6
        return total if self._rails else None


@dataclass(slots=True)
class _Counter:
    path: str
    wraps_at: int | None
    before: int | None = None
    before_ns: int = 0
    moved_ns: int = 0


class Rapl:
    """Energy that an x86 processor counts: of the platform if it does, else of the processor alone."""

    def __init__(self, files: Files, sysfs: str) -> None:
        self._files = files
        self._root = f"{sysfs}/class/powercap"
        self._counters: dict[str, _Counter] = {}

    def probe(self) -> tuple[Signal, ...]:
        """Look for counters that we may read."""
        packages: dict[str, _Counter] = {}
        platform: dict[str, _Counter] = {}
        note = ""
        for zone in names_in(self._files, self._root):
            if not _ZONE.fullmatch(zone):
                continue
            folder = f"{self._root}/{zone}"
            path = f"{folder}/energy_uj"
            try:
                self._files.read(path)
            except OSError as error:
                if problem_of(error) == "error":
                    note = f"{path}: {error.strerror}; a udev rule can let a group read it"
                continue
            name = read_words(self._files, f"{folder}/name")
            wraps_at = read_whole(self._files, f"{folder}/max_energy_range_uj", 1, _MOST_UJ)
            known = self._counters.get(path) or _Counter(path, wraps_at)
            (platform if name == "psys" else packages)[path] = known
        self._counters = platform or packages
        if packages and not platform:
            note = "of the processor alone, not of the whole device"
        return (Signal("energy counter", bool(self._counters), ", ".join(self._counters), note),)

    def read(self, now_ns: int) -> float | None:
        """Watts since the last call; None: not known, also at the first call."""
        total: float | None = 0.0 if self._counters else None
        for counter in self._counters.values():
            watts = self._watts(counter, now_ns)
            total = None if total is None or watts is None else total + watts
        return total

    def _watts(self, counter: _Counter, now_ns: int) -> float | None:
        energy = read_whole(self._files, counter.path, 0, _MOST_UJ)
        before, elapsed_ns = counter.before, now_ns - counter.before_ns
        counter.before, counter.before_ns = energy, now_ns
        if energy is None or before is None or elapsed_ns <= 0:
            counter.moved_ns = now_ns
            return None
        used = energy - before
        if used:
            counter.moved_ns = now_ns
        elif now_ns - counter.moved_ns >= STALE_S * NS:
            return None
        if used < 0:
            if counter.wraps_at is None:
                return None
            used += counter.wraps_at
        watts = used * 1e-6 * NS / elapsed_ns
        return watts if 0 <= watts <= MOST_W else None
