"""The sound events example: its models as good as stated, its events those of the room."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgeapp.models.session import inspect
from edgeapp.sources.sounds import LABELS, soundscape
from tests.pipelines.device import REPO, Running

MODELS = ("sounds", "sounds_small")


@pytest.fixture(scope="module")
def accuracy(repo: Path) -> ModuleType:
    file = repo / "training" / "sounds_accuracy.py"
    spec = importlib.util.spec_from_file_location("sounds_accuracy", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(repo: Path) -> Path:
    return repo / "pipelines" / "models"


@pytest.fixture(scope="module")
def stated(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "sounds_accuracy.json").read_text())
    return said


@pytest.mark.parametrize("name", MODELS)
def test_each_is_one_small_file(name: str, folder: Path) -> None:
    file = folder / f"{name}.onnx"
    inputs, outputs = inspect(file)
    assert [spec.shape for spec in inputs.values()] == [(1, 96, 64)]
    assert [spec.shape for spec in outputs.values()] == [(1, len(LABELS))]
    assert file.stat().st_size < 200_000
    assert tuple((folder / "sounds_labels.txt").read_text().split()) == LABELS


def test_the_smaller_one_is_much_smaller(folder: Path) -> None:
    large, small = ((folder / f"{name}.onnx").stat().st_size for name in MODELS)
    assert small < large / 2


def test_nothing_held_out_was_trained_on(accuracy: ModuleType, stated: dict[str, Any]) -> None:
    first = stated["trained"]["scene_seeds_from"]
    assert first == accuracy.FIRST_TRAINING_SEED
    for name, (seeds, _) in accuracy.HELD_OUT.items():
        assert max(seeds) < first
        assert stated["measured"]["held_out"][name]["seeds"] == [min(seeds), max(seeds)]


def test_what_is_stated_is_good_enough(stated: dict[str, Any]) -> None:
    """The bounds of the example: nearly all sounds are found, and hardly any is made up."""
    for name in MODELS:
        for held_out, figures in stated["models"][f"{name}.onnx"].items():
            assert figures["sounds"] >= 40
            assert figures["found"] >= 0.95, (name, held_out)
            assert figures["false_per_hour"] <= 20, (name, held_out)
            assert max(figures["onset_off_s"], figures["end_off_s"]) <= 0.25


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_they_find_the_sounds_of_a_room_they_never_heard(name: str, accuracy: ModuleType) -> None:
    """Two minutes of a seed that neither training nor the stated figures know."""
    found = accuracy.events(name, 24_000, 120.0)
    _, truth = soundscape(24_000, 120.0, 16_000.0)
    assert len(truth) >= 12
    missed = [
        sound
        for sound in truth
        if not any(
            event.label == sound.label
            and event.start_s < sound.end_s
            and sound.start_s < event.end_s
            for event in found
        )
    ]
    false = [
        event
        for event in found
        if not any(
            event.label == sound.label
            and event.start_s < sound.end_s
            and sound.start_s < event.end_s
            for sound in truth
        )
    ]
    assert len(missed) <= 1, missed
    assert len(false) <= 1, false


@pytest.mark.slow
def test_the_example_runs_as_it_is(tmp_path: Path) -> None:
    """In a process of its own, in real time, with the embedded broker; what begins also ends."""
    pipeline = REPO / "pipelines" / "sound_events.yaml"
    room = ["--set", "room.pause_s=0.5", "--set", "room.duration_s=12"]
    with Running(tmp_path, pipeline, *room) as running:
        code, summary = running.wait()
    assert code == 0, running.log()
    [ran] = summary["pipelines"]
    assert ran["unaccounted"] == []
    stages = {stage["id"]: stage for stage in ran["stages"]}
    assert stages["listen"]["done"] >= 40
    assert stages["episodes"]["emitted"] >= 4
    assert stages["episodes"]["emitted"] % 2 == 0
    assert stages["tell"]["done"] == stages["episodes"]["emitted"]
