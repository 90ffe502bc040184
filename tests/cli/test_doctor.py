"""`edgeapp doctor` as a person meets it."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import exits, main
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Finding

Capture = pytest.CaptureFixture[str]

FOUND = [
    Finding("camera", "failed", "edgeapp may not open /dev/video0", "sudo usermod -aG video ann"),
    Finding("camera", "ok", "/dev/video1 is there"),
    Finding("clock", "warning", "there is none " * 12, "x" * 120),
    Finding("outbox", "unseen", "only edgeapp may look into it", "sudo edgeapp doctor"),
]


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the checks find."""
    found = list(FOUND)

    def examine(_case: Case) -> list[Finding]:
        return found

    monkeypatch.setattr("edgeapp.service.doctor.examine.examine", examine)
    return found


@pytest.mark.usefixtures("findings")
def test_what_is_wrong_stands_beside_the_command_that_puts_it_right(capsys: Capture) -> None:
    assert main(["doctor"]) == exits.FAILED
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert "camera            failed   edgeapp may not open /dev/video0" in lines
    assert f"{'':26} fix: sudo usermod -aG video ann" in lines
    assert f"{'':26} fix: {'x' * 120}" in lines, "a command is never broken"
    assert lines[-1] == "1 failed, 1 warning, 1 ok, 1 could not be looked at"
    assert all(len(line) <= 80 for line in lines if "fix:" not in line)
    assert "\x1b" not in out


def test_where_nothing_failed_the_exit_code_is_0(findings: list[Finding], capsys: Capture) -> None:
    del findings[0]
    assert main(["doctor"]) == exits.OK
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 warning")


@pytest.mark.usefixtures("findings")
def test_json(capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == exits.FAILED
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["findings"][0] == {
        "check": "camera",
        "verdict": "failed",
        "said": "edgeapp may not open /dev/video0",
        "fix": "sudo usermod -aG video ann",
    }


@pytest.mark.slow
def test_all_of_it_on_this_machine(pump: Path, capsys: Capture) -> None:
    """With a pipeline that runs nowhere: nothing is changed, and no check falls over."""
    main(["doctor", str(pump), "--json"])
    told = json.loads(capsys.readouterr().out)
    checks = {one["check"] for one in told["findings"]}
    assert {"configuration", "disk", "python", "wheels", "clock", "board", "memory"} <= checks
    assert not [one for one in told["findings"] if "bug" in one["said"]]
    assert not list(pump.parent.glob("state*")), "nothing is written"


@pytest.mark.slow
def test_a_broken_configuration_is_a_finding_and_not_the_end(pump: Path, capsys: Capture) -> None:
    pump.write_text("}{")
    assert main(["doctor", str(pump), "--json"]) == exits.FAILED
    told = json.loads(capsys.readouterr().out)
    [wrong] = [one for one in told["findings"] if one["check"] == "configuration"]
    assert wrong["verdict"] == "failed"
    assert "pump.yaml:1" in wrong["said"]
