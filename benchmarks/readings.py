"""What looking at the device costs: the share of one core that `Readings.read` takes at once a second.

The clock is a fake one, so minutes pass in a moment: looking for new sensors each minute is included. The
files of a Raspberry Pi are made up in a folder, and opened at each reading; those of this device
are real ones, and kept open.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compare import Row
from edgeapp.core.clock import FakeClock
from edgeapp.watchdog.readings import Readings

BOUND = 0.0003
"""Of one core: a third of what the whole watchdog may take."""
TICKS, ROUNDS = 240, 7

CPU = "sys/devices/system/cpu/cpufreq/policy0"
RASPBERRY_PI = {
    "proc/stat": "cpu  900 0 100 9000 5 0 3 0 0 0\n" + "cpu0 200 0 20 2200 1 0 0 0 0 0\nintr 9\n",
    "proc/meminfo": "MemTotal: 4000000 kB\nMemFree: 1000 kB\nMemAvailable: 2000000 kB\n",
    "proc/pressure/cpu": "some avg10=1.50 avg60=0.10 avg300=0.05 total=123456\n",
    "proc/pressure/memory": "full avg10=0.00 avg60=0.00 avg300=0.00 total=1234\n",
    "proc/self/cgroup": "0::/system.slice/edgeapp.service\n",
    "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61350\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon0/temp1_input": "61350\n",
    "sys/class/hwmon/hwmon1/name": "rp1_adc\n",
    "sys/class/hwmon/hwmon1/temp1_input": "52430\n",
    "sys/class/hwmon/hwmon2/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon2/in0_lcrit_alarm": "0\n",
    "sys/bus/platform/devices/soc:firmware/get_throttled": "0\n",
    f"{CPU}/affected_cpus": "0 1 2 3\n",
    f"{CPU}/cpuinfo_max_freq": "2400000\n",
    f"{CPU}/scaling_cur_freq": "1500000\n",
}


def share(root: Path) -> float:
    """Of one core, at once a second; the median of several rounds."""
    clock = FakeClock(10**9)
    readings = Readings(clock, sysfs_root=root / "sys", proc_root=root / "proc")
    shares = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        for _ in range(TICKS):
            clock.advance(1)
            readings.read()
        shares.append((time.thread_time() - began_s) / TICKS)
    return sorted(shares)[ROUNDS // 2]


def rows() -> list[Row]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in RASPBERRY_PI.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        made_up = share(Path(folder))
    real = share(Path("/"))
    bound = f"<= {BOUND:.2%}"
    return [
        Row(
            "watchdog: reading the files of a Raspberry Pi, of one core",
            bound,
            f"{made_up:.3%}",
            made_up <= BOUND,
        ),
        Row("watchdog: reading this device, of one core", bound, f"{real:.3%}", real <= BOUND),
    ]


if __name__ == "__main__":
    results = rows()
    print(*results, sep="\n")
    sys.exit(any(row.ok is False for row in results))
