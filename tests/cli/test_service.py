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
