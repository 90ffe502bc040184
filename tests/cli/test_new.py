"""`new`: what each template makes passes `check` and `test` as it is, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.cli.new import _what_next

Capture = pytest.CaptureFixture[str]
REPO = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO)}
TEMPLATES = ("camera", "machine", "sound", "plugin")


def edgeapp(folder: Path, *arguments: str) -> str:
    """Run a command as a user in a folder would; returns what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "edgeapp", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_project_passes_check_and_test_unedited(template: str, tmp_path: Path) -> None:
    made = edgeapp(tmp_path, "new", template, "My-App")
    project = tmp_path / "My-App"
    assert f"{Path('My-App')} is ready" in made
    assert edgeapp(project, "check", "pipeline.yaml").startswith("ok: my-app: ")
    assert "1 case, all passed" in edgeapp(project, "test")
    assert "1 case, all passed" in edgeapp(tmp_path, "test", "My-App")  # from elsewhere, too
    [expected] = (project / "tests").glob("*.expected.jsonl")
    messages = [json.loads(line) for line in expected.read_text().splitlines()]
    assert {message["stage"] for message in messages} >= {
        "warn" if template == "machine" else "tell"
    }
    assert not (project / "data").exists()
    assert not list(project.rglob("*.template"))
    assert "NAME" not in "".join(
        path.read_text() for path in project.rglob("*") if path.suffix in {".md", ".yaml"}
    )


@pytest.mark.slow
def test_the_plugin_passes_its_own_pytest(tmp_path: Path) -> None:
    edgeapp(tmp_path, "new", "plugin", "mine")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


@pytest.mark.slow
def test_a_changed_project_fails_its_test(tmp_path: Path) -> None:
    """So that the case is one that can fail."""
    edgeapp(tmp_path, "new", "sound", "room")
    project = tmp_path / "room"
    pipeline = project / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("length_s: 0.5", "length_s: 0.25"))
    ran = subprocess.run(
        [sys.executable, "-m", "edgeapp", "test"],
        cwd=project,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == exits.FAILED
    assert "is not as expected" in ran.stdout


def test_a_folder_with_something_in_it_is_left_alone(capsys: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    assert main(["new", "camera", str(folder)]) == exits.USAGE
    assert "is there already, and is no empty folder" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_file_of_that_name_is_left_alone(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "app").write_text("precious")
    assert main(["new", "camera", str(tmp_path / "app")]) == exits.USAGE
    assert (tmp_path / "app").read_text() == "precious"
    assert "is no empty folder" in capsys.readouterr().err


def test_an_unknown_template_names_those_that_there_are(capsys: Capture, tmp_path: Path) -> None:
    assert main(["new", "robot", str(tmp_path / "app")]) == exits.USAGE
    said = capsys.readouterr().err
    assert all(template in said for template in TEMPLATES)


def test_any_name_is_quoted_for_the_shell() -> None:
    said = "\n".join(_what_next(Path("a b\x1b[2J"), "camera"))
    assert "cd 'a b" in said
    assert "\x1b" not in said


def test_where_nothing_can_be_written(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["new", "sound", str(tmp_path / "file" / "app")]) == exits.UNAVAILABLE
    assert "cannot be written: Not a directory" in capsys.readouterr().err


@pytest.mark.slow
def test_the_wheel_brings_the_templates_and_their_model(repo: Path, tmp_path: Path) -> None:
    """Installed from it, with nothing of the checkout on the path."""
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w",
         tmp_path, repo],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr[-200:]}")
    [wheel] = tmp_path.glob("*.whl")
    import zipfile

    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    ran = subprocess.run(
        [sys.executable, "-m", "edgeapp", "new", "camera", "app"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    model = tmp_path / "app" / "models" / "conveyor_160.onnx"
    assert model.read_bytes() == (repo / "pipelines" / "models" / model.name).read_bytes()
