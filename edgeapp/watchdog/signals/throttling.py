"""What the hardware itself says of too little voltage, too much current, and of slowing down."""

import re
from collections.abc import Sequence

from edgeapp.watchdog.signals.files import Files
from edgeapp.watchdog.signals.hwmon import Chip
from edgeapp.watchdog.signals.values import Signal, in_order, names_in, read_whole, read_words

MOST_COOLERS = 4
"""Ways of slowing the cores down that are looked at."""

_BITS = re.compile(rb"\s*(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})[\s\0]*")
_UNDERVOLTED, _SLOWED = 0x1, 0xE
_SINCE_BOOT = 16
_COOLER = re.compile(r"(?:thermal-)?(?:cpufreq|cpu-freq).*|Processor")
_ALERT = re.compile(r".*cpu-throttle-alert")
"""A Jetson's own word for it, beside a cooler for each core."""
_COOLING = re.compile(r"cooling_device[0-9]{1,4}")
_EVENTS = re.compile(r"oc[0-9]{1,2}_event_cnt")
_MOST_COUNT = 1 << 62


class RaspberryPi:
    """Undervoltage and throttling as the firmware of a Raspberry Pi reports them."""

    def __init__(self, files: Files, sysfs: str) -> None:
        self._files = files
        self._platform = f"{sysfs}/bus/platform/devices"
        self._fixed = f"{sysfs}/devices/platform/soc/soc:firmware"
        self._alarm: str | None = None
        self._bits: str | None = None
        self._sticky: int | None = None

    def probe(self, chips: Sequence[Chip]) -> tuple[Signal, ...]:
        """Look for the driver `raspberrypi-hwmon` first: it asks the firmware every 2 s."""
        self._alarm = next(
            (
                chip.path("in0_lcrit_alarm")
                for chip in chips
                if chip.name == "rpi_volt" and "in0_lcrit_alarm" in chip.attributes
            ),
            None,
        )
        folders = [
            f"{self._platform}/{name}"
            for name in names_in(self._files, self._platform)
            if name.endswith("firmware")
        ]
        paths = (f"{folder}/get_throttled" for folder in (*folders, self._fixed))
        self._bits = next((path for path in paths if self._firmware(path) is not None), None)
        voltage = self._alarm or self._bits
        note = "" if self._alarm or not voltage else "may be old: it is what the kernel asked last"
        return (Signal("undervoltage", voltage is not None, voltage or "", note),)

    def read(self) -> tuple[bool | None, bool | None]:
        """Undervoltage, throttled; each None where nobody says.

        What was between two readings counts for the second: the firmware remembers it.
        """
        alarm = read_whole(self._files, self._alarm, 0, 1) if self._alarm else None
        low = None if alarm is None else alarm == 1
        bits = self._firmware(self._bits) if self._bits else None
        if bits is None:
            return low, None
        sticky = bits >> _SINCE_BOOT
        now = bits | (sticky & ~(sticky if self._sticky is None else self._sticky))
        self._sticky = sticky
        return bool(now & _UNDERVOLTED) if low is None else low, bool(now & _SLOWED)

    def _firmware(self, path: str) -> int | None:
        try:
            match = _BITS.fullmatch(self._files.read(path))
        except OSError:
            return None
        bits = int(match[1], 16) if match else None
        return bits if bits is not None and not bits & ~0xF000F else None

    @property
    def says_throttled(self) -> str:
        """Where throttling is read; empty: nowhere."""
        return self._bits or ""


class Slowdown:
    """The kernel slows the cores down: by its thermal governors, or counted by an x86 processor."""

    def __init__(self, files: Files, sysfs: str) -> None:
        self._files = files
        self._thermal = f"{sysfs}/class/thermal"
        self._cpu0 = f"{sysfs}/devices/system/cpu/cpu0/thermal_throttle"
        self._coolers: tuple[str, ...] = ()
        self._counter: str | None = None
        self._count: int | None = None

    def probe(self, also: str) -> tuple[Signal, ...]:
        """Look what tells of it; `also` names a further source that is read elsewhere."""
        coolers: list[str] = []
        alerts: list[str] = []
        for name in names_in(self._files, self._thermal):
            if not _COOLING.fullmatch(name):
                continue
            path = f"{self._thermal}/{name}/cur_state"
            kind = read_words(self._files, f"{self._thermal}/{name}/type")
            if read_whole(self._files, path, 0, _MOST_COUNT) is None:
                continue
            if _ALERT.fullmatch(kind):
                alerts.append(path)
            elif _COOLER.fullmatch(kind):
                coolers.append(path)
        coolers = (alerts or coolers)[:MOST_COOLERS]
        self._coolers = tuple(coolers)
        counters = ("package_throttle_count", "core_throttle_count")
        self._counter = next(
            (
                path
                for path in (f"{self._cpu0}/{name}" for name in counters)
                if read_whole(self._files, path, 0, _MOST_COUNT) is not None
            ),
            None,
        )
        where = [path for path in (also, self._counter, *coolers) if path]
        return (Signal("throttling", bool(where), ", ".join(where)),)

    def read(self) -> bool | None:
        """Whether it does, or did since the last call; None: nobody says."""
        states = [read_whole(self._files, path, 0, _MOST_COUNT) for path in self._coolers]
        if self._counter:
            count = read_whole(self._files, self._counter, 0, _MOST_COUNT)
            before, self._count = self._count, count
            if count is not None:
                states.append(int(before is not None and count > before))
        known = [state for state in states if state is not None]
        return any(known) if known else None


class Overcurrent:
    """Over-current events that a Jetson counts (driver `soctherm_oc`)."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._counts: dict[str, int | None] = {}
        self._events = 0

    def probe(self, chips: Sequence[Chip]) -> tuple[Signal, ...]:
        """Look for the counters."""
        paths = [
            chip.path(attribute)
            for chip in chips
            for attribute in in_order(chip.attributes)
            if _EVENTS.fullmatch(attribute)
        ]
        self._counts = {path: self._counts.get(path) for path in paths}
        return (Signal("over-current", bool(paths), ", ".join(paths)),)

    def read(self) -> int | None:
        """Events since the start: never less than before, also when the counters begin anew."""
        known = False
        for path, before in self._counts.items():
            count = read_whole(self._files, path, 0, _MOST_COUNT)
            if count is None:
                continue
            known = True
            if before is not None:
                self._events += count - before if count >= before else count
            self._counts[path] = count
        return self._events if known else None
