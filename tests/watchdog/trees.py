"""Devices as their kernels show them: the files that matter, with values as they look on each."""

from collections.abc import Mapping

from edgeapp.watchdog.signals.files import TreeFiles

Folder = Mapping[str, "int | str | OSError | Folder"]


def tree(*devices: Folder) -> TreeFiles:
    """Files of nested folders under "/", each value with its newline; later ones go over earlier."""
    files = TreeFiles()
    for device in devices:
        _fill(files, "", device)
    return files


def _fill(files: TreeFiles, above: str, folder: Folder) -> None:
    for name, what in folder.items():
        path = f"{above}/{name}"
        if isinstance(what, Mapping):
            _fill(files, path, what)
        else:
            files[path] = what if isinstance(what, OSError) else f"{what}\n"


def zone(kind: str, temp: int | str | OSError, **trips: tuple[str, int]) -> Folder:
    """A thermal zone; trips as `t0=("passive", 85000)`."""
    files: dict[str, int | str | OSError | Folder] = {"type": kind, "temp": temp}
    for name, (what, value) in trips.items():
        files[f"trip_point_{name[1:]}_type"] = what
        files[f"trip_point_{name[1:]}_temp"] = value
    return files


def stat(cores: int, user: int, idle: int, *, iowait: int = 0, guest: int = 0) -> str:
    """`/proc/stat`; ticks of all cores together."""
    lines = [f"cpu  {user} 0 0 {idle} {iowait} 0 0 0 {guest} 0"]
    lines += [f"cpu{core} {user // cores} 0 0 {idle // cores} 0 0 0 0 0 0" for core in range(cores)]
    return "\n".join([*lines, "intr 12345 0 0 9", "ctxt 99", "btime 1700000000"])


def psi(some: str, full: str = "0.00") -> str:
    """A file below `/proc/pressure`."""
    return (
        f"some avg10={some} avg60=0.10 avg300=0.05 total=123456\n"
        f"full avg10={full} avg60=0.00 avg300=0.00 total=1234"
    )


LINUX: Folder = {
    "proc": {
        "stat": stat(4, 1000, 9000),
        "meminfo": "MemTotal: 4000000 kB\nMemFree: 1000 kB\nMemAvailable: 2000000 kB",
        "pressure": {"cpu": psi("12.50"), "memory": psi("1.00", "0.40")},
        "self": {"cgroup": "0::/system.slice/edgeapp.service"},
    }
}
"""What any of them has."""

PI_4: Folder = {
    "sys": {
        "firmware": {"devicetree": {"base": {"model": "Raspberry Pi 4 Model B Rev 1.4\0"}}},
        "class": {
            "thermal": {
                "thermal_zone0": zone("cpu-thermal", 48199, t0=("critical", 110000)),
                "cooling_device0": {"type": "cpufreq-cpu0", "cur_state": 0},
            },
            "hwmon": {
                "hwmon0": {"name": "cpu_thermal", "temp1_input": 48199},
                "hwmon1": {"name": "rpi_volt", "in0_lcrit_alarm": 0},
            },
        },
        "bus": {"platform": {"devices": {"soc:firmware": {"get_throttled": "50000"}}}},
        "devices": {
            "system": {
                "cpu": {
                    "cpufreq": {
                        "policy0": {
                            "affected_cpus": "0 1 2 3",
                            "cpuinfo_max_freq": 1800000,
                            "scaling_cur_freq": 900000,
                        }
                    }
                }
            }
        },
    }
}

PI_5: Folder = {
    "proc": {"device-tree": {"model": "Raspberry Pi 5 Model B Rev 1.0\0"}},
    "sys": {
        "class": {
            "thermal": {
                "thermal_zone0": zone(
                    "cpu-thermal", 61350, t0=("critical", 110000), t1=("active", 50000)
                ),
                "cooling_device0": {"type": "pwm-fan", "cur_state": 2},
            },
            "hwmon": {
                "hwmon0": {"name": "cpu_thermal", "temp1_input": 61350},
                "hwmon1": {"name": "pwmfan", "fan1_input": 3100},
                "hwmon2": {"name": "rp1_adc", "temp1_input": 52430, "in1_input": 1490},
                "hwmon3": {"name": "rpi_volt", "in0_lcrit_alarm": 1},
            },
        },
    },
}

