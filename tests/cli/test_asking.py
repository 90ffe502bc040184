"""Which of the running services a command asks."""

import socket
from pathlib import Path

import pytest

from edgeapp.cli import exits
from edgeapp.cli.asking import _service


def listening(folder: Path) -> Path:
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(folder / "control.sock"))
    return folder


def test_the_one_service_that_runs_is_asked(tmp_path: Path) -> None:
    assert _service(tmp_path / "run") is None
    porch = listening(tmp_path / "run" / "porch")
    assert _service(tmp_path / "run") == porch


def test_of_several_one_must_be_named(tmp_path: Path) -> None:
    for name in ("porch", "pump"):
        listening(tmp_path / name)
    with pytest.raises(exits.Quit, match="several services run: say which") as caught:
        _service(tmp_path)
    assert caught.value.code == exits.USAGE
