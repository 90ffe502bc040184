"""The unit says what the command does, and gives no more than it must."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.cli import exits
from edgeapp.cli.outcome import COMMANDS
from edgeapp.config.device import read_device
from tests.systemd.units import NAME, Settings, exposure, laid_out, settings, verify

MOST_EXPOSURE = 1.2
"""Of 10; the goal of the project."""


def unit(repo: Path) -> Settings:
    return settings((repo / "systemd" / NAME).read_text())


def test_what_only_a_person_can_mend_is_not_retried(repo: Path) -> None:
    """A typo must not become a restart loop."""
    codes = set(map(int, unit(repo).one("RestartPreventExitStatus").split()))
    assert codes == {exits.USAGE, exits.NO_INPUT, exits.CONFIG}
    assert unit(repo).one("Restart") == "always"
    assert unit(repo).one("StartLimitIntervalSec") == "0"


@pytest.mark.parametrize("all_of_it", [False, True])
def test_the_device_file_beside_it_has_no_mistake(
    all_of_it: bool, repo: Path, tmp_path: Path
) -> None:
    """As it stands, and with everything in it that is a comment now."""
    text = (repo / "systemd" / "edgeapp.yaml").read_text()
    if all_of_it:
        text = re.sub(r"^(\s*)# (?=[ a-z_]+: )", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "edgeapp.yaml").write_text(text)
    device = read_device(tmp_path / "edgeapp.yaml")
    assert (device.mqtt is not None and bool(device.mqtt.commands)) is all_of_it
    assert bool(device.allow_commands) is all_of_it


def test_it_calls_a_command_that_there_is(repo: Path) -> None:
    """And names no file: it runs what is installed on the device."""
    program, *arguments = unit(repo).one("ExecStart").split()
    assert program == "/opt/edgeapp/current/bin/edgeapp"
    assert arguments == ["run"]
    assert arguments[0] in COMMANDS


def test_systemd_finds_nothing_wrong(
    repo: Path, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    analyze = system_program("systemd-analyze", "systemd")
    assert verify(analyze, laid_out(tmp_path / "unit", repo / "systemd" / NAME)) == []


def test_it_is_as_closed_as_promised(
    repo: Path, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    analyze = system_program("systemd-analyze", "systemd")
    assert exposure(analyze, laid_out(tmp_path / "unit", repo / "systemd" / NAME)) <= MOST_EXPOSURE


def test_the_page_tells_of_each_setting_that_closes_something(repo: Path) -> None:
    """And of none that is not there."""
    page = (repo / "docs" / "install.md").read_text()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([A-Z][A-Za-z]+)(?:=[^`]*)?`", " ".join(rows)))
    there = {name for name, _ in unit(repo).pairs}
    assert told <= there
    after = [name for name, _ in unit(repo).pairs]
    closes = set(after[after.index("MemoryMax") : after.index("WantedBy")])
    assert closes - told <= {"PrivateMounts", "AmbientCapabilities", *_PARTS}


_PARTS = {"SystemCallArchitectures", "SystemCallErrorNumber"}
"""Of settings that are told of."""
