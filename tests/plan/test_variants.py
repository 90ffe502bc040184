from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgeapp.plan.graph import Plan

Stages = Callable[..., Plan]
Mistakes = Callable[..., list[str]]

CAM = "cam: {source: cam}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with one input and one output, beside the pipeline's file."""
    file = tmp_path / "good.onnx"
    _write(file, ["x"])
    return file


def _write(file: Path, inputs: list[str]) -> None:
    """Write `y = x` or, with two inputs, `y = x + z`."""
    graph = helper.make_graph(
        [helper.make_node("Identity" if len(inputs) == 1 else "Add", inputs, ["y"])],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), file)


@pytest.mark.usefixtures("model")
def test_variants_have_names_and_options_of_their_own(stages: Stages) -> None:
    plan = stages(
        CAM,
        "net: {model: guess, speed: 3, variants: [good.onnx, {file: good.onnx, name: slow, speed: 1}]}",
        open_models=True,
    )

    net = plan.stages["net"]
    assert [(v.name, v.options.speed) for v in net.variants] == [("good", 3), ("slow", 1)]  # type: ignore[attr-defined] # of a drop-in plugin
    assert all(v.file.is_absolute() for v in net.variants)
    assert net.options is net.variants[0].options


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        (
            "",
            "stage 'net' names no model file = add 'variants:' with a list of model files, best first",
        ),
        (
            "bundle: person",
            "bundles cannot be read by this version = list the model's files under 'variants'",
        ),
        (
            "variants: good.onnx",
            (
                "'variants' must be a list of model files, best first, but it is 'good.onnx'"
                " = write '- file: model.onnx' below it"
            ),
        ),
        (
            "variants: []",
            (
                "'variants' must be a list of model files, best first, but it is an empty list"
                " = write '- file: model.onnx' below it"
            ),
        ),
        ("variants: [{name: a}]", "this variant has no 'file' = add 'file: model.onnx'"),
        ("variants: [[a]]", "a variant must be a file name, or keys with 'file' among them"),
        ("variants: ['']", "'file' of a variant must be text, but it is ''"),
        (
            "variants: [good.onnx, {file: good.onnx}]",
            "there are two variants called 'good' = give one of them another 'name'",
        ),
        (
            "variants: [{file: good.onnx, speed: -1}]",
            "stage 'net': speed must be a number greater than 0, not -1",
        ),
        (
            "variants: [{file: good.onnx, sped: 1}]",
            "model 'guess' has no option 'sped' = did you mean 'speed'? Options: speed",
        ),
    ],
)
@pytest.mark.usefixtures("model")
def test_wrong_variants(mistakes: Mistakes, keys: str, wrong: str) -> None:
    assert mistakes(CAM, f"net: {{model: guess, {keys}}}", open_models=True) == [f"2: {wrong}"]


def test_a_missing_model_file_is_named(mistakes: Mistakes, tmp_path: Path) -> None:
    remedy = "copy it there; a relative path begins in the folder of the pipeline file"
    assert mistakes(CAM, "net: {model: guess, variants: [none.onnx]}") == [
        f"2: there is no model file '{tmp_path / 'none.onnx'}' = {remedy}"
    ]


def test_a_mistake_of_the_stage_is_told_once_for_all_its_variants(
    mistakes: Mistakes, model: Path
) -> None:
    found = mistakes(
        CAM, f"net: {{model: guess, speed: x, variants: ['{model}', {{file: '{model}', name: b}}]}}"
    )

    assert found == ["2: stage 'net': speed must be a number greater than 0, not 'x'"]


def test_random_bytes_are_no_model(mistakes: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07junk" * 9)

    [wrong] = mistakes(CAM, "net: {model: guess, variants: [bad.onnx]}", open_models=True)

    assert wrong.startswith("2: 'bad.onnx' is not an ONNX model")


def test_a_model_that_the_decoder_cannot_use_says_why(mistakes: Mistakes, tmp_path: Path) -> None:
    _write(tmp_path / "two.onnx", ["x", "z"])

    assert mistakes(CAM, "net: {model: guess, variants: [two.onnx]}", open_models=True) == [
        "2: model 'guess' cannot use 'two.onnx': it wants a model with one input"
    ]


def test_models_are_not_opened_unless_asked(stages: Stages, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"junk")

    plan = stages(CAM, "net: {model: guess, variants: [bad.onnx]}", open_models=False)

    assert plan.stages["net"].variants[0].name == "bad"
