"""Power, heat, clock and memory: each as it should be, and not."""

from pathlib import Path

import pytest

from edgeapp.service.doctor import board
from edgeapp.service.doctor.machine import Ran
from tests.service.doctor.ward import Ward, found, verdicts

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
MEMINFO = "MemTotal: 4000000 kB\nMemAvailable: {} kB\n"


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("0", [("power", "ok")]),
        ("50005", [("power", "failed"), ("throttling", "warning")]),
        ("10000", [("power", "warning")]),
        ("20002", [("power", "ok"), ("throttling", "warning")]),
    ],
)
def test_the_firmware_of_a_pi_remembers_what_was(
    ward: Ward, bits: str, expected: list[tuple[str, str]]
) -> None:
    ward.write(THROTTLED, bits)
    assert verdicts(board.power, ward.case()) == expected


def test_without_the_file_vcgencmd_is_asked(ward: Ward) -> None:
    ward.programs["vcgencmd"] = Ran(0, "throttled=0x1\n")
    assert verdicts(board.power, ward.case()) == [("power", "failed")]


@pytest.mark.parametrize("text", ["", "nonsense", "0x"])
def test_a_board_that_says_nothing_of_its_power_is_no_failure(ward: Ward, text: str) -> None:
    ward.write(THROTTLED, text)
    assert verdicts(board.power, ward.case()) == [("power", "ok")]


def _zone(ward: Ward, milli: int) -> None:
    zone = "/sys/class/thermal/thermal_zone0"
    ward.write(f"{zone}/type", "cpu-thermal")
    ward.write(f"{zone}/temp", f"{milli}")
    ward.write(f"{zone}/trip_point_0_temp", "80000")
    ward.write(f"{zone}/trip_point_0_type", "passive")


def test_heat(ward: Ward) -> None:
    assert verdicts(board.temperature, ward.case()) == [("temperature", "warning")]
    _zone(ward, 51_000)
    [finding] = found(board.temperature, ward.case())
    assert finding.verdict == "ok"
    assert finding.said.startswith("51 °C")
    _zone(ward, 83_000)
    assert verdicts(board.temperature, ward.case()) == [("temperature", "failed")]


def test_clock(ward: Ward) -> None:
    assert verdicts(board.clock, ward.case()) == [("clock", "ok"), ("clock chip", "ok")]
    [finding, chip] = found(board.clock, ward.case(uid=1000, synchronised=False))
    assert finding.fix == "sudo timedatectl set-ntp true"
    assert (finding.verdict, chip.verdict) == ("failed", "warning")
    ward.write("/sys/class/rtc/rtc0/name", "ds3231")
    [_, chip] = found(board.clock, ward.case(synchronised=False))
    assert chip.verdict == "ok"


def test_memory(ward: Ward) -> None:
    ward.write("/proc/meminfo", MEMINFO.format(2_000_000))
    assert verdicts(board.memory, ward.case()) == [("memory", "ok")]
    ward.write("/proc/meminfo", MEMINFO.format(200_000))
    ward.write("/proc/swaps", "Filename Type\n/dev/zram0 partition\n/var/swap file\n")
    low, swap = found(board.memory, ward.case(uid=0))
    assert low.verdict == "warning"
    assert swap.fix == "swapoff /var/swap"


def test_since_when_the_board_is_on(ward: Ward) -> None:
    assert verdicts(board.board, ward.case()) == [("board", "unseen")]
    ward.write("/proc/uptime", "180000.17 999.0\n")
    ward.write("/sys/firmware/devicetree/base/model", "Raspberry Pi 5 Model B\0")
    [finding] = found(board.board, ward.case())
    assert finding.said == "Raspberry Pi 5 Model B, on for 2 d 2 h"
