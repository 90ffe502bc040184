"""Pipelines that need no hardware, and a device that writes only into the test's folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PUMP = """\
name: pump
about: Listen to a bearing.
stages:
  bearing: {source: bearing}
  second: {transform: window, length_s: 0.2}
  features: {transform: features}
  trend: {output: jsonl, file: trend.jsonl}
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "etc"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("EDGEAPP_LOG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    """A vibration pipeline that writes to a file."""
    file = tmp_path / "pump.yaml"
    file.write_text(PUMP)
    return file


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `edgeapp` in a process of its own, as a user would."""

    def popen(*arguments: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "edgeapp", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )

    return popen
