"""Where things lie for the device, for a person, and for whom systemd gives folders."""

from pathlib import Path

import pytest

from edgeapp.config.places import SYSTEM, pipelines_dir, places, state_dir


def test_what_systemd_gives_comes_first() -> None:
    """Of several folders in a variable, the first."""
    given = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two", "CONFIGURATION_DIRECTORY": "/etc/one"}
    found = places(given, root=True)
    assert (found.data, found.config, found.run) == (
        Path("/var/lib/one"),
        Path("/etc/one"),
        SYSTEM.run,
    )


def test_a_person_has_them_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    found = places({"XDG_STATE_HOME": "/big/state"}, root=False)
    assert found.config == Path("/home/ada/.config/edgeapp")
    assert found.data == Path("/big/state/edgeapp")
    assert found.run is None


def test_who_has_no_home_is_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user that systemd makes up for a service (DynamicUser)."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.expanduser", _no_home)
    assert places({}, root=False) == SYSTEM


def test_pipelines_are_beside_the_device_file() -> None:
    assert pipelines_dir(SYSTEM) == SYSTEM.device_file.parent / "pipelines"
    assert pipelines_dir(SYSTEM.device_file) == SYSTEM.pipelines


def test_the_guard_finds_the_state_of_an_installation_whatever_its_device_file_says() -> None:
    said = Path("/mnt/big")
    assert state_dir(SYSTEM, said) == SYSTEM.data
    assert state_dir(Path("bench.yaml"), said) == said
    assert state_dir(None, said) == said


def _no_home(_: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")
