"""The files of a simulated or recorded device, for the real `Readings` to read."""

import errno
import os
import random
from collections.abc import Mapping
from dataclasses import replace

from edgeapp.core.clock import FakeClock, ns
from edgeapp.simulation.senses import Sensor
from edgeapp.simulation.spec import DeviceState, Scenario, SensorSpec
from edgeapp.simulation.trace import Trace
from edgeapp.simulation.trace_samples import Cell
from edgeapp.watchdog.readings import Readings
from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.tick import Reading

SYS, PROC = "/sys", "/proc"

_HZ = 100
"""Ticks a second in `/proc/stat`."""
_MAX_KHZ = 1_500_000
_CPUFREQ = f"{SYS}/devices/system/cpu/cpufreq/policy0"
_COOLER = f"{SYS}/class/thermal/cooling_device0"
_AC, _BATTERY = f"{SYS}/class/power_supply/AC", f"{SYS}/class/power_supply/BAT0"
_VOLT, _METER = f"{SYS}/class/hwmon/hwmon90", f"{SYS}/class/hwmon/hwmon91"
_BROKEN = OSError(errno.EIO, os.strerror(errno.EIO))
_MICRO = 1e6


class Tree:
    """Files that are written anew each second. One thread."""

    def __init__(self, cores: float) -> None:
        self.files = TreeFiles()
        self._cores = cores
        self._ticks = [0.0, 0.0]
        """Busy and idle."""

    def static(self, static_files: Mapping[str, str]) -> None:
        """Files that stay as they are."""
        for path, content in static_files.items():
            self.files[f"{SYS}/{path}"] = content

    def sensor(self, spec: SensorSpec) -> None:
        """The file beside a sensor that says what it is."""
        folder, _, name = f"{SYS}/{spec.path}".rpartition("/")
        self.files[f"{folder}/{'type' if name == 'temp' else 'name'}"] = f"{spec.type}\n"

    def temperature(self, spec: SensorSpec, value_c: float | None, problem: str) -> None:
        """What a sensor says; "missing" takes its file away, any other problem breaks it."""
        path = f"{SYS}/{spec.path}"
        if value_c is not None:
            in_c = spec.unit == "C"
            self.files[path] = f"{value_c:.9g}\n" if in_c else f"{round(value_c * 1000)}\n"
        elif problem != "missing":
            self.files[path] = _BROKEN
        elif path in self.files:
            del self.files[path]

    def cell(self, path: str, value: Cell) -> None:
        """A file of sysfs as it was recorded; None: it could not be read."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        self.files[f"{SYS}/{path}"] = _BROKEN if value is None else f"{value}\n"

    def load(self, busy_cores: float, seconds: float) -> None:
        """So many cores were busy for so long."""
        self._ticks[0] += _HZ * seconds * busy_cores
        self._ticks[1] += _HZ * seconds * max(0.0, self._cores - busy_cores)
        busy, idle = (round(ticks) for ticks in self._ticks)
        self.files[f"{PROC}/stat"] = f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n"

    def pressure(self, resource: str, share: float, kinds: tuple[str, ...]) -> None:
        """Pressure stall information of the last 10 s."""
        percent = f"{100 * share:.2f}"
        lines = (
            f"{kind} avg10={percent} avg60={percent} avg300={percent} total=0" for kind in kinds
        )
        self.files[f"{PROC}/pressure/{resource}"] = "\n".join(lines) + "\n"

    def memory(self, available_mb: float) -> None:
        """Memory that can be had, in MB of 10^6 bytes."""
        kib = round(available_mb * 1e6 / 1024)
        self.files[f"{PROC}/meminfo"] = f"MemTotal: {2 * kib} kB\nMemAvailable: {kib} kB\n"


class TreeSenses:
    """What the real `Readings` makes of the files of a simulated device; for `player.play`."""

    def __init__(self, scenario: Scenario, static_files: Mapping[str, str] | None = None) -> None:
        self._plant = plant = scenario.plant
        self._cores = plant.power.cores
        self._tree = tree = Tree(self._cores)
        self._clock = FakeClock()
        self._t_s: float | None = None
        self._sensors = [
            (spec, Sensor(spec, random.Random(f"{scenario.seed}/{spec.path}")))  # noqa: S311 - a simulation
            for spec in scenario.sensors
        ]
        for spec in scenario.sensors:
            tree.sensor(spec)
        tree.static(_chips(scenario))
        tree.static(static_files or {})
        self._readings: Readings | None = None

    @property
    def files(self) -> TreeFiles:
        """The files as they are now."""
        return self._tree.files

    def read(self, state: DeviceState) -> Reading:
        """What is read at this tick; in the order of time."""
        self.show(state)
        self._clock.set_ns(ns(state.t_s))
        if self._readings is None:
            self._readings = Readings(self._clock, files=self._tree.files, cores=self._cores)
        return self._readings.read()

    def show(self, state: DeviceState) -> None:
        """Write what changes from tick to tick."""
        tree, tells = self._tree, self._plant.tells
        for spec, sensor in self._sensors:
            tree.temperature(spec, *sensor.told(state.t_s, state.nodes_c[spec.node]))
        elapsed_s = 0.0 if self._t_s is None else state.t_s - self._t_s
        tree.load(state.busy_cores, elapsed_s)
        self._t_s = state.t_s
        if "clock" in tells:
            ratio = 1.0 if self._plant.clock_lies else state.clock_ratio
            tree.files[f"{_CPUFREQ}/scaling_cur_freq"] = f"{round(_MAX_KHZ * ratio)}\n"
        if "pressure" in tells:
            tree.pressure("cpu", state.cpu_pressure, ("some",))
        if "memory" in tells:
            tree.pressure("memory", state.memory_pressure, ("some", "full"))
            tree.memory(state.memory_available_mb)
        if "throttled" in tells:
            tree.files[f"{_COOLER}/cur_state"] = f"{state.throttle_step}\n"
        if "undervoltage" in tells:
            tree.files[f"{_VOLT}/in0_lcrit_alarm"] = f"{int(state.undervoltage)}\n"
        if "power" in tells:
            tree.files[f"{_METER}/power1_input"] = f"{round(state.power_w * _MICRO)}\n"
        if state.on_ac is not None:
            tree.files[f"{_AC}/online"] = f"{int(state.on_ac)}\n"
        if state.battery_wh is not None:
            tree.files[f"{_BATTERY}/status"] = "Charging\n" if state.on_ac else "Discharging\n"
            tree.files[f"{_BATTERY}/energy_now"] = f"{round(state.battery_wh * _MICRO)}\n"
            tree.files[f"{_BATTERY}/power_now"] = f"{round(state.power_w * _MICRO)}\n"


def _chips(scenario: Scenario) -> dict[str, str]:
    """What never changes beside what the scenario tells: names, limits, and what a store holds."""
    cores, tells = scenario.plant.power.cores, scenario.plant.tells
    files = {}
    if "clock" in tells:
        files[f"{_CPUFREQ}/cpuinfo_max_freq"] = f"{_MAX_KHZ}"
        files[f"{_CPUFREQ}/affected_cpus"] = " ".join(map(str, range(cores)))
    if "throttled" in tells:
        files[f"{_COOLER}/type"] = "cpufreq-cpu0"
    if "undervoltage" in tells:
        files[f"{_VOLT}/name"] = "rpi_volt"
    if "power" in tells:
        files[f"{_METER}/name"] = "ina219"
    if scenario.inputs.on_ac is not None:
        files[f"{_AC}/type"] = "Mains"
    if scenario.plant.battery_wh is not None:
        files[f"{_BATTERY}/type"] = "Battery"
        files[f"{_BATTERY}/energy_full"] = f"{round(scenario.plant.battery_wh * _MICRO)}"
    return {path.removeprefix(f"{SYS}/"): f"{text}\n" for path, text in files.items()}


class RecordedSenses:
    """What the real `Readings` makes of a recording."""

    def __init__(self, trace: Trace, cores: int) -> None:
        assert trace.samples is not None
        self._samples = trace.samples
        self._tree = Tree(cores)
        self._clock = FakeClock()
        self._t_s: float | None = None
        exact = [replace(spec, noise_c=0.0, lsb_c=0.0) for spec in trace.sensors]
        self._faulty = {
            spec.path: (spec, Sensor(spec, random.Random(f"{trace.seed}/{spec.path}")))  # noqa: S311 - a simulation
            for spec in exact
        }
        for spec in trace.sensors:
            self._tree.sensor(spec)
        self._tree.static(trace.static_files)
        self._readings: Readings | None = None
        self._cores = cores

    def read(self, t_s: float) -> Reading:
        """What is read at this time; in the order of time."""
        self.show(t_s, self._samples.at(t_s))
        self._clock.set_ns(ns(t_s))
        if self._readings is None:
            self._readings = Readings(self._clock, files=self._tree.files, cores=self._cores)
        return self._readings.read()

    def show(self, t_s: float, row: Mapping[str, Cell]) -> None:
        """Write a sample."""
        tree = self._tree
        for path in self._samples.files:
            value = row[path]
            if path in self._faulty and isinstance(value, int | float):
                spec, sensor = self._faulty[path]
                true_c = value if spec.unit == "C" else value / 1000
                tree.temperature(spec, *sensor.told(t_s, true_c))
            else:
                tree.cell(path, value)
        elapsed_s = 0.0 if self._t_s is None else t_s - self._t_s
        self._t_s = t_s
        if isinstance(total := row.get("total_cpu"), int | float):
            tree.load(min(total, self._cores), elapsed_s)
        if isinstance(share := row.get("cpu_pressure"), int | float):
            tree.pressure("cpu", share, ("some",))
        if isinstance(share := row.get("memory_pressure"), int | float):
            tree.pressure("memory", share, ("some", "full"))
        if isinstance(available := row.get("memory_available_mb"), int | float):
            tree.memory(available)
