"""The unit as systemd sees it: a copy with drop-ins, checked and rated without running anything."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

NAME = "edgeapp.service"
_PROGRAMS = ("/opt/edgeapp/current/bin/edgeapp", "/opt/edgeapp/guard")
"""What the unit calls, which is not installed where the tests run."""


class Settings(NamedTuple):
    """The settings of a unit file, in their order; names may come several times."""

    pairs: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """The values of a setting."""
        return [value for key, value in self.pairs if key == name]

    def one(self, name: str) -> str:
        """The value of a setting that is there once."""
        (value,) = self.all(name)
        return value


def settings(text: str) -> Settings:
    """What a unit file sets."""
    lines = (line for line in text.splitlines() if line and not line.startswith(("#", "[")))
    return Settings(tuple((key, value) for key, _, value in (x.partition("=") for x in lines)))


def laid_out(folder: Path, unit: Path, drop_ins: Mapping[str, str] | None = None) -> Path:
    """A copy of the unit with drop-ins, which calls a program that is there."""
    text = unit.read_text()
    for program in _PROGRAMS:
        text = text.replace(program, "/bin/true")
    shutil.rmtree(folder, ignore_errors=True)
    beside = folder / f"{NAME}.d"
    beside.mkdir(parents=True)
    (folder / NAME).write_text(text)
    for name, content in (drop_ins or {}).items():
        (beside / name).write_text(content)
    return folder / NAME


def verify(analyze: str, unit: Path) -> list[str]:
    """What `systemd-analyze verify` finds wrong."""
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    found = done.stderr.splitlines()
    return found if found or not done.returncode else [f"exit code {done.returncode}"]


def exposure(analyze: str, unit: Path) -> float:
    """The overall exposure level, 0 (safe) to 10."""
    said = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    last = said.stdout.strip().splitlines()[-1]
    return float(last.partition(f"{NAME}:")[2].split()[0])
