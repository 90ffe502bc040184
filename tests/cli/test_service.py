"""`edgeapp service dropins`: shown, written, and left alone when the configuration is wrong."""

from pathlib import Path

import pytest

from edgeapp.cli import exits, main

CAMERA = "name: porch\nstages:\n  seen: {source: camera, device: %s}\n  one: {action: save_image, folder: p}\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a configuration with one pipeline."""
    (tmp_path / "etc/pipelines").mkdir(parents=True)
    (tmp_path / "etc/edgeapp.yaml").write_text("{outbox: {}}")
    (tmp_path / "etc/pipelines/porch.yaml").write_text(CAMERA % "/dev/video0")
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "etc"))
    return tmp_path / "etc"


def test_what_is_installed_is_shown_and_nothing_written(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(installed.rglob("*"))
    assert main(["service", "dropins"]) == exits.OK
    said = capsys.readouterr().out
    assert "# /etc/systemd/system/edgeapp.service.d/20-devices.conf" in said
    assert "DeviceAllow=char-video4linux rw" in said
    assert sorted(installed.rglob("*")) == before


@pytest.mark.usefixtures("installed")
def test_they_are_written_once_and_what_changed_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unit.d"
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    first = capsys.readouterr().out
    assert first.startswith(f"made the folder {out}\nwrote {out}/")
    assert f"wrote {out}/20-devices.conf" in first
    assert "daemon-reload" in first
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    assert capsys.readouterr().out == f"nothing to change in {out}\n"


def test_a_mistake_in_the_configuration_changes_nothing(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unit.d"
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    before = {path.name: path.read_text() for path in out.iterdir()}
    (installed / "pipelines/porch.yaml").write_text("name: porch\nstages: {}\n")
    capsys.readouterr()
    assert main(["service", "dropins", "--out", str(out)]) == exits.CONFIG
    assert {path.name: path.read_text() for path in out.iterdir()} == before


def test_without_a_pipeline_there_are_no_devices(installed: Path, tmp_path: Path) -> None:
    """A device may be installed before anybody knows what it will do; and what is gone is closed."""
    out = tmp_path / "unit.d"
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    assert (out / "20-devices.conf").exists()
    (installed / "pipelines/porch.yaml").unlink()
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    assert not (out / "20-devices.conf").exists()


@pytest.mark.usefixtures("installed")
def test_a_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["service", "dropins", "--out", str(tmp_path / "file")]) == exits.FAILED
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_every_folder_that_is_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them may be a slip of the pen."""
    out = tmp_path / "nowhere" / "unit.d"
    assert main(["service", "dropins", "--out", str(out)]) == exits.OK
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"made the folder {out.parent}", f"made the folder {out}"]


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        (["config", "show"], False),
        (["service", "dropins"], False),
        (["check"], False),
        (["run"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_that_nothing_was_started_is_said_by_what_would_have_started_something(
    command: list[str], starts: bool, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "edgeapp.yaml").write_text("divice: a")
    assert main(command) == exits.CONFIG
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"edgeapp: 1 mistake{'; nothing was started' * starts}"


def test_the_help_of_dropins_names_its_files_and_is_broken_by_the_terminal_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["service", "dropins", "--help"]) == exits.OK
    said = capsys.readouterr().out
    assert said.startswith("Usage: edgeapp service dropins [OPTIONS] [FILE...]\n")
    assert "ARGS" not in said
    assert "their kind; other files in it stay" in said
