"""The segmenter: on made-up answers, and with DeepLab on real pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.api import BadPacket, FakeClock, Image, Mask, TensorSpec, View
from edgeapp.core.opencv import cv2
from edgeapp.models.decoders.labels import VOC
from edgeapp.models.decoders.segmenter import Segmenter, SegmenterOptions, _first_where_equal
from edgeapp.models.session import Pool

LABELS = ["background", "cat", "dog"]


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, dtype)


def built(**options: Any) -> Segmenter:
    checked = SegmenterOptions.model_validate({"labels": LABELS} | options)
    return Segmenter(checked, None)  # type: ignore[arg-type] # asks nothing of its context


def mask_of(output: Any, image: Image | None = None, **options: Any) -> Mask:
    """What the segmenter says of a picture, of 8 x 8 if not given, and a model that sees 8 x 8."""
    made = built(**options)
    output = np.asarray(output)
    made.accept({"x": spec(1, 3, 8, 8)}, {"y": spec(*output.shape, dtype=str(output.dtype))})
    image = image or Image(np.zeros((8, 8, 3), np.uint8))
    feed = made.feed(image, into={"x": np.zeros((1, 3, 8, 8), np.float32)})
    return made.decode({"y": output}, feed)


def logits(classes: list[list[int]], size: float = 5.0) -> Any:
    """[1, height, width, 3] answers of which these classes are the best."""
    return (np.eye(3, dtype=np.float32)[np.array(classes)] * size)[None]


CLASSES = [[0, 1, 1, 2], [2, 2, 0, 0]]


def test_the_best_class_of_each_pixel_in_both_layouts() -> None:
    last = logits(CLASSES)
    assert mask_of(last).classes.tolist() == CLASSES
    assert mask_of(last.transpose(0, 3, 1, 2).copy()).classes.tolist() == CLASSES
    assert mask_of(last).areas() == {"background": 0.375, "cat": 0.25, "dog": 0.375}


def test_classes_that_the_model_picked_itself() -> None:
    assert mask_of(np.array([CLASSES], np.int64)).classes.tolist() == CLASSES
    assert mask_of(np.array([[CLASSES]], np.uint8)).classes.tolist() == CLASSES
    with pytest.raises(BadPacket, match="names class 3"):
        mask_of(np.array([[[0, 3]]], np.int64))


def test_one_number_for_each_pixel_is_one_class_beside_the_background() -> None:
    values = np.array([[[-1.0, 0.1], [0.6, 9.0]]], np.float32)
    road = ["background", "road"]
    assert mask_of(values, labels=road).classes.tolist() == [[0, 1], [1, 1]]
    assert mask_of(values, labels=road, min_score=0.6).classes.tolist() == [[0, 0], [1, 1]]
    scores = np.array([[[0.1], [0.6]]], np.float32)[None]
    assert mask_of(scores, labels=road, activation="none").classes.tolist() == [[0], [1]]


def test_what_is_less_sure_than_asked_for_is_background() -> None:
    """Softmax of (0, 1, 0) gives 0.58, of (0, 5, 0) 0.99."""
    output = np.concatenate([logits([[1]], 1.0), logits([[1]], 5.0)], axis=2)
    assert mask_of(output).classes.tolist() == [[1, 1]]
    assert mask_of(output, min_score=0.57).classes.tolist() == [[1, 1]]
    assert mask_of(output, min_score=0.59).classes.tolist() == [[0, 1]]
    assert mask_of(output, min_score=0.7, activation="sigmoid").classes.tolist() == [[1, 1]]
    with pytest.raises(BadPacket, match="no scores"):
        mask_of(output, min_score=0.5, activation="none")


def test_borders_of_a_letterbox_are_cut_off() -> None:
    """A wide picture lies in rows 2 to 5 of the model's 8: the mask is those, and shows it all."""
    output = logits([[2] * 8] * 2 + [[1] * 8] * 4 + [[2] * 8] * 2)
    image = Image(np.zeros((10, 20, 3), np.uint8), View(0.5, 0.5, 0.5, 0.5))
    mask = mask_of(output, image)
    assert mask.classes.tolist() == [[1] * 8] * 4
    assert mask.view == image.view
    assert mask.image is image


def test_half_covered_pixels_of_a_coarse_answer_are_cut_off_too() -> None:
    """Rows 2 to 4 of 8 are picture; of five coarse rows only the middle one holds no border."""
    mask = mask_of(logits([[1] * 4] * 5), Image(np.zeros((6, 16, 3), np.uint8)))
    assert mask.classes.shape == (1, 4)
    assert (mask.view.top, mask.view.height) == pytest.approx((0.4, 1.6 / 3))


def test_crop_shows_the_middle() -> None:
    mask = mask_of(logits([[1] * 8] * 8), Image(np.zeros((8, 16, 3), np.uint8)), fit="crop")
    assert mask.view == View(0.25, 0, 0.5, 1)


