"""Whole devices: what is read of each, and what is said to be there."""

import time
from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock, MonotonicClock
from edgeapp.watchdog.readings import Readings
from tests.watchdog.trees import LAPTOP, LINUX, ORIN, PI_4, PI_5, Folder, tree, zone


def readings(*devices: Folder, cores: int = 4) -> Readings:
    return Readings(FakeClock(), files=tree(LINUX, *devices), cores=cores)


def of_kind(device: Readings, kind: str) -> dict[str, float | None]:
    sensors = device.read().sensors
    return {sensor.name: sensor.value_c for sensor in sensors if sensor.kind == kind}


def found(device: Readings) -> set[str]:
    return {signal.name for signal in device.signals() if signal.found}


EVERYWHERE = {"load", "cpu pressure", "memory pressure", "memory"}


def test_raspberry_pi_4() -> None:
    device = readings(PI_4)
    reading = device.read()
    assert device.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert [(s.name, s.kind, s.value_c) for s in reading.sensors] == [
        ("cpu-thermal", "die", 48.199)
    ], "the zone's twin in hwmon is not counted again"
    assert reading.clock_ratio == pytest.approx(0.5)
    assert (reading.undervoltage, reading.throttled) == (False, False)
    assert reading.power_w is reading.on_ac is reading.battery is None
    assert device.trip_c is None, "critical is where it switches off"
    assert found(device) == EVERYWHERE | {
        "die temperature",
        "clock",
        "throttling",
        "undervoltage",
    }


def test_raspberry_pi_5() -> None:
    """No `get_throttled`, undervoltage now, and a second chip with a thermometer on the board."""
    device = readings(PI_5)
    reading = device.read()
    assert device.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert of_kind(device, "die") == {"cpu-thermal": 61.35}
    assert of_kind(device, "board") == {"hwmon:rp1_adc/temp1": 52.43}
    assert (reading.undervoltage, reading.throttled) == (True, None)
    assert device.trip_c is None, "an active trip point turns on a fan"


def test_jetson_orin_nano() -> None:
    device = readings(ORIN)
    reading = device.read()
    assert of_kind(device, "die") == {
        "cpu-thermal": 51.0,
        "soc0-thermal": 50.25,
        "tj-thermal": 51.0,
    }
    assert of_kind(device, "other") == {"gpu-thermal": 49.5, "cv0-thermal": None}
    assert device.trip_c == 99.0
    assert reading.power_w == pytest.approx(4.984 * 1.856), "of VDD_IN, which feeds the others"
    assert reading.overcurrent_events == 0, "what was before the start does not count"
    assert reading.throttled is False


def test_laptop_with_two_batteries() -> None:
    device = readings(LAPTOP, cores=8)
    reading = device.read()
    assert device.model == "LENOVO 20XW"
    assert of_kind(device, "die") == {"x86_pkg_temp": 55.0, "hwmon:coretemp/Package id 0": 55.0}
    assert of_kind(device, "board") == {"acpitz": 27.8}
    assert device.trip_c == 100.0, "a trip point at 0 is a placeholder; coretemp's limit is none"
    assert reading.on_ac is False
    assert reading.battery == pytest.approx((20 + 12.5) / (25 + 25)), "not that of the mouse"
    assert reading.battery_wh == pytest.approx(20 + 12.5)
    assert reading.power_w == pytest.approx(7 + 1), "what flows out may be counted as negative"
    assert reading.clock_ratio == pytest.approx(0.25)
    assert reading.throttled is False
    rapl = next(signal for signal in device.signals() if signal.name == "energy counter")
    assert not rapl.found
    assert "Permission denied" in rapl.note


def test_virtual_machine_has_load_and_pressure_alone() -> None:
    device = readings()
    reading = device.read()
    assert found(device) == EVERYWHERE
    assert reading.sensors == ()
    assert reading.cpu_pressure == pytest.approx(0.125)
    assert reading.memory_pressure == pytest.approx(0.004)
    assert reading.memory_available_mb == pytest.approx(2048.0)
    assert device.model == ""
    unknown = (reading.clock_ratio, reading.undervoltage, reading.throttled, reading.power_w)
    assert unknown == (None, None, None, None)


def test_device_with_nothing_at_all() -> None:
    device = Readings(FakeClock(), files=tree(), cores=4)
    assert found(device) == set()
    assert device.read().busy_cores is None


def test_clock_chip_and_one_wire_probe_do_not_hide_the_processor() -> None:
    """Where hwmon has any temperature, psutil does not look at the thermal zones."""
    clutter: Folder = {
        "sys": {
            "class": {
                "thermal": {"thermal_zone0": zone("cpu-thermal", 55000)},
                "hwmon": {
                    "hwmon0": {"name": "ds3231", "temp1_input": 24250},
                    "hwmon1": {"name": "w1_slave_temp", "temp1_input": 21000},
                },
            }
        }
    }
    device = readings(clutter)
    assert of_kind(device, "die") == {"cpu-thermal": 55.0}
    assert of_kind(device, "other") == {"hwmon:ds3231/temp1": 24.25}
    notes = [signal.note for signal in device.signals() if "0.75 s" in signal.note]
    assert notes, "a probe that takes its time is left alone, and that is said"


def test_pmic_that_always_says_100_is_not_the_die() -> None:
    nano: Folder = {
        "sys": {
            "class": {
                "thermal": {
                    "thermal_zone0": zone("AO-therm", 45500),
                    "thermal_zone1": zone("CPU-therm", 41000),
                    "thermal_zone2": zone("PMIC-Die", 100000),
                }
            }
        }
    }
    device = readings(nano)
    assert of_kind(device, "die") == {"CPU-therm": 41.0}
    assert of_kind(device, "other")["PMIC-Die"] == 100.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="/proc/stat is missing")
def test_this_very_machine() -> None:
    """Whatever it has: what is said to be there answers, within its range; a second look is cheap."""
    device = Readings(MonotonicClock())
    device.read()
    until_s = time.process_time() + 0.15  # of work, whatever else this machine does
    while time.process_time() < until_s:
        pass
    reading = device.read()
    there = found(device)
    assert "load" in there
    assert reading.busy_cores is not None
    assert 0 < reading.busy_cores <= 4096
    assert ("cpu pressure" in there) == (reading.cpu_pressure is not None)
    assert ("memory" in there) == (reading.memory_available_mb is not None)
    for share in (reading.cpu_pressure, reading.memory_pressure, reading.clock_ratio):
        assert share is None or 0 <= share <= 1
    for sensor in reading.sensors:
        assert sensor.value_c is None or -40 <= sensor.value_c <= 125
