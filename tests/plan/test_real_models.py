"""Models of others, as users bring them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeapp.plan.graph import Plan

Stages = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

CAM = "cam: {source: cam}"


@pytest.fixture
def models(data_dir: Path) -> Path:
    """The folder of models."""
    folder = data_dir / "models"
    if not folder.is_dir():
        pytest.skip(f"no models at {folder}")
    return folder


def test_a_ladder_of_two_real_detectors_is_planned(stages: Stages, models: Path) -> None:
    plan = stages(
        CAM,
        f"net: {{model: detector, variants: ['{models}/yolox_nano.onnx', "
        f"{{file: '{models}/lightweight_person_192.onnx', labels: [person]}}]}}",
        open_models=True,
    )

    net = plan.stages["net"]
    assert [v.name for v in net.variants] == ["yolox_nano", "lightweight_person_192"]
    assert net.variants[1].options.labels == ("person",)  # type: ignore[attr-defined] # of the detector


@pytest.mark.parametrize("name", ["silero_vad", "deeplabv3_257"])
def test_a_model_for_something_else_is_refused_in_a_sentence(
    mistakes: Mistakes, models: Path, name: str
) -> None:
    [wrong] = mistakes(
        CAM, f"net: {{model: detector, variants: ['{models}/{name}.onnx']}}", open_models=True
    )

    assert wrong.startswith(f"2: model 'detector' cannot use '{name}.onnx': ")
    assert "Traceback" not in wrong


def test_labels_of_the_wrong_number_are_told_at_the_variant(
    mistakes: Mistakes, models: Path
) -> None:
    [wrong] = mistakes(
        CAM,
        f"net: {{model: detector, labels: [a, b], variants: ['{models}/yolox_nano.onnx']}}",
        open_models=True,
    )

    assert wrong.startswith("2: model 'detector' cannot use 'yolox_nano.onnx': ")
    assert "80" in wrong


def test_a_model_for_another_runtime_is_no_onnx_model(mistakes: Mistakes, models: Path) -> None:
    [wrong] = mistakes(
        CAM, f"net: {{model: detector, variants: ['{models}/yamnet.tflite']}}", open_models=True
    )

    assert wrong.startswith("2: 'yamnet.tflite'")
