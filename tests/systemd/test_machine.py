"""What the other tests here stand on: a booted machine, its limits, and that nothing is left of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import cgroups
from tests.servers.mosquitto import wait_until
from tests.servers.systemd import Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BOOTS_AND_WAITS = """
import sys, time
from pathlib import Path
from tests.servers.systemd import Machine
with Machine(Path(sys.argv[1])) as machine:
    print(machine.address, flush=True)
    time.sleep(600)
"""


def test_systemd_runs_and_nothing_has_failed(machine: Machine) -> None:
    assert machine.run("cat /proc/1/comm").strip() == "systemd"
    assert machine.do("systemctl is-system-running --wait").stdout.strip() in {
        "running",
        "degraded",
    }
    failed = machine.run("systemctl list-units --failed --plain --no-legend").splitlines()
    # Those of other tests, which share the machine; and a login at a console that there is not.
    ours = ("run-", "edgeapp", "console-getty")
    assert [unit for unit in failed if not unit.startswith(ours)] == []


def test_there_is_no_way_out(machine: Machine) -> None:
    """One cable, whose other end is this test; no route beyond it."""
    routes = machine.run("ip route").splitlines()
    assert [line.split()[0].endswith("/30") for line in routes] == [True]
    assert "unreachable" in machine.run("ip route get 1.1.1.1", expect=2)


def test_it_does_not_see_our_disk_nor_set_our_kernel(machine: Machine, repo: Path) -> None:
    machine.run(f"test ! -e {repo}")
    machine.run("echo 1 >/proc/sys/kernel/printk", expect=2)


@pytest.mark.parametrize(
    ("controller", "setting", "command"),
    [
        ("memory", "MemoryMax=100M", "python3 -c 'bytearray(300 << 20)'"),
        ("pids", "TasksMax=3", "for i in 1 2 3 4; do sleep 1 & done"),
    ],
)
def test_limits_hold(machine: Machine, controller: str, setting: str, command: str) -> None:
    """They are the reason for control groups of its own."""
    if controller not in machine.limits:
        pytest.skip(f"this machine hands on no limits of {controller}")
    limited = f"systemd-run --quiet --wait --pipe --property={setting} sh -c"
    assert machine.do(f'{limited} "{command}"').returncode != 0


def test_its_disk_outlives_a_reboot_and_its_boot_id_does_not(machine: Machine) -> None:
    read = "cat /proc/sys/kernel/random/boot_id"
    machine.write("/srv/left/behind", "here")
    before = machine.run(read)
    machine.poweroff()
    machine.boot()
    assert machine.run("cat /srv/left/behind") == "here"
    assert machine.run(read) != before


@pytest.mark.usefixtures("machine")  # skips where none can be booted
def test_nothing_is_left_of_it_when_its_test_is_killed(tmp_path: Path, repo: Path) -> None:
    """No process, no control group, no cable, no folder."""
    script = tmp_path / "boots.py"
    script.write_text(BOOTS_AND_WAITS)
    folder = tmp_path / "disk"
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        assert program.stdout is not None
        said = program.stdout.readline()
        held = cgroups.left_of(program.pid)
        program.kill()
    assert said.startswith("10.213.")
    assert held
    wait_until(lambda: not cgroups.left_of(program.pid) and not folder.exists(), "all is gone")
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert f"edge{program.pid % 100_000}n" not in links
