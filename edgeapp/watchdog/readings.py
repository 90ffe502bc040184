"""What the device says of itself, once a second: heat, clock, power, load and pressure.

Each kind of signal has a small module beside this one. All of them are looked for at the start, again
when a file has gone, and once a minute: modules are loaded late, and what is plugged in changes the
numbers of the rest.
"""

import os
from pathlib import Path

from edgeapp.core.clock import NS, Clock
from edgeapp.watchdog.signals.cpu import Clocks, Load
from edgeapp.watchdog.signals.files import Files, RealFiles
from edgeapp.watchdog.signals.hwmon import chips_of
from edgeapp.watchdog.signals.power_meters import PowerMonitor, Rapl
from edgeapp.watchdog.signals.power_supply import PowerSupplies
from edgeapp.watchdog.signals.pressure import Cgroup, Memory, Pressure
from edgeapp.watchdog.signals.temperatures import Temperatures
from edgeapp.watchdog.signals.throttling import Overcurrent, RaspberryPi, Slowdown
from edgeapp.watchdog.signals.values import Signal, problem_of, read_words
from edgeapp.watchdog.tick import Reading

PROBE_EVERY_S = 60.0
PROBE_SOON_S = 5.0
"""After a file has gone, or a sensor has jumped as if it were another one: once for each of them, then
it waits for the minute."""

MOST_DOUBTS = 256


class Readings:
    """The signals of one device. Never raises for what a file says or does. One thread.

    `cores`: of the device, for the rare case that `/proc/stat` does not tell them.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        files: Files | None = None,
        sysfs_root: Path = Path("/sys"),
        proc_root: Path = Path("/proc"),
        cores: int | None = None,
    ) -> None:
        self._clock = clock
        self._files = _Watched(files or RealFiles())
        self._sysfs = sysfs = str(sysfs_root)
        proc = str(proc_root)
        self.temperatures = Temperatures(self._files, sysfs)
        self._load = Load(self._files, proc, cores or os.cpu_count() or 1)
        self._clocks = Clocks(self._files, sysfs)
        self._pi = RaspberryPi(self._files, sysfs)
        self._slowdown = Slowdown(self._files, sysfs)
        self._overcurrent = Overcurrent(self._files)
        self._supplies = PowerSupplies(self._files, sysfs)
        self._monitor = PowerMonitor(self._files)
        self._rapl = Rapl(self._files, sysfs)
        self._pressure = Pressure(self._files, proc)
        self._cgroup = Cgroup(self._files, sysfs, proc)
        self._memory = Memory(self._files, proc, self._cgroup)
        self.model = _model(self._files, sysfs, proc)
        """Of the board, such as "Raspberry Pi 5 Model B Rev 1.0"; empty: nobody says."""
        self._signals: tuple[Signal, ...] = ()
        self._doubts: set[str] = set()
        self._settled: set[str] = set()
        """What was doubted, and probed for, since the last regular probing."""
        self._probed_ns = 0
        self._probe()

    @property
    def trip_c(self) -> float | None:
        """Where the kernel begins to slow the die down; firmware may do so earlier. None: unknown."""
        return self.temperatures.trip_c

    def signals(self) -> tuple[Signal, ...]:
        """Which signals this device has and which not, as found last."""
        return self._signals

    def read(self) -> Reading:
        """What it says now. Rates and shares are since the call before; the first has none."""
        now_ns = self._clock.now_ns()
        self._probe_if_due(now_ns)
        sensors = self.temperatures.read(self._clock.now_ns)
        self._doubts.update(sensor.name for sensor in sensors if sensor.problem == "rate")
        supplies = self._supplies.read(now_ns)
        low, throttled = self._pi.read()
        slowed = self._slowdown.read()
        cpu_pressure, memory_pressure = self._pressure.read()
        return Reading(
            sensors=sensors,
            busy_cores=self._load.read(),
            clock_ratio=self._clocks.read(),
            undervoltage=low,
            throttled=slowed if throttled is None else throttled or bool(slowed),
            overcurrent_events=self._overcurrent.read(),
            on_ac=supplies.on_ac,
            battery=supplies.battery,
            battery_wh=supplies.battery_wh,
            power_w=_first(self._monitor.read(), supplies.power_w, self._rapl.read(now_ns)),
            cpu_pressure=cpu_pressure,
            memory_pressure=memory_pressure,
            memory_available_mb=self._memory.read(),
            quota_throttled=self._cgroup.throttled(now_ns),
        )

    def _probe_if_due(self, now_ns: int) -> None:
        since_ns = now_ns - self._probed_ns
        doubts = (self._files.gone | self._doubts) - self._settled
        if since_ns >= PROBE_EVERY_S * NS:
            self._settled = set()
        elif doubts and since_ns >= PROBE_SOON_S * NS:
            self._settled |= doubts
        else:
            return
        self._probe()

    def _probe(self) -> None:
        chips = chips_of(self._files, self._sysfs)
        pi = self._pi.probe(chips)
        self._signals = (
            *self.temperatures.probe(chips),
            *self._clocks.probe(),
            *self._slowdown.probe(self._pi.says_throttled),
            *pi,
            *self._overcurrent.probe(chips),
            *self._supplies.probe(),
            *self._monitor.probe(chips),
            *self._rapl.probe(),
            *self._load.probe(),
            *self._pressure.probe(),
            *self._memory.probe(),
            *self._cgroup.probe(),
        )
        self._files.gone.clear()
        self._doubts.clear()
        self._probed_ns = self._clock.now_ns()


class _Watched:
    """Files, and which of those that were read have gone."""

    def __init__(self, files: Files) -> None:
        self.gone: set[str] = set()
        self._files = files

    def read(self, path: str) -> bytes:
        try:
            return self._files.read(path)
        except OSError as error:
            if problem_of(error) == "missing" and len(self.gone) < MOST_DOUBTS:
                self.gone.add(path)
            raise

    def names(self, folder: str) -> list[str]:
        return self._files.names(folder)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _model(files: Files, sysfs: str, proc: str) -> str:
    """From the device tree, or what the firmware of a PC says."""
    for path in (f"{sysfs}/firmware/devicetree/base/model", f"{proc}/device-tree/model"):
        if model := read_words(files, path):
            return model
    words = [
        read_words(files, f"{sysfs}/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")
    ]
    return " ".join(word for word in words if word)
