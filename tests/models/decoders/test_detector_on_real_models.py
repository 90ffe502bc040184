"""The detector against boxes that a decoder written apart found: two models, twenty frames.

The second half breaks the detector in the ways that detectors are usually broken, and shows that
each of them is noticed here.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest

from edgeapp.api import Detections, Image, TensorSpec
from edgeapp.core.opencv import cv2
from edgeapp.models.decoders.detector import Detector, DetectorOptions

EXPECTED = json.loads(
    (Path(__file__).parents[2] / "reference" / "expected_boxes.json").read_text(encoding="utf-8")
)
MODELS: dict[str, Any] = {"yolox_nano": "coco", "lightweight_person_192": ["person"]}
MIN_IOU = 0.9
MAX_SCORE_STEP = 0.02


class Case(NamedTuple):
    """A model with the raw pictures and the boxes that are expected in each."""

    name: str
    session: Any
    pictures: dict[str, Any]
    expected: dict[str, list[dict[str, Any]]]
    answers: dict[int, Any]
    """What the model answered so far, by the hash of its input."""

    def run(self, tensor: Any) -> Any:
        """The model's answer to an input tensor."""
        key = hash(tensor.tobytes())
        if key not in self.answers:
            [self.answers[key]] = self.session.run(None, {self.input.name: tensor})
        return self.answers[key]

    @property
    def input(self) -> Any:
        return self.session.get_inputs()[0]

    @property
    def output(self) -> Any:
        return self.session.get_outputs()[0]


@pytest.fixture(scope="module")
def pictures(data_dir: Path) -> dict[str, Any]:
    """The chosen frames of the clip, by number."""
    chosen = set(EXPECTED["yolox_nano"])
    capture = cv2.VideoCapture(str(data_dir / EXPECTED["clip"]), cv2.CAP_FFMPEG)
    found: dict[str, Any] = {}
    number = 0
    while len(found) < len(chosen):
        assert capture.grab()
        if str(number) in chosen:
            found[str(number)] = capture.retrieve()[1]
        number += 1
    capture.release()
    return found


@pytest.fixture(scope="module", params=list(MODELS))
def case(request: pytest.FixtureRequest, data_dir: Path, pictures: dict[str, Any]) -> Case:
    """One of the models."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(data_dir / "models" / f"{request.param}.onnx"),
        settings,
        providers=["CPUExecutionProvider"],
    )
    return Case(request.param, session, pictures, EXPECTED[request.param], {})


def detector_for(case: Case, **options: Any) -> Detector:
    """A detector that has accepted the case's model."""
    checked = DetectorOptions(
        **{
            "labels": MODELS[case.name],
            "min_score": EXPECTED["min_score"],
            "max_iou": EXPECTED["max_iou"],
        }
        | options
    )
    detector = Detector(checked, None)  # type: ignore[arg-type] # it asks nothing of its context
    detector.accept(specs([case.input]), specs([case.output]))
    return detector


def specs(arguments: Any) -> dict[str, TensorSpec]:
    return {a.name: TensorSpec(tuple(a.shape), "float32") for a in arguments}


def found_by(detector: Detector, case: Case) -> Iterator[tuple[str, Detections]]:
    """What the detector finds in each of the pictures."""
    tensors = {case.input.name: np.zeros(case.input.shape, np.float32)}
    for number, pixels in case.pictures.items():
        seen = detector.feed(Image(pixels), into=tensors)
        answer = case.run(tensors[case.input.name])
        yield number, detector.decode({case.output.name: answer}, seen)


def iou(one: Any, other: Any) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(np.subtract(b[2:], b[:2]))) for b in (one, other)]
    return shared / (sum(areas) - shared)


def differences(detector: Detector, case: Case) -> list[str]:
    """Everything about the detector's answers that is not as expected."""
    wrong = []
    for number, found in found_by(detector, case):
        expected = case.expected[number]
        if len(found) != len(expected):
            wrong.append(f"frame {number}: {len(found)} boxes, not {len(expected)}")
            continue
        for n, want in enumerate(expected):
            if found.classes[n] != want["label"]:
                wrong.append(f"frame {number}: label {found.classes[n]}, not {want['label']}")
            if abs(found.scores[n] - want["score"]) > MAX_SCORE_STEP:
                wrong.append(f"frame {number}: score {found.scores[n]:.3f}, not {want['score']}")
            shared = iou(found.xyxy[n], np.array(want["box"]))
            if shared < MIN_IOU:
                wrong.append(f"frame {number}: IoU {shared:.2f}")
    return wrong


