"""The folder of a service that belongs to somebody else: nobody may even look into it."""

from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from tests.cli.conftest import PUMP


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of which looking into says that it is not allowed; root would be let in."""
    folder = tmp_path / "locked"
    exists = Path.exists

    def refused(path: Path) -> bool:
        if folder in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    file = tmp_path / "device.yaml"
    file.write_text(f"device: d\ndata_dir: {folder}\n")
    return file


def test_files_are_checked_without_its_costs(locked: Path, tmp_path: Path) -> None:
    pump = tmp_path / "pump.yaml"
    pump.write_text(PUMP)
    assert main(["check", str(pump), "--device", str(locked)]) == exits.OK


def test_a_recording_is_made_without_its_load(locked: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    given = ["thermal", "record", "--for", "300ms", "--every", "100ms", "--out", str(out)]
    assert main([*given, "--device", str(locked)]) == exits.OK
    assert out.stat().st_size


def test_status_is_a_sentence(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--device", str(locked)]) == exits.UNAVAILABLE
    assert capsys.readouterr().err.startswith("edgeapp: ")
