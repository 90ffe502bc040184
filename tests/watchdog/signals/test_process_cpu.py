"""CPU time of this process and of its children while they run."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeapp.core.clock import NS
from edgeapp.watchdog.signals.files import RealFiles, TreeFiles
from edgeapp.watchdog.signals.process_cpu import LOOK_EVERY_S, ProcessCpu
from tests.watchdog.trees import tree


def stat(user: int, system: int, name: str = "worker") -> str:
    return f"55 ({name}) S 1 1 1 0 -1 4194560 9 0 0 0 {user} {system} 70 80 20 0 1 0 5"


def family() -> TreeFiles:
    return tree({"proc": {"self": {"task": {"1": {"children": "55 "}, "2": {"children": ""}}}}})


def test_children_count_while_they_run_and_are_not_forgotten() -> None:
    files = family()
    files["/proc/55/stat"] = stat(100, 50)
    cpu = ProcessCpu(files, own_ns=lambda: 7 * NS)
    assert cpu.total_ns(0) == 7 * NS, "what a child did before it was seen does not count"
    files["/proc/55/stat"] = stat(120, 60, name="a) S (b")
    assert cpu.total_ns(NS) == 7 * NS + int(0.3 * NS)
    del files["/proc/55/stat"]
    assert cpu.total_ns(2 * NS) == 7 * NS + int(0.3 * NS)


def test_child_of_the_same_number_is_another_one() -> None:
    files = family()
    files["/proc/55/stat"] = stat(100, 50)
    cpu = ProcessCpu(files, own_ns=lambda: 0)
    cpu.total_ns(0)
    files["/proc/55/stat"] = stat(1, 0)
    assert cpu.total_ns(NS) == 0
    files["/proc/55/stat"] = stat(11, 0)
    assert cpu.total_ns(2 * NS) == NS // 10


@pytest.mark.parametrize("text", ["", "55 (x) S", "55 x S 1 1", "\x00\xff", stat(-5, -5)])
def test_garbage_of_a_child_is_no_time(text: str) -> None:
    files = family()
    files["/proc/55/stat"] = text
    cpu = ProcessCpu(files, own_ns=lambda: 0)
    assert [cpu.total_ns(t * NS) for t in range(3)] == [0, 0, 0]


@pytest.mark.skipif(
    not any(Path("/proc/self/task").glob("*/children")),
    reason="this kernel has no CONFIG_PROC_CHILDREN",
)
def test_real_child_that_works_is_seen() -> None:
    work = "import time\nprint(flush=True)\nwhile time.process_time() < 60: pass"
    with subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            cpu = ProcessCpu(RealFiles(), own_ns=lambda: 0)
            assert cpu.total_ns(0) == 0
            until = time.monotonic() + 60
            while not cpu.total_ns(int(LOOK_EVERY_S) * NS) and time.monotonic() < until:
                time.sleep(0.01)
            assert cpu.total_ns(NS) > 0
        finally:
            child.kill()
