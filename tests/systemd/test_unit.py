"""The unit says what the command does."""

import configparser
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.cli import exits
from edgeapp.cli.outcome import COMMANDS
from edgeapp.config.device import read_device


def unit(repo: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read(repo / "systemd" / "edgeapp@.service")
    return parser


def test_what_only_a_person_can_mend_is_not_retried(repo: Path) -> None:
    """A typo must not become a restart loop."""
    codes = set(map(int, unit(repo)["Service"]["RestartPreventExitStatus"].split()))
    assert codes == {exits.USAGE, exits.NO_INPUT, exits.CONFIG}


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
    assert device.mqtt is not None
    assert bool(device.mqtt.commands) is all_of_it
    assert bool(device.allow_commands) is all_of_it


def test_it_calls_a_command_that_there_is(repo: Path) -> None:
    program, command, *_ = unit(repo)["Service"]["ExecStart"].split()
    assert program.endswith("/.venv/bin/edgeapp")
    assert command in COMMANDS


def test_systemd_finds_nothing_wrong(
    repo: Path, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    """With a program of that name in place: the check wants it to exist."""
    analyze = system_program("systemd-analyze", "systemd")
    text = (repo / "systemd" / "edgeapp@.service").read_text()
    copy = tmp_path / "edgeapp@porch.service"
    copy.write_text(text.replace("/opt/edgeapp/.venv/bin/edgeapp", "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", str(copy)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "edgeapp@" in line]
    assert complaints == []
