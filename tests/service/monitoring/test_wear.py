"""What is written is counted since the start, and told per day."""

import os
from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock, MonotonicClock
from edgeapp.service.monitoring.wear import Wear, per_day

MB = 1024 * 1024


class Kernel:
    """What it says of a process and of its group."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sysfs = folder / "proc", folder / "sys"
        (self.proc / "self").mkdir(parents=True)
        self.group = self.sysfs / "fs/cgroup/system.slice/edgeapp.service"
        self.group.mkdir(parents=True)
        self.process(0)
        (self.proc / "self/cgroup").write_text("0::/system.slice/edgeapp.service\n")

    def process(self, written: int) -> None:
        (self.proc / "self/io").write_text(f"rchar: 1\nwrite_bytes: {written}\ncancelled: 0\n")

    def disks(self, *written: int) -> None:
        lines = [f"{n}:0 rbytes=1 wbytes={w} rios=2 wios=3" for n, w in enumerate(written)]
        (self.group / "io.stat").write_text("\n".join(lines) + "\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_what_the_process_wrote_since_the_start_is_told_per_day(kernel: Kernel) -> None:
    kernel.process(100 * MB)
    clock = FakeClock()
    wear = Wear(clock, proc=kernel.proc, sysfs=kernel.sysfs)
    kernel.process(103 * MB)
    clock.advance(3_600)
    assert wear.facts() == {
        "since_s": 3600.0,
        "written_mb": 3.0,
        "per_day_mb": 72.0,
        "counted_by": "process",
    }


def test_where_the_group_is_counted_all_its_disks_are(kernel: Kernel) -> None:
    kernel.disks(0, 0)
    clock = FakeClock()
    wear = Wear(clock, proc=kernel.proc, sysfs=kernel.sysfs)
    kernel.disks(2 * MB, 1 * MB)
    kernel.process(500 * MB)
    clock.advance(86_400)
    facts = wear.facts()
    assert facts is not None
    assert (facts["per_day_mb"], facts["counted_by"]) == (3.0, "disk")


def test_a_system_that_does_not_count_says_nothing(tmp_path: Path) -> None:
    assert Wear(FakeClock(), proc=tmp_path, sysfs=tmp_path).facts() is None


def test_of_less_than_a_second_nothing_is_said() -> None:
    assert per_day(MB, 0.5) == 0.0


def test_what_this_process_really_writes_is_counted() -> None:
    """On a disk; what stays in memory wears nothing."""
    wear = Wear(MonotonicClock())
    before = wear.facts()
    if before is None:
        pytest.skip("the system does not count what a process writes: no /proc/self/io")
    file = Path(__file__).with_suffix(".tmp")
    try:
        with file.open("wb") as handle:
            handle.write(os.urandom(4 * MB))
            handle.flush()
            os.fsync(handle.fileno())
    finally:
        file.unlink(missing_ok=True)
    after = wear.facts()
    assert after is not None
    if after["written_mb"] == before["written_mb"]:
        pytest.skip("the folder of the tests is on no disk")
    assert after["written_mb"] - before["written_mb"] >= 4
