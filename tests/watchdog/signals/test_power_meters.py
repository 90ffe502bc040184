"""Watts from chips that measure and counters that add up."""

import errno

import pytest

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.signals.hwmon import chips_of
from edgeapp.watchdog.signals.power_meters import PowerMonitor, Rapl
from tests.watchdog.trees import ORIN, Folder, tree

ENERGY = "/sys/class/powercap/intel-rapl:0/energy_uj"


def monitor(*chips: Folder) -> float | None:
    made: Folder = {"sys": {"class": {"hwmon": {f"hwmon{n}": c for n, c in enumerate(chips)}}}}
    return monitored(tree(made))


def monitored(files: TreeFiles) -> float | None:
    meter = PowerMonitor(files)
    meter.probe(chips_of(files, "/sys"))
    return meter.read()


def ina3221(*labels: str, volts: int | str = 5000, amperes: int | str = 1000) -> Folder:
    files: dict[str, int | str] = {"name": "ina3221"}
    for n, label in enumerate(labels, 1):
        files |= {f"in{n}_label": label, f"in{n}_input": volts, f"curr{n}_input": amperes}
    return files


def test_rail_that_feeds_all_is_not_added_to_its_parts() -> None:
    assert monitor(ina3221("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")) == pytest.approx(5.0)


def test_rails_of_an_agx_orin_lie_on_two_chips() -> None:
    chips = ina3221("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), ina3221("NC", "VDDQ_VDD2_1V8AO")
    assert monitor(*chips) == pytest.approx(15.0)


@pytest.mark.parametrize(("volts", "amperes"), [(-5, 1000), (5000, -1), (5000, "x"), (99999999, 1)])
def test_rail_that_cannot_be_is_none(volts: int | str, amperes: int | str) -> None:
    assert monitor(ina3221("VDD_IN", volts=volts, amperes=amperes)) is None


def test_single_monitor_chip_is_taken_for_the_device_two_are_not() -> None:
    chip: Folder = {"name": "ina226", "power1_input": 4_250_000}
    assert monitor(chip) == pytest.approx(4.25)
    assert monitor(chip, chip) is None
    assert monitor({"name": "BAT0", "power1_input": 4_250_000}) is None


def test_monitor_that_stops_answering_is_none() -> None:
    files = tree(ORIN)
    assert monitored(files) is not None
    files["/sys/class/hwmon/hwmon1/curr1_input"] = OSError(errno.EIO, "Input/output error")
    assert monitored(files) is None


def rapl(**zones: Folder) -> tuple[Rapl, TreeFiles]:
    named = {f"intel-rapl:{name[1:].replace('_', ':')}": zone for name, zone in zones.items()}
    files = tree({"sys": {"class": {"powercap": named}}})
    made = Rapl(files, "/sys")
    made.probe()
    return made, files


def package(energy: int, wraps_at: int = 10_000_000) -> Folder:
    return {"name": "package-0", "energy_uj": energy, "max_energy_range_uj": wraps_at}


def watts(readings: list[tuple[float, str | OSError]], **zones: Folder) -> list[float | None]:
    counter, files = rapl(**(zones or {"z0": package(0)}))
    answers = []
    for at_s, energy in readings:
        files[ENERGY] = energy
        answers.append(counter.read(int(at_s * NS)))
    return answers


def test_energy_over_time_is_power_also_where_the_counter_wraps() -> None:
    answers = watts([(0, "1000000"), (1, "7000000"), (3, "9000000"), (4, "3000000")])
    assert answers == [None, pytest.approx(6.0), pytest.approx(1.0), pytest.approx(4.0)]


def test_counter_that_stands_is_broken_after_a_while() -> None:
    answers = watts([(t, "5") for t in range(15)])
    assert answers[1] == 0.0
    assert answers[-1] is None
    resumed = watts([(0, "5"), (20, "5"), (21, "1000005")])
    assert resumed == [None, None, pytest.approx(1.0)]


def test_power_that_cannot_be_is_none() -> None:
    zone = package(0, wraps_at=10**12)
    assert watts([(0, "0"), (1, str(10**11))], z0=zone)[1] is None
    assert watts([(0, "7"), (1, "x"), (2, "8"), (3, "8")])[1:] == [None, None, 0.0]


def test_two_packages_are_added_and_what_lies_within_them_is_not() -> None:
    part: Folder = {"name": "core", "energy_uj": 0, "max_energy_range_uj": 10**7}
    counter, files = rapl(z0=package(0), z1=package(0), z0_0=part)
    counter.read(0)
    for zone in ("0", "1", "0:0"):
        files[f"/sys/class/powercap/intel-rapl:{zone}/energy_uj"] = "2000000"
    assert counter.read(NS) == pytest.approx(4.0)


def test_counter_of_the_whole_platform_goes_before_the_processor() -> None:
    platform = dict(package(0)) | {"name": "psys"}
    counter, files = rapl(z0=package(0), z1=platform)
    counter.read(0)
    files["/sys/class/powercap/intel-rapl:1/energy_uj"] = "9000000"
    assert counter.read(NS) == pytest.approx(9.0)
