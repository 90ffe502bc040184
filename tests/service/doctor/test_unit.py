"""The service: whether systemd runs it, how it was started, and what it says of itself."""

from pathlib import Path
from typing import Any

import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.needs import Needs
from edgeapp.service.doctor import unit
from edgeapp.service.doctor.case import unit_facts
from edgeapp.service.doctor.machine import Ran
from edgeapp.service.systemd.drop_ins import FOLDER, drop_ins
from tests.service.doctor.ward import Ward, found, verdicts


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def live(
    mode: str = "normal", state: str = "running", silent: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The status of a service."""
    return {
        "pid": 77,
        "start": {"mode": mode, "why": "3 starts died"},
        "pipelines": [{"name": "porch", "state": state, "why": ""}],
        "health": {"pipelines": [{"pipeline": "porch", "silent": list(silent)}]},
    }


def test_a_service_that_is_well(ward: Ward) -> None:
    assert verdicts(unit.service, ward.installed()) == [("service", "ok")]


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"},
            "failed",
            "exit-code",
        ),
        ({"ActiveState": "inactive", "SubState": "dead"}, "failed", "inactive"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "warning", "again and again"),
        ({"UnitFileState": "disabled"}, "warning", "does not start when the device does"),
        ({"NRestarts": "7"}, "warning", "7 times"),
        ({"NeedDaemonReload": "yes"}, "warning", "was not read again"),
    ],
)
def test_a_service_that_is_not(ward: Ward, facts: dict[str, str], verdict: str, words: str) -> None:
    findings = found(unit.service, ward.installed(uid=1000, unit=facts))
    [one] = [finding for finding in findings if words in finding.said]
    assert one.verdict == verdict
    assert one.fix


def test_without_a_service_nothing_is_missed(ward: Ward) -> None:
    assert verdicts(unit.service, ward.case()) == [("service", "ok")]
    assert verdicts(unit.service, ward.case(live=live())) == [("service", "ok")]


@pytest.mark.parametrize(
    ("mode", "verdict"), [("normal", "ok"), ("last-good", "failed"), ("safe", "failed")]
)
def test_how_it_was_started(ward: Ward, mode: str, verdict: str) -> None:
    [finding] = found(unit.start, ward.installed(live=live(mode)))
    assert finding.verdict == verdict
    assert ("3 starts died" in finding.said) == (verdict == "failed")


def test_whoever_may_not_ask_is_told_how_to(ward: Ward) -> None:
    case = ward.installed(live_problem="belongs to another user")
    [finding] = found(unit.start, case)
    assert (finding.verdict, finding.fix) == ("unseen", "sudo edgeapp doctor")


@pytest.mark.parametrize(
    ("state", "verdict"),
    [("running", "ok"), ("waiting", "warning"), ("failed", "failed"), ("stuck", "failed")],
)
def test_each_pipeline(ward: Ward, state: str, verdict: str) -> None:
    assert verdicts(unit.pipelines, ward.case(live=live(state=state))) == [("pipeline", verdict)]


def test_a_silent_source_is_told_of(ward: Ward) -> None:
    findings = found(unit.pipelines, ward.case(live=live(silent=("camera",))))
    assert [one.check for one in findings] == ["pipeline", "source"]
    assert findings[1].fix == "edgeapp tap porch/camera"


def test_drop_ins_that_do_not_fit_any_more(ward: Ward) -> None:
    device = DeviceConfig("line-3", Path("/var/lib/edgeapp"), None, None)
    needs = Needs(nodes=frozenset({"/dev/video0"}))
    case = ward.installed(uid=1000, device=device, needs=needs)
    [finding] = found(unit.dropins, case)
    assert finding.verdict == "warning"
    assert "20-devices.conf is missing" in finding.said
    assert finding.fix.startswith(f"sudo edgeapp service dropins --out {FOLDER} && ")
    for name, text in drop_ins(needs, device, case.machine).files.items():
        ward.write(f"{FOLDER}/{name}", text)
    assert verdicts(unit.dropins, case) == [("drop-ins", "ok")]


def test_what_systemd_says_of_a_unit(ward: Ward) -> None:
    ward.programs["systemctl show edgeapp.service"] = Ran(0, "LoadState=loaded\nNRestarts=2\nX\n")
    assert unit_facts(ward.case().machine) == {"LoadState": "loaded", "NRestarts": "2"}
    ward.programs.clear()
    assert unit_facts(ward.case().machine) == {}
