"""Busy cores from the kernel's ticks, and the clock."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.watchdog.signals.cpu import Clocks, Load
from edgeapp.watchdog.signals.files import TreeFiles
from tests.watchdog.trees import Folder, stat, tree

STAT = "/proc/stat"


def loads(*contents: str | OSError, cores: int = 4) -> list[float | None]:
    files = TreeFiles()
    load = Load(files, "/proc", cores)
    answers = []
    for content in contents:
        files[STAT] = content
        answers.append(load.read())
    return answers


def test_first_look_knows_nothing_the_second_does() -> None:
    assert loads(stat(4, 1000, 9000), stat(4, 1100, 9300)) == [None, pytest.approx(1.0)]


def test_guest_time_is_not_counted_twice_and_waiting_for_a_disk_is_not_work() -> None:
    before = stat(4, 1000, 9000, iowait=10, guest=500)
    after = stat(4, 1100, 9200, iowait=110, guest=600)
    assert loads(before, after)[1] == pytest.approx(1.0)


def test_wait_that_goes_back_is_passed_over() -> None:
    """The kernel says so itself: iowait may decrease (man 5 proc_stat)."""
    before, after = stat(4, 1000, 9000, iowait=110), stat(4, 1100, 9300, iowait=10)
    assert loads(before, after)[1] == pytest.approx(1.0)


@pytest.mark.parametrize("again", [stat(4, 900, 9300), stat(4, 1100, 8000), stat(4, 1000, 9000)])
def test_counters_that_go_back_or_stand_say_nothing_and_are_believed_anew(again: str) -> None:
    """After a container was moved, or on a machine that makes them up."""
    later = stat(4, 5000, 20000)
    answers = loads(stat(4, 1000, 9000), again, later)
    assert answers[1] is None
    assert answers[2] is not None
    assert 0 <= answers[2] <= 4


def test_core_that_was_switched_off_is_not_counted_as_idle() -> None:
    assert loads(stat(4, 1000, 9000), stat(2, 1100, 9100))[1] == pytest.approx(1.0)


def test_many_cores_that_do_not_fit_into_one_read_are_those_that_were_given() -> None:
    assert loads(stat(256, 1000, 9000), stat(256, 1100, 9100), cores=256)[1] == 128.0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "cpu",
        "cpu  1 2 3",
        "cpu  a b c d e f g",
        "cpu  -1 0 0 0 0 0 0",
        "intr 1 2 3",
        OSError(errno.EIO, "Input/output error"),
    ],
)
def test_garbage_is_no_load(content: str | OSError) -> None:
    later = stat(4, 1100, 9300)
    assert loads(stat(4, 1000, 9000), content, later, stat(4, 1200, 9600))[1:] == [
        None,
        None,
        pytest.approx(1.0),
    ]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 10**12), min_size=5, max_size=10), max_size=6))
def test_load_is_never_outside_the_cores(ticks: list[list[int]]) -> None:
    texts = [f"cpu  {' '.join(map(str, each))}\ncpu0 0\ncpu1 0\nintr 1\n" for each in ticks]
    for load in loads(*texts):
        assert load is None or 0 <= load <= 2


def clocks(cpu: Folder) -> float | None:
    made = Clocks(tree({"sys": {"devices": {"system": {"cpu": cpu}}}}), "/sys")
    made.probe()
    return made.read()


def policy(now: int | str | OSError, greatest: int | str, cpus: str = "0") -> Folder:
    return {"scaling_cur_freq": now, "cpuinfo_max_freq": greatest, "affected_cpus": cpus}


def test_clock_is_the_mean_over_cores_of_unlike_groups() -> None:
    groups: Folder = {
        "policy0": policy(1000, 2000, "0 1 2 3"),
        "policy4": policy(2000, 2000, "4 5"),
    }
    assert clocks({"cpufreq": groups}) == pytest.approx((4 * 0.5 + 2 * 1.0) / 6)


def test_clock_of_old_kernels_lies_with_each_core() -> None:
    cores: Folder = {
        "cpu0": {"cpufreq": policy(1000, 2000)},
        "cpu1": {"cpufreq": policy(1500, 2000)},
        "cpuidle": {"current_driver": "none"},
    }
    assert clocks(cores) == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("now", "greatest", "ratio"),
    [
        (2100, 2000, 1.0),  # a boost beyond what is nominal
        (9000, 2000, None),
        (0, 2000, None),
        ("<unknown>", 2000, None),
        (1000, 0, None),
        (1000, "nan", None),
        (OSError(errno.EBUSY, "Device or resource busy"), 2000, None),
    ],
)
def test_clock_that_cannot_be_is_none(
    now: int | str | OSError, greatest: int | str, ratio: float | None
) -> None:
    assert clocks({"cpufreq": {"policy0": policy(now, greatest)}}) == ratio
