"""One sensor: units, what cannot be true, and what answers slowly."""

import errno

import pytest

from edgeapp.core.clock import FakeClock
from edgeapp.watchdog.signals.files import Files, TreeFiles
from edgeapp.watchdog.signals.thermometer import OTHERS_EVERY_S, STALE_S, Thermometer
from edgeapp.watchdog.tick import SensorKind

PATH = "/sys/temp"


class Bench:
    """A sensor, its file and a clock."""

    def __init__(self, kind: SensorKind = "die") -> None:
        self.files = TreeFiles()
        self.clock = FakeClock(10**9)
        self.sensor = Thermometer("cpu-thermal", kind, PATH)
        self.through: Files = self.files

    def says(self, content: bytes | str | OSError, after_s: float = 1.0) -> tuple[object, str]:
        self.clock.advance(after_s)
        self.files[PATH] = content
        reading = self.sensor.read(self.through, self.clock.now_ns)
        return reading.value_c, reading.problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("48199\n", (48.199, "")),
        ("-12000", (-12.0, "")),
        ("0\n", (0.0, "")),  # a Pi 4 clamps what is below freezing
        ("52\n", (52.0, "")),  # drivers that give degrees
        ("52.5\n", (52.5, "")),
        ("-89700", (None, "range")),  # a Coral that is dead
        ("-273150", (None, "range")),
        ("127000", (None, "range")),  # a register that was never written
        ("2147483647", (None, "range")),
        ("nan", (None, "garbage")),
        ("1e3", (None, "garbage")),
        ("4_8", (None, "garbage")),
        ("٤٨", (None, "garbage")),
        ("48199 48200", (None, "garbage")),
        ("", (None, "garbage")),
        (b"\xff\xfe\x00", (None, "garbage")),
        ("9" * 400, (None, "garbage")),
        (OSError(errno.EIO, "Input/output error"), (None, "error")),
        (OSError(errno.EACCES, "Permission denied"), (None, "error")),
        (OSError(errno.ENODEV, "No such device"), (None, "missing")),
    ],
)
def test_what_a_file_says(content: bytes | str | OSError, expected: tuple[object, str]) -> None:
    assert Bench().says(content) == expected


def test_unit_is_kept_through_freezing() -> None:
    """Once it is known to count thousandths, 100 is a tenth of a degree and no boiling water."""
    bench = Bench()
    assert bench.says("1200") == (1.2, "")
    assert bench.says("100") == (0.1, "")


def test_jump_is_doubted_once_and_then_believed() -> None:
    bench = Bench()
    assert bench.says("40000") == (40.0, "")
    assert bench.says("95000") == (95.0, "rate"), "given all the same: hot is to be heeded"
    assert bench.says("95500") == (95.5, "")


def test_jump_over_a_long_gap_is_no_jump() -> None:
    bench = Bench()
    bench.says("40000")
    assert bench.says(OSError(errno.EIO, "")) == (None, "error")
    assert bench.says("95000", after_s=5.0) == (95.0, "")


def test_value_out_of_range_is_no_ground_for_doubt_in_the_next() -> None:
    bench = Bench()
    bench.says("40000")
    assert bench.says("-89700") == (None, "range")
    assert bench.says("41000") == (41.0, "")


def test_others_are_read_seldom() -> None:
    bench = Bench("other")
    bench.says("40000")
    assert bench.says("45000") == (40.0, "")
    assert bench.says("45000", after_s=OTHERS_EVERY_S) == (45.0, "")


class _Slow:
    """A driver that takes its time."""

    def __init__(self, files: Files, clock: FakeClock, takes_s: float) -> None:
        self.files, self.clock, self.takes_s = files, clock, takes_s
        self.calls = 0

    def read(self, path: str) -> bytes:
        self.calls += 1
        self.clock.advance(self.takes_s)
        return self.files.read(path)

    def names(self, folder: str) -> list[str]:
        return self.files.names(folder)


def test_slow_sensor_takes_a_small_share_of_the_time() -> None:
    bench = Bench()
    bench.through = slow = _Slow(bench.files, bench.clock, 0.1)
    for tick in range(100):
        assert bench.says(str(40_000 + tick))[1] == ""
    assert slow.calls * 0.1 <= 100 * 0.03


def test_value_of_a_sensor_that_hangs_becomes_stale() -> None:
    bench = Bench()
    bench.through = _Slow(bench.files, bench.clock, 2.0)
    assert bench.says("40000") == (40.0, "")
    assert bench.says("40000", after_s=STALE_S + 1) == (None, "stale")
    assert bench.says("40000", after_s=100.0) == (40.0, "")
