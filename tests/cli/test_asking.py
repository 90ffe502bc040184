"""Which of the running services a command asks."""

import socket
from pathlib import Path

import pytest

from edgeapp.cli import asking, exits
from edgeapp.cli.asking import _service
from edgeapp.config.places import SYSTEM, Places
from edgeapp.errors import Unavailable
from edgeapp.service.control.client import ask


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


def test_where_nothing_listens_the_installed_service_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Places(tmp_path / "etc", tmp_path / "data", tmp_path / "run")
    monkeypatch.setattr("edgeapp.cli.installed.installed", lambda: there)
    monkeypatch.setattr(asking, "SERVICES", tmp_path / "none")
    assert asking.listening(None) == there.run


def test_a_service_that_does_not_run_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.socket.connect", nobody)
    assert SYSTEM.run is not None
    with pytest.raises(Unavailable, match=r"the service does not run: .* systemctl start edgeapp"):
        list(ask(SYSTEM.run, "status", {}))
