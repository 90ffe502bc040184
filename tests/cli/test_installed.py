"""Commands that name no file are about what is installed."""

import os
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.cli.asking import listening
from edgeapp.cli.installed import installation_of, installed
from edgeapp.config.places import Places
from tests.cli.conftest import PUMP, Start

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration folder of an installation, with one pipeline."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    folder = tmp_path / "etc"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "pump.yaml").write_text(PUMP)
    return folder


def test_run_without_files_is_a_service_that_prints_nothing(start: Start, etc: Path) -> None:
    (etc / "edgeapp.yaml").write_text("device: line-3")

    with start("run", "--for", "300ms") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (exits.OK, "")
    assert "pipeline ended" in err


def test_what_is_asked_for_is_printed_all_the_same(start: Start, etc: Path) -> None:
    with start("run", "--for", "300ms", "--json") as process:
        out, _ = process.communicate(timeout=60)

    assert process.returncode == exits.OK, etc
    assert '"type": "summary"' in out


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_any_pipeline_it_is_said_where_they_belong(
    command: str, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "etc" / "pipelines"

    assert main([command]) == exits.CONFIG
    assert f"{folder}: there is no such folder" in capsys.readouterr().err
    folder.mkdir(parents=True)
    (folder / ".porch.yaml.swp").touch()
    (folder / "porch.yaml~").touch()
    assert main([command]) == exits.CONFIG
    said = capsys.readouterr().err
    assert f"{folder}: there is no pipeline in this folder" in said
    assert f"edgeapp {command} FILE" in said


@pytest.mark.parametrize("named", [False, True])
def test_a_mistake_in_the_device_file_is_shown_also_where_no_pipeline_is(
    named: bool, tmp_path: Path, capsys: Capture
) -> None:
    device = tmp_path / "etc" / "edgeapp.yaml"
    device.parent.mkdir()
    device.write_text("divice: a")

    assert main(["check", *(["--device", str(device)] if named else [])]) == exits.CONFIG
    said = capsys.readouterr().err
    assert f"{device}:1:1: the device file has no option 'divice'" in said
    assert f"{tmp_path}/etc/pipelines: there is no such folder" in said
    assert "2 mistakes" in said


def test_check_without_files_checks_all_that_is_installed(etc: Path, capsys: Capture) -> None:
    (etc / "pipelines" / "second.yml").write_text(PUMP.replace("name: pump", "name: second"))

    assert main(["check"]) == exits.OK
    assert [line.split(":")[1] for line in capsys.readouterr().out.splitlines()] == [
        " pump",
        " second",
    ]
    (etc / "edgeapp.yaml").write_text("divice: a")
    assert main(["check"]) == exits.CONFIG
    assert f"{etc}/edgeapp.yaml:1:1: the device file has no option" in capsys.readouterr().err


# -- which installation ---------------------------------------------------------------------


def installation(folder: Path) -> Places:
    (folder / "etc" / "pipelines").mkdir(parents=True)
    (folder / "etc" / "edgeapp.yaml").write_text("device: a")
    return Places(folder / "etc", folder / "data", folder / "run")


def test_a_person_without_a_configuration_means_that_of_the_device(tmp_path: Path) -> None:
    system = installation(tmp_path / "system")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    mine = Places(tmp_path / "nowhere", tmp_path, None)

    with_none = {"CONFIGURATION_DIRECTORY": str(mine.config)}
    assert installed(with_none, system=system) is None
    assert installed(environment, system=mine) is None or os.geteuid() == 0
    if os.geteuid() != 0:
        assert installed(environment, system=system) == system


def test_ones_own_configuration_goes_before_that_of_the_device(tmp_path: Path) -> None:
    system, own = installation(tmp_path / "system"), installation(tmp_path / "own")
    environment = {
        "CONFIGURATION_DIRECTORY": str(own.config),
        "STATE_DIRECTORY": str(own.data),
        "RUNTIME_DIRECTORY": str(own.run),
    }

    assert installed(environment, system=system) == own


def test_pipelines_of_an_installation_go_with_its_device_file(tmp_path: Path) -> None:
    system = installation(tmp_path / "system")
    environment = {"CONFIGURATION_DIRECTORY": str(tmp_path / "nowhere")}
    inside, outside = system.pipelines / "a.yaml", tmp_path / "b.yaml"

    assert installation_of([inside], environment, system=system) == system
    assert installation_of([inside, outside], environment, system=system) is None
    assert installation_of([], environment, system=system) is None


def test_a_service_whose_files_are_wrong_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask how it is takes no device file that is right."""
    service = installation(tmp_path)
    service.device_file.write_text("{")
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(service.config))
    monkeypatch.setenv("STATE_DIRECTORY", str(service.data))
    service.data.mkdir()
    (service.data / "control.sock").touch()

    assert listening(None) == service.data
    assert listening(Places(service.config, service.data, None)) == service.data
