"""The demo's own models: as good as the figures beside them say, in scenes they never saw."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgeapp.models.session import inspect

SIZES = (256, 160, 96)


@pytest.fixture(scope="module")
def accuracy(repo: Path) -> ModuleType:
    file = repo / "training" / "conveyor_accuracy.py"
    spec = importlib.util.spec_from_file_location("conveyor_accuracy", file)
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
    said: dict[str, Any] = json.loads((folder / "accuracy.json").read_text())
    return said


@pytest.mark.parametrize("size", SIZES)
def test_each_is_one_small_file_of_its_size(size: int, folder: Path) -> None:
    file = folder / f"conveyor_{size}.onnx"
    inputs, outputs = inspect(file)
    assert [spec.shape for spec in inputs.values()] == [(1, 3, size, size)]
    cells = sum((size // stride) ** 2 for stride in (8, 16, 32))
    assert [spec.shape for spec in outputs.values()] == [(1, cells, 8)]
    assert file.stat().st_size < 800_000
    assert not list(folder.glob("*.data")), "no weights beside the model"


def test_the_labels_beside_them_are_those_of_the_scene(accuracy: ModuleType, folder: Path) -> None:
    labels = (folder / "conveyor_labels.txt").read_text(encoding="utf-8").split()
    assert tuple(labels) == accuracy.LABELS


def test_nothing_held_out_was_trained_on(accuracy: ModuleType, stated: dict[str, Any]) -> None:
    first = stated["trained"]["scene_seeds_from"]
    assert first == accuracy.FIRST_TRAINING_SEED
    low, high = stated["trained"]["light"]
    for name, (seeds, light) in accuracy.HELD_OUT.items():
        assert max(seeds) < first
        assert stated["measured"]["held_out"][name]["scene_seeds"] == [min(seeds), max(seeds)]
        assert name == "same light" or light[1] < low or light[0] > high


def test_the_ladder_declines_gracefully(stated: dict[str, Any]) -> None:
    """Each rung is worth having: less exact than the one above it, but useful."""
    figures = [stated["models"][f"conveyor_{size}.onnx"]["same light"] for size in SIZES]
    exact = [figure["ap50_95"] for figure in figures]
    assert exact == sorted(set(exact), reverse=True)
    assert figures[0]["ap50"] >= 0.9
    assert figures[-1]["ap50"] >= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_they_are_as_good_as_stated(
    size: int, accuracy: ModuleType, folder: Path, stated: dict[str, Any]
) -> None:
    """Measured anew through the session and decoder that a device uses.

    Another version of OpenCV or onnxruntime may turn a score near a threshold, hence 0.02.
    """
    name = f"conveyor_{size}.onnx"
    measured = accuracy.measure(folder / name)
    assert measured.keys() == stated["models"][name].keys()
    for held_out, figures in measured.items():
        said = stated["models"][name][held_out]
        assert figures["bottles"] == said["bottles"]
        for figure in ("ap50", "ap50_95", "f1"):
            assert figures[figure] == pytest.approx(said[figure], abs=0.02), (held_out, figure)


@pytest.mark.slow
def test_a_model_that_knows_less_is_found_out(
    accuracy: ModuleType, folder: Path, stated: dict[str, Any]
) -> None:
    """The measurement tells models apart: the smallest is not taken for the largest."""
    measured = accuracy.measure(folder / "conveyor_96.onnx")["same light"]["ap50_95"]
    said = stated["models"]["conveyor_256.onnx"]["same light"]["ap50_95"]
    assert abs(measured - said) > 0.02
