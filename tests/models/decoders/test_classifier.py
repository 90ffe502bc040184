"""The classifier: on made-up answers, and on tiny models whose answer is known by construction."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from edgeapp.api import BadPacket, FakeClock, Image, Labels, TensorSpec, View
from edgeapp.models.decoders.classifier import Classifier, ClassifierOptions
from edgeapp.models.session import Pool

BGR = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}
RGB_LABELS = ["red", "green", "blue"]


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


INPUT = {"x": spec(1, 3, 8, 8)}


def built(**options: Any) -> Classifier:
    checked = ClassifierOptions.model_validate({"labels": ["cat", "dog"]} | options)
    return Classifier(checked, None)  # type: ignore[arg-type] # asks nothing of its context


def answer(values: list[float], **options: Any) -> Labels:
    """What the classifier says, given what the model answered."""
    made = built(**options)
    made.accept(INPUT, {"y": spec(1, len(values))})
    image = Image(np.zeros((8, 8, 3), np.uint8))
    feed = made.feed(image, into={"x": np.zeros((1, 3, 8, 8), np.float32)})
    return made.decode({"y": np.array([values], np.float32)}, feed)


def color_model(folder: Path, *, planes: bool, dtype: int, size: tuple[int, int] = (6, 4)) -> Path:
    """A model that answers with ten times the mean of each channel of its input."""
    height, width = size
    shape = [1, 3, height, width] if planes else [1, height, width, 3]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[2, 3] if planes else [1, 2], keepdims=0),
        helper.make_node("Mul", ["m", "ten"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        initializer=[helper.make_tensor("ten", TensorProto.FLOAT, [1], [10.0])],
    )
    file = folder / "colors.onnx"
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(made, file)
    return file


def classified(file: Path, image: Image, **options: Any) -> tuple[Labels, Any]:
    """What the classifier says of a picture with a real model, and what the model was fed."""
    made = built(**options)
    with Pool(FakeClock()).lease(file) as session:
        made.accept(session.inputs, session.outputs)
        feed = made.feed(image, into=session.into)
        return made.decode(session.run(), feed), session.into["x"].copy()


def picture(color: tuple[int, int, int]) -> Image:
    return Image(np.full((10, 20, 3), color, np.uint8))


@pytest.mark.parametrize("planes", [True, False])
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.UINT8])
@pytest.mark.parametrize("color", BGR)
def test_a_model_of_any_layout_tells_colors(
    tmp_path: Path, color: str, dtype: int, *, planes: bool
) -> None:
    """Red is the first channel of a model that reads RGB, wherever its channels are."""
    file = color_model(tmp_path, planes=planes, dtype=dtype)
    labels, _ = classified(file, picture(BGR[color]), labels=RGB_LABELS)
    [(best, score)] = labels.best()
    assert best == color
    assert score > 0.99
    assert labels.image is not None


def test_a_model_that_reads_bgr(tmp_path: Path) -> None:
    file = color_model(tmp_path, planes=True, dtype=TensorProto.FLOAT)
    labels, _ = classified(file, picture(BGR["red"]), labels=RGB_LABELS[::-1], color="bgr")
    assert labels.best()[0][0] == "red"


@pytest.mark.parametrize("planes", [True, False])
def test_numbers_are_as_the_model_wants_them(tmp_path: Path, *, planes: bool) -> None:
    """As torchvision has it: into 0..1, less the mean, by the deviation, channel by channel."""
    file = color_model(tmp_path, planes=planes, dtype=TensorProto.FLOAT)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    _, fed = classified(
        file, picture((10, 100, 200)), labels=RGB_LABELS, mean=mean, std=std, activation="sigmoid"
    )
    channels = fed[0, :, 2, 3] if planes else fed[0, 2, 3]
    expected = (np.array([200, 100, 10]) / 255 - mean) / std
    assert channels == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("value_range", "low", "high"), [("0..1", 0, 1), ("-1..1", -1, 1), ("0..255", 0, 255)]
)
def test_value_range(tmp_path: Path, value_range: str, low: float, high: float) -> None:
    file = color_model(tmp_path, planes=True, dtype=TensorProto.FLOAT)
    for level, expected in ((0, low), (255, high)):
        options = {"labels": RGB_LABELS, "value_range": value_range, "activation": "sigmoid"}
        _, fed = classified(file, picture((level, level, level)), **options)
        assert fed == pytest.approx(expected)


def test_grey_models_read_grey() -> None:
    made = built()
    made.accept({"x": spec(1, 4, 4, 1)}, {"y": spec(1, 2)})
    tensor = np.zeros((1, 4, 4, 1), np.float32)
    made.feed(picture((0, 255, 0)), into={"x": tensor})
    assert tensor == pytest.approx(150 / 255, abs=0.01)  # the share of green in luma, BT.601


@pytest.mark.parametrize(
    ("fit", "columns"),
    [
        ("stretch", [1, 1, 0, 0, 0, 0, 0.5, 0.5]),
        ("crop", [0, 0, 0, 0, 0, 0, 0, 0]),
        ("letterbox", [1, 1, 0, 0, 0, 0, 0.5, 0.5]),
    ],
)
def test_fit(fit: str, columns: list[float]) -> None:
    """A picture of 32 x 8: a white quarter, a black half, a grey quarter; the model sees 8 x 8."""
    pixels = np.zeros((8, 32, 3), np.uint8)
    pixels[:, :8], pixels[:, 24:] = 255, 128
    made = built(fit=fit)
    made.accept(INPUT, {"y": spec(1, 2)})
    tensor = np.zeros((1, 3, 8, 8), np.float32)
    made.feed(Image(pixels), into={"x": tensor})
    assert tensor[0, 0, 4] == pytest.approx(columns, abs=0.01)
    assert (tensor[0, 0, 0, 0] == pytest.approx(114 / 255)) == (fit == "letterbox")


def test_softmax_sigmoid_and_none() -> None:
    assert answer([2.0, 0.0]).scores == pytest.approx([0.880797, 0.119203])
    assert answer([2.0, 0.0], activation="sigmoid").scores == pytest.approx([0.880797, 0.5])
    assert answer([0.2, 0.9], activation="none").scores == pytest.approx([0.2, 0.9])


def test_huge_answers_are_no_trouble() -> None:
    assert answer([1e4, -1e4]).scores.tolist() == [1, 0]
    assert answer([1e4, -1e4], activation="sigmoid").scores.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "activation", "complaint"),
    [
        ([0.3, 0.7], "softmax", "scores already"),
        ([3.0, -2.0], "none", "between -2 and 3"),
        ([float("nan"), 0.0], "sigmoid", "not finite"),
        ([float("inf"), 0.0], "softmax", "not finite"),
    ],
)
def test_answers_of_another_kind_are_no_labels(
    values: list[float], activation: str, complaint: str
) -> None:
    """Softmax twice, or scores that are none: said, not shown as a result."""
    with pytest.raises(BadPacket, match=complaint):
        answer(values, activation=activation)


def test_a_vector_beside_the_scores_is_no_trouble() -> None:
    made = built()
    made.accept(INPUT, {"features": spec(1, 512), "scores": spec(1, 2, 1, 1)})
    image = Image(np.zeros((8, 8, 3), np.uint8), View(0.5, 0, 0.5, 1))
    outputs: dict[str, Any] = {
        "features": np.zeros((1, 512)),
        "scores": np.array([[[[0.0]], [[9.0]]]], np.float32),
    }
    labels = made.decode(outputs, image)
    assert labels.best()[0][0] == "dog"
    assert labels.image is image


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "complaint"),
    [
        ({"x": spec(1, 3, 8, None)}, {"y": spec(1, 2)}, {}, "leaves its height or width open"),
        ({"x": spec(1, 4, 8, 8)}, {"y": spec(1, 2)}, {}, "neither 1 nor 3 channels"),
        ({"x": spec(1, 3, 8, 8, dtype="int8")}, {"y": spec(1, 2)}, {}, "float32 or uint8"),
        ({"x": spec(2, 3, 8, 8)}, {"y": spec(1, 2)}, {}, "expected one input"),
        (INPUT | {"z": spec(1)}, {"y": spec(1, 2)}, {}, "expected one input"),
        (INPUT, {"y": spec(1, 3)}, {}, "knows 3 classes, but 'labels' names 2"),
        (INPUT, {"y": spec(1, 3, 4)}, {}, "one output of"),
        (INPUT, {"y": spec(1, 2, dtype="uint8")}, {}, "floats"),
        (INPUT, {"y": spec(None, None)}, {}, "one output of"),
        (INPUT, {"y": spec(1, 1)}, {"labels": ["cat"]}, "'activation: sigmoid'"),
        (INPUT, {"y": spec(1, 2)}, {"color": "grey"}, "color cannot be grey"),
        ({"x": spec(1, 1, 8, 8)}, {"y": spec(1, 2)}, {"color": "rgb"}, "1 channels"),
        ({"x": spec(1, 1, 8, 8)}, {"y": spec(1, 2)}, {"mean": [0.1, 0.2, 0.3]}, "one number each"),
        (
            {"x": spec(1, 8, 8, 3, dtype="uint8")},
            {"y": spec(1, 2)},
            {"value_range": "0..1"},
            "leave out value_range",
        ),
    ],
)
def test_model_that_does_not_fit_is_refused_with_the_reason(
    inputs: dict[str, TensorSpec],
    outputs: dict[str, TensorSpec],
    options: dict[str, Any],
    complaint: str,
) -> None:
    made = built(**options)
    with pytest.raises(ValueError, match=complaint):
        made.accept(inputs, outputs)


def test_a_deviation_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="larger than 0"):
        built(std=[1, 0, 1])
