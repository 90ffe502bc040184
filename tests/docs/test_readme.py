"""What README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeapp.cli.outcome import COMMANDS
from edgeapp.config.device import read_device
from edgeapp.plan.load import load

FILES_OF_THE_READER = {
    "yolox_nano.onnx": "",
    "person_192.onnx": "",
    "pump.csv": "x\n0.1\n0.2\n",
    "sounds.onnx": "",
    "sounds_labels.txt": "smoke_alarm\nsiren\n",
}


def blocks(readme: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def readme(repo: Path) -> Path:
    """The file."""
    return repo / "README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a reader has the files that the examples name."""
    for name, text in FILES_OF_THE_READER.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_pipelines_have_no_mistake(readme: Path, folder: Path) -> None:
    examples = [text for text in blocks(readme, "yaml") if "stages:" in text]
    assert len(examples) == 3, "a camera, vibration, sound"
    for number, text in enumerate(examples):
        (folder / f"{number}.yaml").write_text(text)
    files = sorted(folder.glob("*.yaml"))
    assert len(load(files, device=read_device(), open_models=False)) == 3


def test_device_file_has_no_mistake(readme: Path, folder: Path) -> None:
    (text,) = [text for text in blocks(readme, "yaml") if "stages:" not in text]
    (folder / "device.yaml").write_text(text)
    device = read_device(folder / "device.yaml")
    assert device.device == "line-3"
    assert device.mqtt is not None
    assert device.mqtt.port == 8883


def test_plugin_is_found_and_fits(readme: Path, folder: Path) -> None:
    (text,) = blocks(readme, "python")
    (folder / "plugins").mkdir()
    (folder / "plugins/brightness.py").write_text(text)
    stage = re.search(r"`(\{transform: brighter.*?\})`", readme.read_text(encoding="utf-8"))
    assert stage is not None
    (folder / "bright.yaml").write_text(
        "name: bright\nstages:\n"
        "  camera: {source: conveyor}\n"
        f"  bright: {stage[1]}\n"
        "  keep: {action: save_image, folder: kept}\n"
    )
    (folder / "device.yaml").write_text("device: here\n")
    device = read_device(folder / "device.yaml")
    (plan,) = load([folder / "bright.yaml"], device=device, open_models=False)
    assert plan.stages["bright"].plugin.name == "brighter"


@pytest.mark.slow
def test_plugin_passes_the_type_checker(readme: Path, folder: Path) -> None:
    (text,) = blocks(readme, "python")
    (folder / "brightness.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", folder / "brightness.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_commands_exist(readme: Path) -> None:
    """Each command in README's table has a `--help` of its own."""
    rows = re.findall(r"^\| `edgeapp .*?\|", readme.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(?:edgeapp )?([\w-]+)", row)]
    assert sorted(named) == sorted(COMMANDS)
    listed = subprocess.run(
        [sys.executable, "-m", "edgeapp", "--help"], capture_output=True, text=True, check=True
    ).stdout
    missing = [name for name in named if not re.search(rf"\b{name}\b", listed)]
    assert not missing


def test_links_lead_somewhere(repo: Path) -> None:
    """Links between our documents name files that exist."""
    pages = [repo / "README.md", repo / "CONTRIBUTING.md", *(repo / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken
