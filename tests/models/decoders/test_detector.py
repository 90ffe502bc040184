"""The detector on made-up outputs: layouts, what it accepts, and where its boxes end up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import Detections, Image, Surroundings, TensorSpec, View
from edgeapp.models.decoders.detector import Detector, DetectorOptions
from edgeapp.models.decoders.labels import COCO

CELLS = 84  # of a 64 x 64 input: 8 x 8 + 4 x 4 + 2 x 2
Shape = tuple[int | None, ...]


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


INPUT = {"images": spec(1, 3, 64, 64)}


def built(**options: Any) -> Detector:
    return Detector(DetectorOptions.model_validate(options), None)  # type: ignore[arg-type] # unused


def detector(outputs: dict[str, TensorSpec], **options: Any) -> Detector:
    made = built(**options)
    made.accept(INPUT, outputs)
    return made


def answer(made: Detector, outputs: dict[str, Any], image: Image | None = None) -> Detections:
    """What the detector says of a square picture, given what the model answered."""
    image = image or Image(np.zeros((64, 64, 3), np.uint8))
    feed = made.feed(image, into={"images": np.zeros((1, 3, 64, 64), np.float32)})
    return made.decode(outputs, feed)


def yolox_answer(*rows: tuple[int, list[float]]) -> dict[str, Any]:
    """An answer of two classes with some rows filled in."""
    table = np.zeros((1, CELLS, 7), np.float32)
    for row, values in rows:
        table[0, row] = values
    return {"output": table}


def test_yolox_box_is_where_its_cell_says() -> None:
    """Cell (2, 1) of the stride-8 grid, half a cell further, 16 x 32 pixels."""
    made = detector({"output": spec(1, CELLS, 7)}, labels=("cat", "dog"))
    row = [0.5, 0.5, np.log(2), np.log(4), 0.9, 0.1, 0.8]
    found = answer(made, yolox_answer((1 * 8 + 2, row)))
    assert found.xyxy[0] == pytest.approx([12 / 64, 0, 28 / 64, 28 / 64])
    assert found.scores[0] == pytest.approx(0.72)
    assert found.labels[found.classes[0]] == "dog"


def test_yolox_reads_its_coarser_grids_after_the_finer_ones() -> None:
    made = detector({"output": spec(1, CELLS, 7)}, labels=("cat", "dog"))
    row = [0.0, 0.0, 0.0, 0.0, 0.9, 0.9, 0.0]
    found = answer(made, yolox_answer((64 + 5, row), (80 + 3, [*row[:4], 1.0, 0.9, 0.0])))
    assert found.xyxy[0] == pytest.approx([0.25, 0.25, 0.75, 0.75])  # stride 32, cell (1, 1)
    assert found.xyxy[1] == pytest.approx([0.125, 0.125, 0.375, 0.375])  # stride 16, cell (1, 1)


def test_yolov8_box_is_in_pixels() -> None:
    made = detector({"output0": spec(1, 6, CELLS)}, labels=("cat", "dog"))
    table = np.zeros((1, 6, CELLS), np.float32)
    table[0, :, 7] = [32, 16, 8, 16, 0.2, 0.7]
    found = answer(made, {"output0": table})
    assert found.xyxy.tolist() == [pytest.approx([28 / 64, 8 / 64, 36 / 64, 24 / 64])]
    assert found.scores[0] == pytest.approx(0.7)
    assert found.classes.tolist() == [1]


def test_boxes_with_classes() -> None:
    """As torchvision exports them: any number of boxes, classes as whole numbers."""
    made = detector(
        {"boxes": spec(None, 4), "labels": spec(None, dtype="int64"), "scores": spec(None)},
        labels=("cat", "dog"),
    )
    found = answer(
        made,
        {
            "boxes": np.array([[0, 0, 32, 64], [1, 1, 2, 2]], np.float32),
            "labels": np.array([1, 0]),
            "scores": np.array([0.6, 0.1], np.float32),
        },
    )
    assert found.xyxy.tolist() == [[0, 0, 0.5, 1]]
    assert found.classes.tolist() == [1]


def test_boxes_with_a_score_for_each_class() -> None:
    made = detector({"boxes": spec(1, 3, 4), "scores": spec(1, 3, 2)}, labels=("cat", "dog"))
    scores = np.array([[[0.9, 0.1], [0.2, 0.5], [0, 0]]], np.float32)
    boxes = np.array([[[0, 0, 32, 32], [32, 32, 64, 64], [0, 0, 64, 64]]], np.float32)
    found = answer(made, {"boxes": boxes, "scores": scores})
    assert found.classes.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])


def test_class_without_a_label_is_left_out() -> None:
    made = detector(
        {"boxes": spec(1, 1, 4), "classes": spec(1, 1), "scores": spec(1, 1)}, labels=("cat",)
    )
    outputs = {
        "boxes": np.array([[[0, 0, 32, 32]]], np.float32),
        "classes": np.array([[1]], np.float32),
        "scores": np.array([[0.9]], np.float32),
    }
    assert len(answer(made, outputs)) == 0


def test_boxes_are_fractions_of_the_source_through_a_crop() -> None:
    """The model saw the right half; its full-size box is that half of the source."""
    made = detector({"output0": spec(1, 5, CELLS)}, labels=("cat",))
    table = np.zeros((1, 5, CELLS), np.float32)
    table[0, :, 0] = [32, 32, 64, 64, 0.9]
    half = Image(np.zeros((64, 64, 3), np.uint8), View(0.5, 0, 0.5, 1))
    assert answer(made, {"output0": table}, half).xyxy.tolist() == [[0.5, 0, 1, 1]]


def test_boxes_are_cut_at_the_edges_and_gone_when_all_outside() -> None:
    """A wide picture in the middle of a square input: the borders hold nothing real."""
    made = detector({"output0": spec(1, 5, CELLS)}, labels=("cat",))
    table = np.zeros((1, 5, CELLS), np.float32)
    table[0, :, 0] = [32, 32, 100, 100, 0.9]
    table[0, :, 1] = [32, 4, 16, 8, 0.8]  # in the upper border
    wide = Image(np.zeros((32, 64, 3), np.uint8))
    assert answer(made, {"output0": table}, wide).xyxy.tolist() == [[0, 0, 1, 1]]


def test_nothing_found_is_an_answer_that_keeps_the_picture() -> None:
    made = detector({"output0": spec(1, 5, CELLS)}, labels=("cat",))
    image = Image(np.zeros((64, 64, 3), np.uint8))
    found = answer(made, {"output0": np.zeros((1, 5, CELLS), np.float32)}, image)
    assert len(found) == 0
    assert found.image is image


def test_nonsense_from_the_model_hides_no_real_box() -> None:
    """NaN, infinity and endless sizes are no boxes; what else was found is still there."""
    made = detector({"output": spec(1, CELLS, 7)}, labels=("cat", "dog"))
    nan, inf = float("nan"), float("inf")
    found = answer(
        made,
        yolox_answer(
            (0, [nan, 0, 0, 0, 0.9, 0.9, 0]),
            (1, [0, 0, 1000, 1000, 0.9, 0.9, 0]),
            (2, [0, 0, 0, 0, nan, 0.9, 0]),
            (3, [inf, -inf, 0, 0, 0.9, 0.9, 0]),
            (9, [0, 0, 0, 0, 0.9, 0.9, 0]),
        ),
    )
    assert found.xyxy.tolist() == [[4 / 64, 4 / 64, 12 / 64, 12 / 64]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "complaint"),
    [
        ({"x": spec(1, 64, 64, 3)}, {"o": spec(1, CELLS, 85)}, r"one input \[1, 3, height, width"),
        ({"x": spec(1, 3, None, None)}, {"o": spec(1, CELLS, 85)}, "fixed size"),
        ({"x": spec(1, 1, 64, 64)}, {"o": spec(1, CELLS, 85)}, "one input"),
        ({"x": spec(2, 3, 64, 64)}, {"o": spec(1, CELLS, 85)}, "one input"),
        ({"x": spec(1, 3, 64, 64, dtype="uint8")}, {"o": spec(1, CELLS, 85)}, "uint8"),
        ({"x": spec(1, 3, 64, 64), "y": spec(1)}, {"o": spec(1, CELLS, 85)}, r"y \[1\]"),
        (INPUT, {"o": spec(1, CELLS, 7)}, "knows 2 classes, but 'labels' names 80"),
        (INPUT, {"o": spec(1, 7, CELLS)}, "knows 3 classes, but 'labels' names 80"),
        (INPUT, {"o": spec(1, 1000)}, r"o \[1, 1000\] are of no layout known here"),
        (INPUT, {"o": spec(1, 85, 85)}, r"\[1, 84, 5 \+ classes\]"),
        (INPUT, {"o": spec(1, None, 85)}, "open size"),
        (INPUT, {"a": spec(1, 9, 4), "b": spec(1, 9, 4)}, "no layout known here"),
    ],
)
def test_model_that_does_not_fit_is_refused_with_the_reason(
    inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec], complaint: str
) -> None:
    made = built()
    with pytest.raises(ValueError, match=complaint):
        made.accept(inputs, outputs)


def test_open_batch_is_one_picture() -> None:
    made = built()
    made.accept({"x": spec(None, 3, 64, 64)}, {"o": spec(None, CELLS, 85)})


def test_named_layout_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="expected one output of"):
        detector({"output": spec(1, CELLS, 85)}, layout="yolov8")


def test_labels_are_a_list_a_file_or_coco(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n\n dog \n", encoding="utf-8")

    def labels(value: object) -> tuple[str, ...]:
        options = DetectorOptions.model_validate(
            {"labels": value}, context=Surroundings(tmp_path, tmp_path)
        )
        return options.labels

    assert labels(["cat"]) == ("cat",)
    assert labels("labels.txt") == ("cat", "dog")
    assert labels("coco") == COCO
    assert len(set(COCO)) == 80
    with pytest.raises(ValidationError, match=r"nowhere\.txt' cannot be read"):
        labels("nowhere.txt")
    with pytest.raises(ValidationError, match="at least 1"):
        labels([])
