"""Garbage in every file of every device: never an exception, never a value that cannot be."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeapp.core.clock import FakeClock
from edgeapp.watchdog.readings import PROBE_EVERY_S, Readings
from edgeapp.watchdog.signals.files import Content, RealFiles, TreeFiles
from edgeapp.watchdog.tick import Reading
from tests.watchdog.trees import LAPTOP, LINUX, ORIN, PI_4, PI_5, tree

DEVICES = tree(LINUX, PI_4, PI_5, ORIN, LAPTOP)
"""All of them at once: every file that is ever looked for."""
PATHS = sorted(DEVICES)
CODES = (errno.EIO, errno.EACCES, errno.ENODEV, errno.EAGAIN, errno.ENODATA, errno.ELOOP)

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, 1, -1, 100, 999, 1000, 127000, -274000, 2**31 - 1, 2**63, 10**18]),
).map(lambda value: f"{value}\n")
TEXT = """nan|inf|-0|0x10|1e9|1_000|cpu-thermal|Battery|Mains|passive|coretemp|Discharging|50005|max|
0::/a/../..|cpu  1 2 3 4 5 6 7|some avg10=200.00 avg60=|throttled_usec 5|٣٤|VDD_IN|psys|"""
words = st.sampled_from([*TEXT.split("|"), "5" * 9000])
contents: st.SearchStrategy[Content | None] = st.one_of(
    numbers,
    words,
    st.binary(max_size=40),
    st.sampled_from(CODES).map(lambda code: OSError(code, os.strerror(code))),
    st.none(),  # gone
)
changes = st.lists(st.tuples(st.sampled_from(PATHS), contents), max_size=30)


def check(reading: Reading, cores: int) -> None:
    for sensor in reading.sensors:
        assert sensor.value_c is None or -40 <= sensor.value_c <= 125
        assert sensor.value_c is not None or sensor.problem, "no value without a reason"
        assert sensor.problem in {"", "missing", "error", "garbage", "range", "rate", "stale"}
    names = [sensor.name for sensor in reading.sensors]
    assert len(set(names)) == len(names)
    assert reading.busy_cores is None or 0 <= reading.busy_cores <= cores
    for share in (
        reading.clock_ratio,
        reading.battery,
        reading.cpu_pressure,
        reading.memory_pressure,
        reading.quota_throttled,
    ):
        assert share is None or 0 <= share <= 1
    assert reading.power_w is None or 0 <= reading.power_w <= 20_000
    assert reading.battery_wh is None or 0 <= reading.battery_wh < 10**9
    assert reading.memory_available_mb is None or 0 <= reading.memory_available_mb < 10**13
    assert reading.overcurrent_events is None or reading.overcurrent_events >= 0


def put(files: TreeFiles, path: str, content: Content | None) -> None:
    if content is not None:
        files[path] = content
    elif path in files:
        del files[path]


ticks = st.lists(st.tuples(changes, st.sampled_from([1.0, PROBE_EVERY_S])), max_size=8)
hard = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(hard, max_examples=25)
@given(first=changes, then=ticks)
def test_whatever_the_files_say(
    first: list[tuple[str, Content | None]],
    then: list[tuple[list[tuple[str, Content | None]], float]],
) -> None:
    """From the start, while it runs, and through probing again."""
    live_through(first, then)


@pytest.mark.slow
@settings(hard, max_examples=200)
@given(first=changes, then=ticks)
def test_whatever_the_files_say_and_more(
    first: list[tuple[str, Content | None]],
    then: list[tuple[list[tuple[str, Content | None]], float]],
) -> None:
    live_through(first, then)


def live_through(
    first: list[tuple[str, Content | None]],
    then: list[tuple[list[tuple[str, Content | None]], float]],
) -> None:
    files, clock = tree(LINUX, PI_4, PI_5, ORIN, LAPTOP), FakeClock(10**9)
    for path, content in first:
        put(files, path, content)
    readings = Readings(clock, files=files, cores=8)
    events = 0
    for changed, after_s in then:
        for path, content in changed:
            put(files, path, content)
        clock.advance(after_s)
        reading = readings.read()
        check(reading, cores=8)
        if reading.overcurrent_events is not None:
            assert reading.overcurrent_events >= events
            events = reading.overcurrent_events
        for signal in readings.signals():
            assert signal.name
            assert signal.where.isprintable()
            assert bool(signal.where) == signal.found


@settings(hard, max_examples=40)
@given(content=contents)
def test_same_garbage_everywhere(content: Content | None) -> None:
    """No value is invented where every single file is wrong."""
    files, clock = TreeFiles(), FakeClock(10**9)
    for path in PATHS:
        put(files, path, content)
    readings = Readings(clock, files=files, cores=8)
    for _ in range(3):
        clock.advance(1)
        check(readings.read(), cores=8)


class Fleeting(TreeFiles):
    """Some of its files are gone at every other look."""

    def __init__(self, fleeting: frozenset[str], turn: int) -> None:
        super().__init__()
        self.fleeting, self.turn = fleeting, turn

    def read(self, path: str) -> bytes:
        self.turn += 1
        if path in self.fleeting and self.turn % 2:
            raise OSError(errno.ENOENT, "No such file or directory", path)
        return super().read(path)


@settings(hard, max_examples=25)
@given(fleeting=st.frozensets(st.sampled_from(PATHS), min_size=1), turn=st.integers(0, 1))
def test_files_that_go_between_listing_and_reading(fleeting: frozenset[str], turn: int) -> None:
    files, clock = Fleeting(fleeting, turn), FakeClock(10**9)
    for path, content in DEVICES.items():
        files[path] = content
    readings = Readings(clock, files=files, cores=8)
    for _ in range(3):
        clock.advance(6)
        check(readings.read(), cores=8)


@pytest.mark.timeout(90)
def test_real_files_of_every_wrong_kind(tmp_path: Path) -> None:
    """Folders, pipes, loops and huge files where values should be; names of bytes that are no text."""
    for turn, path in enumerate(PATHS):
        real = tmp_path / path[1:]
        real.parent.mkdir(parents=True, exist_ok=True)
        try:
            content = DEVICES.read(path)
        except OSError:
            content = b""
        match turn % 5:
            case 0:
                real.mkdir()
            case 1:
                os.mkfifo(real)
            case 2:
                real.symlink_to(real.name)
            case 3:
                real.write_bytes(b"9" * 100_000)
            case _:
                real.write_bytes(content)
    zones = os.fsencode(tmp_path / "sys/class/thermal")
    os.mkdir(zones + b"/thermal_zone\xff\xfe")  # noqa: PTH102 - Path takes no bytes
    clock = FakeClock(10**9)
    readings = Readings(
        clock, files=RealFiles(), sysfs_root=tmp_path / "sys", proc_root=tmp_path / "proc", cores=8
    )
    for _ in range(3):
        clock.advance(1)
        check(readings.read(), cores=8)


def test_thousands_of_everything_take_a_bounded_number_of_reads() -> None:
    class Counting(TreeFiles):
        reads = 0

        def read(self, path: str) -> bytes:
            Counting.reads += 1
            return super().read(path)

    files = Counting()
    for n in range(1500):
        files[f"/sys/class/thermal/thermal_zone{n}/type"] = "cpu-thermal"
        files[f"/sys/class/thermal/thermal_zone{n}/temp"] = "50000"
        files[f"/sys/class/thermal/cooling_device{n}/type"] = "Processor"
        files[f"/sys/class/thermal/cooling_device{n}/cur_state"] = "0"
        files[f"/sys/class/hwmon/hwmon{n}/name"] = "ina3221"
        files[f"/sys/class/hwmon/hwmon{n}/oc1_event_cnt"] = "0"
        files[f"/sys/class/hwmon/hwmon{n}/in{n}_label"] = "VDD_IN"
        files[f"/sys/class/power_supply/BAT{n}/type"] = "Battery"
        files[f"/sys/class/powercap/intel-rapl:{n}/energy_uj"] = "0"
        files[f"/sys/devices/system/cpu/cpufreq/policy{n}/scaling_cur_freq"] = "1"
        files[f"/sys/devices/system/cpu/cpufreq/policy{n}/cpuinfo_max_freq"] = "1"
    clock = FakeClock(10**9)
    readings = Readings(clock, files=files, cores=8)
    assert Counting.reads < 8_000
    Counting.reads = 0
    clock.advance(1)
    check(readings.read(), cores=8)
    assert Counting.reads < 300