ORIN: Folder = {
    "proc": {"device-tree": {"model": "NVIDIA Jetson Orin Nano Developer Kit\0"}},
    "sys": {
        "class": {
            "thermal": {
                "thermal_zone0": zone(
                    "cpu-thermal", 51000, t0=("passive", 99000), t1=("critical", 104500)
                ),
                "thermal_zone1": zone("gpu-thermal", 49500, t0=("passive", 99000)),
                "thermal_zone2": zone("cv0-thermal", OSError(11, "Resource unavailable")),
                "thermal_zone5": zone("soc0-thermal", 50250, t0=("passive", 99000)),
                "thermal_zone8": zone("tj-thermal", 51000, t0=("active", 51000)),
                "cooling_device0": {"type": "cpufreq-cpu0", "cur_state": 0},
                "cooling_device3": {"type": "cpu-throttle-alert", "cur_state": 0},
                "cooling_device9": {"type": "pwm-fan", "cur_state": 88},
            },
            "hwmon": {
                "hwmon1": {
                    "name": "ina3221",
                    "in1_label": "VDD_IN",
                    "in1_input": 4984,
                    "curr1_input": 1856,
                    "in2_label": "VDD_CPU_GPU_CV",
                    "in2_input": 4984,
                    "curr2_input": 424,
                    "in3_label": "VDD_SOC",
                    "in3_input": 4984,
                    "curr3_input": 480,
                    "in7_label": "sum of shunt voltages",
                    "in7_input": 0,
                },
                "hwmon3": {
                    "name": "soctherm_oc",
                    "oc1_event_cnt": 1,
                    "oc2_event_cnt": 0,
                    "oc3_event_cnt": 37,
                    "oc1_throt_en": 1,
                },
            },
        },
    },
}

LAPTOP: Folder = {
    "proc": {"stat": stat(8, 1000, 9000)},
    "sys": {
        "class": {
            "dmi": {"id": {"sys_vendor": "LENOVO", "product_name": "20XW"}},
            "thermal": {
                "thermal_zone0": zone("INT3400 Thermal", 20000),
                "thermal_zone1": zone("acpitz", 27800, t0=("critical", 128000)),
                "thermal_zone2": zone("iwlwifi_1", OSError(61, "No data available")),
                "thermal_zone3": zone("x86_pkg_temp", 55000, t0=("passive", 0)),
                "cooling_device0": {"type": "Processor", "cur_state": 0},
            },
            "hwmon": {
                "hwmon0": {"name": "AC"},
                "hwmon1": {"name": "acpitz", "temp1_input": 27800},
                "hwmon2": {"name": "BAT0", "in0_input": 12100, "power1_input": 7000000},
                "hwmon3": {"name": "nvme", "temp1_input": 41850, "temp1_label": "Composite"},
                "hwmon4": {
                    "name": "coretemp",
                    "temp1_label": "Package id 0",
                    "temp1_input": 55000,
                    "temp1_crit": 100000,
                    "temp2_label": "Core 0",
                    "temp2_input": 53000,
                    "temp3_label": "Core 1",
                    "temp3_input": 55000,
                },
            },
            "power_supply": {
                "AC": {"type": "Mains", "online": 0},
                "BAT0": {
                    "type": "Battery",
                    "present": 1,
                    "status": "Discharging",
                    "capacity": 80,
                    "energy_now": 20_000_000,
                    "energy_full": 25_000_000,
                    "power_now": 7_000_000,
                },
                "BAT1": {
                    "type": "Battery",
                    "present": 1,
                    "status": "Discharging",
                    "capacity": 50,
                    "charge_now": 1_000_000,
                    "charge_full": 2_000_000,
                    "voltage_now": 12_500_000,
                    "current_now": -80_000,
                },
                "hidpp_battery_0": {
                    "type": "Battery",
                    "scope": "Device",
                    "status": "Discharging",
                    "capacity": 5,
                },
            },
            "powercap": {
                "intel-rapl:0": {
                    "name": "package-0",
                    "energy_uj": OSError(13, "Permission denied"),
                    "max_energy_range_uj": 262143328850,
                },
            },
        },
        "devices": {
            "system": {
                "cpu": {
                    "cpu0": {"thermal_throttle": {"package_throttle_count": 9}},
                    "cpufreq": {
                        f"policy{n}": {
                            "affected_cpus": n,
                            "cpuinfo_max_freq": 4000000,
                            "scaling_cur_freq": 1000000,
                        }
                        for n in range(8)
                    },
                }
            }
        },
    },
}
