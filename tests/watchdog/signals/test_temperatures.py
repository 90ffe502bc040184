"""Which sensors there are, by name; numbers of zones and chips mean nothing."""

import errno

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.watchdog.readings import PROBE_EVERY_S, PROBE_SOON_S, Readings
from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.signals.temperatures import MOST_SENSORS, kind_of
from edgeapp.watchdog.tick import SensorKind
from tests.watchdog.trees import Folder, tree, zone


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "die",
            (
                "cpu-thermal cpu_thermal CPU-therm soc-thermal soc_thermal soc_dts0 soc0-thermal "
                "x86_pkg_temp coretemp k10temp TCPU B0D4 cpu0-thermal cpu-0-1-usr cpuss-0-usr tj-thermal "
                "MCPU-therm BCPU-therm bigcore0-thermal littlecore-thermal package-thermal "
                "imx_thermal_zone bcm2835_thermal zenpower tsens_tz_sensor0"
            ),
        ),
        ("board", "acpitz pch_cannonlake Tboard_tegra rp1_adc tmp102 lm75 board-thermal"),
        (
            "other",
            (
                "PMIC-Die gpu-thermal GPU-therm ds3231 w1_slave_temp iwlwifi_1 nvme battery BAT0 "
                "INT3400_Thermal thermal-fan-est cpu-fan soc-modem charger amdgpu r8169_0_100:00"
            ),
        ),
    ],
)
def test_name_says_where_a_sensor_sits(kind: SensorKind, names: str) -> None:
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def device(*zones: Folder, chips: tuple[Folder, ...] = ()) -> tuple[Readings, TreeFiles, FakeClock]:
    made: Folder = {
        "sys": {
            "class": {
                "thermal": {f"thermal_zone{n}": each for n, each in enumerate(zones)},
                "hwmon": {f"hwmon{n}": each for n, each in enumerate(chips)},
            }
        }
    }
    files, clock = tree(made), FakeClock(10**9)
    return Readings(clock, files=files, cores=4), files, clock


def sensors(readings: Readings) -> dict[str, tuple[float | None, str]]:
    return {each.name: (each.value_c, each.problem) for each in readings.read().sensors}


def test_zones_of_one_type_are_told_apart() -> None:
    readings, _, _ = device(zone("acpitz", 30000), zone("acpitz", 40000))
    assert sensors(readings) == {"acpitz": (30.0, ""), "acpitz#2": (40.0, "")}


def test_type_that_is_garbage_gives_the_number_as_a_name() -> None:
    readings, files, clock = device(zone("cpu-thermal", 30000))
    files["/sys/class/thermal/thermal_zone1/type"] = b"\xff\xfe\x07\n"
    files["/sys/class/thermal/thermal_zone1/temp"] = "31000"
    clock.advance(PROBE_EVERY_S)
    assert sensors(readings)["thermal_zone1"] == (31.0, "")


def test_processor_with_many_sensors_is_one_sensor() -> None:
    labels = ("Tctl", "Tdie", "Tccd1")
    chip: dict[str, str | int] = {"name": "k10temp"}
    for n, label in enumerate(labels, 1):
        chip |= {f"temp{n}_label": label, f"temp{n}_input": 50_000 + n * 1000}
    readings, _, _ = device(chips=(chip,))
    assert sensors(readings) == {"hwmon:k10temp/Tdie": (52.0, "")}


def test_cores_are_read_where_nothing_stands_for_all() -> None:
    chip: Folder = {"name": "coretemp", "temp2_label": "Core 0", "temp2_input": 50000}
    readings, _, _ = device(chips=(chip,))
    assert sensors(readings) == {"hwmon:coretemp/Core 0": (50.0, "")}


def test_chip_is_found_again_under_another_number() -> None:
    readings, files, clock = device(chips=({"name": "cpu_thermal", "temp1_input": 50000},))
    name = "hwmon:cpu_thermal/temp1"
    assert sensors(readings) == {name: (50.0, "")}
    for attribute in ("name", "temp1_input"):
        del files[f"/sys/class/hwmon/hwmon0/{attribute}"]
    files["/sys/class/hwmon/hwmon0/name"] = "nvme"
    files["/sys/class/hwmon/hwmon0/temp2_input"] = "30000"
    files["/sys/class/hwmon/hwmon1/name"] = "cpu_thermal"
    files["/sys/class/hwmon/hwmon1/temp1_input"] = "51000"
    clock.advance(1)
    assert sensors(readings) == {name: (None, "missing")}
    clock.advance(PROBE_SOON_S)
    assert sensors(readings) == {name: (51.0, ""), "hwmon:nvme/temp2": (30.0, "")}