def test_real_models_give_the_expected_boxes(case: Case) -> None:
    assert differences(detector_for(case), case) == []


def test_most_frames_show_somebody() -> None:
    """The comparison would prove nothing on empty frames."""
    for name in MODELS:
        assert sum(len(boxes) > 0 for boxes in EXPECTED[name].values()) >= 15


def _swap_width_and_height(detector: Detector) -> None:
    _rewrite(detector, lambda table: table[:, [0, 1, 3, 2, *range(4, table.shape[1])]])


def _forget_stride_of_size(detector: Detector) -> None:
    def forget(table: Any) -> Any:
        table[:, 2:4] -= np.log(detector._layout._strides)[:, None]  # type: ignore[attr-defined]
        return table

    _rewrite(detector, forget)


def _forget_objectness(detector: Detector) -> None:
    def forget(table: Any) -> Any:
        table[:, 4] = 1
        return table

    _rewrite(detector, forget)


def _take_size_for_its_logarithm(detector: Detector) -> None:
    def confuse(table: Any) -> Any:
        table[:, 2:4] = np.log(np.maximum(np.abs(table[:, 2:4]), 1e-6))
        return table

    _rewrite(detector, confuse)


def _take_center_for_corner(detector: Detector) -> None:
    def confuse(table: Any) -> Any:
        table[:, :2] += np.exp(table[:, 2:4]) / 2
        return table

    _rewrite(detector, confuse)


def _count_cells_from_one(detector: Detector) -> None:
    detector._layout._cells += 1  # type: ignore[attr-defined]


def _swap_rows_and_columns_of_the_grid(detector: Detector) -> None:
    layout: Any = detector._layout
    layout._cells = layout._cells[:, ::-1]


def _read_grids_backwards(detector: Detector) -> None:
    layout: Any = detector._layout
    layout._cells, layout._strides = layout._cells[::-1], layout._strides[::-1]


def _rewrite(detector: Detector, change: Callable[[Any], Any]) -> None:
    """Let the layout read a changed table instead of the model's."""
    read = detector._layout.candidates

    def candidates(outputs: Any, min_score: float) -> Any:
        [(name, answer)] = outputs.items()
        return read({name: change(answer[0].copy())[None]}, min_score)

    detector._layout.candidates = candidates  # type: ignore[method-assign]


MUTATIONS = [
    _swap_width_and_height,
    _forget_stride_of_size,
    _forget_objectness,
    _take_size_for_its_logarithm,
    _take_center_for_corner,
    _count_cells_from_one,
    _swap_rows_and_columns_of_the_grid,
    _read_grids_backwards,
]
WRONG_OPTIONS: list[dict[str, Any]] = [
    {"value_range": "0..1"},
    {"color": "rgb"},
    {"max_iou": 1.0},
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__.strip("_"))
def test_wrong_decoding_is_noticed(case: Case, mutate: Callable[[Detector], None]) -> None:
    detector = detector_for(case)
    mutate(detector)
    assert differences(detector, case)


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
def test_wrong_options_are_noticed(case: Case, options: dict[str, Any]) -> None:
    assert differences(detector_for(case, **options), case)


def test_wrong_place_of_the_picture_is_noticed(case: Case) -> None:
    """The picture lies in the middle, but the boxes are read as if it lay at the top left."""
    detector, believed = detector_for(case, placement="center"), detector_for(case)
    feed = detector.feed

    def misplaced(value: Image, /, *, into: Any) -> Any:
        fit = believed.feed(value, into=into).fit
        return feed(value, into=into)._replace(fit=fit)

    before = differences(detector, case)
    detector.feed = misplaced  # type: ignore[method-assign]
    assert len(differences(detector, case)) > len(before) + 10
