"""Pressure, memory and the quota of our cgroup."""

import pytest

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import TreeFiles
from edgeapp.watchdog.signals.pressure import Cgroup, Memory, Pressure
from tests.watchdog.trees import LINUX, Folder, psi, tree


@pytest.mark.parametrize(
    ("cpu", "share"),
    [
        (psi("99.99"), 0.9999),
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0", 0.0),  # before 5.13 no second line
        (psi("100.01"), None),
        (psi("nan"), None),
        ("full avg10=5.00 avg60=0.00 avg300=0.00 total=0", None),
        (OSError(95, "Operation not supported"), None),  # psi=0
    ],
)
def test_cpu_pressure(cpu: str | OSError, share: float | None) -> None:
    files = tree(LINUX, {"proc": {"pressure": {"cpu": cpu}}})
    pressure = Pressure(files, "/proc")
    signals = {signal.name: signal for signal in pressure.probe()}
    now = pressure.read()
    assert now[0] == (None if share is None else pytest.approx(share))
    assert now[1] == pytest.approx(0.004)
    assert signals["cpu pressure"].found == (share is not None)


def stat(periods: int, throttled: int, usec: int) -> str:
    return (
        f"usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\nnr_periods {periods}\n"
        f"nr_throttled {throttled}\nthrottled_usec {usec}\nnr_bursts 0\nburst_usec 0"
    )


def cgroups(**folders: Folder) -> TreeFiles:
    """`a__b` is the group /a/b below the mount."""
    root: dict[str, Folder] = {}
    for name, files in folders.items():
        *above, last = name.split("__")
        inside = root
        for part in above:
            inside = inside.setdefault(part, {})  # type: ignore[assignment]  # folders alone here
        inside[last] = {**inside.get(last, {}), **files}
    return tree(LINUX, {"sys": {"fs": {"cgroup": root}}, "proc": {"self": {"cgroup": "0::/a/b"}}})


def test_share_of_a_tick_in_which_the_quota_held_us_back() -> None:
    path = "/sys/fs/cgroup/a/b/cpu.stat"
    files = cgroups(a__b={"cpu.max": "50000 100000", "cpu.stat": stat(100, 50, 900_000)})
    group = Cgroup(files, "/sys", "/proc")
    (signal,) = group.probe()
    assert signal.where == path
    assert group.throttled(0) is None
    files[path] = stat(110, 55, 900_000 + 200_000)
    assert group.throttled(NS) == pytest.approx(0.2)
    files[path] = stat(120, 58, 900_000 + 200_000 + 3_000_000)
    assert group.throttled(2 * NS) == pytest.approx(0.3), (
        "four threads held at once, 3 of 10 periods"
    )
    files[path] = stat(130, 58, 900_000 + 200_000 + 3_000_000)
    assert group.throttled(3 * NS) == 0.0
    files[path] = stat(1, 0, 0)
    assert group.throttled(4 * NS) is None, "the counters began anew"


def test_quota_of_a_group_above_holds_for_us_too() -> None:
    files = cgroups(
        a={"cpu.max": "50000 100000", "cpu.stat": stat(1, 0, 0)},
        a__b={"cpu.max": "max 100000", "cpu.stat": stat(1, 0, 0)},
    )
    (signal,) = Cgroup(files, "/sys", "/proc").probe()
    assert signal.where == "/sys/fs/cgroup/a/cpu.stat"


@pytest.mark.parametrize(
    "groups",
    [
        "9:name=systemd:/\n1:cpu,cpuacct:/docker/0123",  # version 1 alone
        "0::/../../elsewhere",  # moved out of what this namespace shows
        "0::relative",
        "",
        "\xff\x00",
    ],
)
def test_without_a_group_of_version_2_there_is_no_quota(groups: str) -> None:
    files = cgroups(a__b={"cpu.max": "50000 100000", "cpu.stat": stat(1, 0, 0)})
    files["/proc/self/cgroup"] = groups
    files["/sys/fs/cgroup/../../elsewhere/cpu.max"] = "50000 100000"
    files["/sys/fs/cgroup/../../elsewhere/cpu.stat"] = stat(1, 0, 0)
    group = Cgroup(files, "/sys", "/proc")
    (signal,) = group.probe()
    assert not signal.found
    assert group.throttled(0) is None


def test_memory_is_bounded_by_our_group() -> None:
    """A container of 512 MB on a machine with 2 GB free may not take these."""
    files = cgroups(
        a={"memory.max": 512_000_000, "memory.current": 400_000_000},
        a__b={"memory.max": "max"},
    )
    files["/sys/fs/cgroup/a/memory.stat"] = "anon 1\nfile 1\ninactive_file 100000000\n"
    group = Cgroup(files, "/sys", "/proc")
    memory = Memory(files, "/proc", group)
    assert memory.read() == pytest.approx(2048.0)
    group.probe()
    assert memory.read() == pytest.approx(212.0), "what is cached can be had back"


@pytest.mark.parametrize("text", ["MemAvailable: lots kB", "MemFree: 5 kB", "", "\x00\x01"])
def test_memory_that_nobody_tells_is_none(text: str) -> None:
    files = tree(LINUX, {"proc": {"meminfo": text}})
    assert Memory(files, "/proc", Cgroup(files, "/sys", "/proc")).read() is None