def test_sensor_that_is_listed_and_never_there_does_not_have_all_looked_for_again_and_again() -> (
    None
):
    class Counting(TreeFiles):
        listed = 0

        def names(self, folder: str) -> list[str]:
            Counting.listed += folder == "/sys/class/thermal"
            return super().names(folder)

    files, clock = Counting(), FakeClock(10**9)
    files["/sys/class/thermal/thermal_zone0/type"] = "cpu-thermal"
    files["/sys/class/thermal/thermal_zone0/temp"] = OSError(errno.ENODEV, "No such device")
    readings = Readings(clock, files=files, cores=4)
    at_start = Counting.listed
    for _ in range(int(PROBE_EVERY_S) - 1):
        clock.advance(1)
        assert sensors(readings) == {"cpu-thermal": (None, "missing")}
    assert Counting.listed == 2 * at_start, "once at the start, once because it was missing"


def test_other_sensor_under_the_same_number_is_found_out_by_its_jump() -> None:
    readings, files, clock = device(zone("cpu-thermal", 50000), zone("wifi", 125000))
    assert sensors(readings)["cpu-thermal"] == (50.0, "")
    for number, kind, temp in ((0, "wifi", "110000"), (1, "cpu-thermal", "51000")):
        files[f"/sys/class/thermal/thermal_zone{number}/type"] = kind
        files[f"/sys/class/thermal/thermal_zone{number}/temp"] = temp
    clock.advance(1)
    assert sensors(readings)["cpu-thermal"] == (110.0, "rate")
    clock.advance(PROBE_SOON_S)
    assert sensors(readings)["cpu-thermal"][0] == 51.0


def test_sensor_of_the_die_that_is_gone_stays_missing_and_comes_back() -> None:
    """Nobody may take its loss for a device that never had one."""
    readings, files, clock = device(zone("cpu-thermal", 50000), zone("nvme", 30000))
    sensors(readings)
    for number in (0, 1):
        for name in ("type", "temp"):
            del files[f"/sys/class/thermal/thermal_zone{number}/{name}"]
    clock.advance(PROBE_EVERY_S)
    assert sensors(readings) == {"cpu-thermal": (None, "missing")}
    files["/sys/class/thermal/thermal_zone3/type"] = "cpu-thermal"
    files["/sys/class/thermal/thermal_zone3/temp"] = "52000"
    clock.advance(PROBE_EVERY_S)
    assert sensors(readings) == {"cpu-thermal": (52.0, "")}


def test_thousands_of_zones_are_bounded_and_the_die_is_among_those_read() -> None:
    readings, _, _ = device(*[zone(f"disk{n}", 30000) for n in range(200)], zone("TCPU", 60000))
    found = sensors(readings)
    assert len(found) == MOST_SENSORS
    assert found["TCPU"] == (60.0, "")
    notes = [signal.note for signal in readings.signals()]
    assert f"{201 - MOST_SENSORS} more are not read" in notes


@pytest.mark.parametrize(
    ("trips", "trip_c"),
    [
        ({"t0": ("passive", 85000), "t1": ("passive", 80000), "t2": ("critical", 95000)}, 80.0),
        ({"t0": ("critical", 95000)}, None),
        ({"t0": ("active", 50000), "t1": ("hot", 90000)}, 90.0),
        ({"t0": ("passive", 0), "t1": ("passive", -274000), "t2": ("passive", 2147483647)}, None),
    ],
)
def test_trip_point_is_where_the_kernel_slows_the_die_down(
    trips: dict[str, tuple[str, int]], trip_c: float | None
) -> None:
    readings, _, _ = device(zone("cpu-thermal", 50000, **trips), zone("nvme", 1, t0=("hot", 60000)))
    assert readings.trip_c == trip_c


def test_power_allocator_slows_down_at_the_upper_of_its_two_points() -> None:
    trips = {"t0": ("passive", 70000), "t1": ("passive", 85000)}
    made = dict(zone("soc-thermal", 50000, **trips)) | {"policy": "power_allocator"}
    readings, _, _ = device(made)
    assert readings.trip_c == 85.0
