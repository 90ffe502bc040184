"""Commands that name no file are about what is installed."""

from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from tests.cli.conftest import PUMP, Start

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The configuration folder of an installation, with one pipeline."""
    folder = tmp_path / "etc"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "pump.yaml").write_text(PUMP)
    return folder


def test_run_without_files_is_a_service_that_prints_nothing(start: Start, installed: Path) -> None:
    (installed / "edgeapp.yaml").write_text("device: line-3")

    with start("run", "--for", "1s") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (exits.OK, "")
    assert "pipeline ended" in err


def test_what_is_asked_for_is_printed_all_the_same(start: Start, installed: Path) -> None:
    with start("run", "--for", "1s", "--json") as process:
        out, _ = process.communicate(timeout=60)

    assert process.returncode == exits.OK, installed
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


def test_check_without_files_checks_all_that_is_installed(installed: Path, capsys: Capture) -> None:
    (installed / "pipelines" / "second.yml").write_text(PUMP.replace("name: pump", "name: second"))

    assert main(["check"]) == exits.OK
    assert [line.split(":")[1] for line in capsys.readouterr().out.splitlines()] == [
        " pump",
        " second",
    ]
    (installed / "edgeapp.yaml").write_text("divice: a")
    assert main(["check"]) == exits.CONFIG
    assert f"{installed}/edgeapp.yaml:1:1: the device file has no option" in capsys.readouterr().err
