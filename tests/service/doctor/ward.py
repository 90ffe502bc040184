"""Machines for the doctor to look at: trees of real files, and programs that say what they are told."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.finding import Check, Finding
from edgeapp.service.doctor.machine import Machine, Ran, Run

PASSWD = "root:x:0:0::/root:/bin/sh\nedgeapp:x:990:991::/:/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/sh\n"
GROUP = "root:x:0:\nedgeapp:x:991:\nann:x:1000:\nvideo:x:44:ann\naudio:x:29:\n"
UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "MainPID": "0",
    "User": "edgeapp",
    "SupplementaryGroups": "",
}


class Ward:
    """A machine below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs: dict[str, Ran] = {}
        """What a program says, by the beginning of its command line."""
        self.answer: Run | None = None
        """Who answers for all programs, in place of these."""
        self.write("/etc/passwd", PASSWD)
        self.write("/etc/group", GROUP)
        self.data = root / "var/lib/edgeapp"
        self.data.mkdir(parents=True, mode=0o700)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Put a file there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def remove(self, path: str) -> None:
        """Take a folder away."""
        shutil.rmtree(self.root / path.lstrip("/"))

    def run(self, command: Sequence[str], most_s: float) -> Ran:
        """Say what is prepared."""
        if self.answer is not None:
            return self.answer(command, most_s)
        line = " ".join(command)
        for begin, ran in self.programs.items():
            if begin in line:
                return ran
        return Ran(None, problem=f"there is no program '{command[0]}'")

    def case(self, *, uid: int | None = None, synchronised: bool = True, **facts: Any) -> Case:
        """What the doctor knows of it; `facts` as of `Case`."""
        machine = Machine(
            self.root,
            self.run,
            environment={},
            uid=os.geteuid() if uid is None else uid,
            is_device=lambda _: True,
            wall_s=lambda: 1_800_000_000.0,
            synchronised=lambda: synchronised,
        )
        return replace(Case(machine, self.data), **facts)

    def installed(
        self, *, uid: int | None = None, unit: Mapping[str, str] = {}, **facts: Any
    ) -> Case:
        """With the service on it."""
        return self.case(uid=uid, unit={**UNIT, **unit}, **facts)


def found(check: Check, case: Case) -> list[Finding]:
    """What a check finds; each failure says what puts it right."""
    findings = list(check(case))
    for finding in findings:
        if finding.verdict == "failed":
            assert finding.fix, finding
        assert finding.said
        assert not finding.said.endswith(".")
    return findings


def verdicts(check: Check, case: Case) -> list[tuple[str, str]]:
    """What was looked at, and how it is."""
    return [(finding.check, finding.verdict) for finding in found(check, case)]