@settings(max_examples=20, deadline=None)
@given(
    picture=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    answer=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    fit=st.sampled_from(["letterbox", "stretch", "crop"]),
)
def test_masks_of_any_picture_lie_in_it(
    picture: tuple[int, int], answer: tuple[int, int], fit: str
) -> None:
    image = Image(np.zeros((picture[1], picture[0], 3), np.uint8))
    mask = mask_of(logits([[1] * answer[0]] * answer[1]), image, fit=fit)
    height, width = mask.classes.shape
    view = mask.view
    # A single row or column may be as coarse as to reach beyond the picture.
    assert width == 1 or -1e-9 <= view.left <= view.left + view.width <= 1 + 1e-9
    assert height == 1 or -1e-9 <= view.top <= view.top + view.height <= 1 + 1e-9


@given(seed=st.integers(0, 2**32), count=st.integers(1, 255), ties=st.booleans())
def test_finding_the_best_class_is_argmax(seed: int, count: int, *, ties: bool) -> None:
    table = np.random.default_rng(seed).normal(size=(count, 3, 4)).astype(np.float32)
    if ties:
        table = np.sign(table)
    assert np.array_equal(_first_where_equal(table, table.max(axis=0)), table.argmax(axis=0))


def test_an_answer_that_is_not_finite_is_no_mask() -> None:
    output = logits(CLASSES)
    output[0, 0, 0, 0] = np.nan
    with pytest.raises(BadPacket, match="not finite"):
        mask_of(output)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((1, 5, 5, 21), "knows 5 classes"),
        ((1, 21, 30, 30), "knows 21 classes, but 'labels' names 3"),
        ((1, 3), "expected an output"),
        ((2, 3, 8, 8), "expected an output"),
        ((1, 1, 8, 8), "background and one class"),
    ],
)
def test_answers_that_do_not_fit_are_refused(shape: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        built().accept({"x": spec(1, 3, 8, 8)}, {"y": spec(*shape)})


DEEPLAB = {"labels": "voc", "value_range": "-1..1"}


def deeplab(data_dir: Path, images: list[Image], **options: Any) -> list[Mask]:
    """What DeepLabv3 says of real pictures, through the pool and the decoder."""
    made = built(**DEEPLAB | options)
    with Pool(FakeClock()).lease(data_dir / "models" / "deeplabv3_257.onnx") as session:
        made.accept(session.inputs, session.outputs)
        masks = []
        for image in images:
            feed = made.feed(image, into=session.into)
            masks.append(made.decode(session.run(), feed))
        return masks


def frames(clip: Path, numbers: list[int]) -> list[Image]:
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    found = []
    for number in range(max(numbers) + 1):
        assert capture.grab()
        if number in numbers:
            found.append(Image(np.asarray(capture.retrieve()[1], np.uint8)))
    capture.release()
    return found


def test_deeplab_finds_the_person_where_a_detector_does(data_dir: Path) -> None:
    """Its pixels lie in the box that YOLOX nano gives it, and fill a sensible part of that."""
    clip = data_dir / "video" / "one-by-one-person-detection.mp4"
    [mask] = deeplab(data_dir, frames(clip, [281]))
    rows, columns = np.nonzero(mask.classes == VOC.index("person"))
    height, width = mask.classes.shape
    x = mask.view.left + (columns + 0.5) / width * mask.view.width
    y = mask.view.top + (rows + 0.5) / height * mask.view.height
    left, top, right, bottom = 0.50, 0.02, 0.71, 0.87
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    assert inside.mean() > 0.95
    area = (right - left) * (bottom - top)
    assert 0.35 * area < mask.areas()["person"] < 0.8 * area
    assert mask.areas()["background"] + mask.areas()["person"] > 0.99


# Where the animals of a still are: left, top, right, bottom, as fractions of it; seen by eye.
ANIMALS = [
    ("cat", (0.05, 0.6, 0.38, 1.0)),
    ("dog", (0.3, 0.3, 0.55, 1.0)),
    ("dog", (0.48, 0.2, 0.8, 1.0)),
    ("cat", (0.7, 0.6, 0.95, 1.0)),
]


def test_deeplab_tells_cats_from_dogs(data_dir: Path) -> None:
    """Each animal cut out by itself; all four at once are too small for this model."""
    pixels = np.asarray(cv2.imread(str(data_dir / "images" / "cats_and_dogs.jpg")), np.uint8)
    height, width = pixels.shape[:2]
    parts = [
        Image(
            pixels[
                round(top * height) : round(bottom * height),
                round(left * width) : round(right * width),
            ]
        )
        for _, (left, top, right, bottom) in ANIMALS
    ]
    for (animal, _), mask in zip(ANIMALS, deeplab(data_dir, parts), strict=True):
        areas = mask.areas()
        assert 0.3 < areas[animal] < 0.6
        assert areas["background"] + areas[animal] > 0.95


def test_deeplab_needs_the_range_it_was_trained_with(data_dir: Path) -> None:
    """With pixels of 0..255 it sees nothing at all: the check of the numbers can fail."""
    clip = data_dir / "video" / "one-by-one-person-detection.mp4"
    [mask] = deeplab(data_dir, frames(clip, [281]), value_range="0..255")
    assert mask.areas()["person"] == 0
