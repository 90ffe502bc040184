"""All checks in turn: each within its time, none the end of another."""

import threading
from collections.abc import Iterator
from pathlib import Path

from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.examine import CHECKS, examine
from edgeapp.service.doctor.finding import Finding, ok
from edgeapp.service.doctor.machine import run_program
from tests.service.doctor.ward import Ward

HANGS = threading.Event()


def hangs(_case: Case) -> Iterator[Finding]:
    """A driver that does not answer."""
    HANGS.wait(30)
    yield ok("hangs", "never")


def breaks(_case: Case) -> Iterator[Finding]:
    """A bug of ours."""
    yield ok("breaks", "half of it")
    raise KeyError("x")


def may_not(_case: Case) -> Iterator[Finding]:
    """What a person may not see."""
    raise PermissionError(13, "Permission denied", "/var/lib/edgeapp")
    yield  # type: ignore[unreachable]  # it is a generator


def well(_case: Case) -> Iterator[Finding]:
    """All is well."""
    yield ok("well", "\x1b[31mred\x1b[0m")


def test_a_check_that_hangs_breaks_or_may_not_look_ends_no_other(tmp_path: Path) -> None:
    case = Ward(tmp_path).case()
    findings = list(examine(case, (hangs, breaks, may_not, well), most_s=1.0))
    HANGS.set()
    assert [(one.check, one.verdict) for one in findings] == [
        ("hangs", "unseen"),
        ("breaks", "ok"),
        ("breaks", "unseen"),
        ("may not", "unseen"),
        ("well", "ok"),
    ]
    assert "/var/lib/edgeapp" in findings[3].said
    assert "\x1b" not in findings[4].said, "what was found cannot steer a terminal"


def test_a_machine_of_which_nothing_is_known_is_looked_at_to_the_end(tmp_path: Path) -> None:
    """No file, no program, no configuration: not one check falls over."""
    ward = Ward(tmp_path)
    ward.remove("/etc")
    findings = list(examine(ward.case()))
    assert len({finding.check for finding in findings}) > 10
    assert not [finding for finding in findings if "bug" in finding.said]
    assert CHECKS


def test_a_program_is_killed_when_it_takes_too_long() -> None:
    ran = run_program(("sleep", "300"), 0.1)
    assert ran.code is None
    assert "did not answer within" in ran.problem
    assert run_program(("no-such-program-here",), 60).code is None
    assert run_program(("echo", "hello"), 60).out == "hello\n"
