"""Write down which boxes two real models find in a real clip, by a decoder written apart.

    python tests/reference/make_expected_boxes.py DATA_FOLDER

This is the slow, plain way: loops over cells, 64-bit floats, nothing shared with edgeapp. What it
finds is committed as `expected_boxes.json` and is what edgeapp's own decoder is held against.
Run it again only when the clip, the models or the choice of frames change.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

CLIP = "video/one-by-one-person-detection.mp4"
FRAMES = [50, 100, 125, 175, 250, 300, 350, 400, 525, 575, 625, 675, 750, 800, 850, 900, 950,
          1000, 1100, 1300]  # fmt: skip
MODELS = {"yolox_nano": 80, "lightweight_person_192": 1}
MIN_SCORE = 0.4
MAX_IOU = 0.5

Box = dict[str, Any]


def boxes_of(answer: Any, side: int, classes: int, content: tuple[int, int]) -> list[Box]:
    """All boxes of one answer, [cells, 5 + classes], in fractions of the picture."""
    found: list[Box] = []
    row = 0
    for stride in (8, 16, 32):
        for y in range(side // stride):
            for x in range(side // stride):
                values = [float(v) for v in answer[row]]
                row += 1
                best = max(range(classes), key=lambda c, v=values: v[5 + c])  # type: ignore[misc]
                score = values[4] * values[5 + best]
                if score < MIN_SCORE:
                    continue
                center_x, center_y = (values[0] + x) * stride, (values[1] + y) * stride
                width, height = math.exp(values[2]) * stride, math.exp(values[3]) * stride
                found.append(
                    {
                        "label": best,
                        "score": score,
                        "box": [
                            (center_x - width / 2) / content[0],
                            (center_y - height / 2) / content[1],
                            (center_x + width / 2) / content[0],
                            (center_y + height / 2) / content[1],
                        ],
                    }
                )
    assert row == len(answer)
    return found


def overlap(one: list[float], other: list[float]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def suppressed(found: list[Box]) -> list[Box]:
    """The best of each heap of boxes with one label, cut at the picture's edges."""
    kept: list[Box] = []
    for candidate in sorted(found, key=lambda b: -b["score"]):
        if all(
            k["label"] != candidate["label"] or overlap(k["box"], candidate["box"]) <= MAX_IOU
            for k in kept
        ):
            kept.append(candidate)
    return [k | {"box": [min(1.0, max(0.0, side)) for side in k["box"]]} for k in kept]


def look(session: Any, picture: Any, classes: int) -> list[Box]:
    """What the model finds in a picture: fitted top left onto grey 114, BGR, 0..255."""
    side = session.get_inputs()[0].shape[2]
    height, width = picture.shape[:2]
    factor = min(side / height, side / width)
    content = round(width * factor), round(height * factor)
    canvas = np.full((side, side, 3), 114, np.uint8)
    canvas[: content[1], : content[0]] = cv2.resize(picture, content)
    tensor = canvas.astype(np.float64).transpose(2, 0, 1)[None].astype(np.float32)
    [answer] = session.run(None, {session.get_inputs()[0].name: tensor})
    return suppressed(boxes_of(answer[0], side, classes, content))


def main(data: Path) -> None:
    """Look at every chosen frame with every model and write the file."""
    capture = cv2.VideoCapture(str(data / CLIP))
    pictures: dict[int, Any] = {}
    for number in range(max(FRAMES) + 1):
        read, picture = capture.read()
        assert read
        if number in FRAMES:
            pictures[number] = picture
    capture.release()
    expected: dict[str, Any] = {"clip": CLIP, "min_score": MIN_SCORE, "max_iou": MAX_IOU}
    for name, classes in MODELS.items():
        session = onnxruntime.InferenceSession(
            str(data / "models" / f"{name}.onnx"), providers=["CPUExecutionProvider"]
        )
        expected[name] = {
            str(number): [
                {"label": b["label"], "score": round(b["score"], 4),
                 "box": [round(side, 5) for side in b["box"]]}
                for b in look(session, picture, classes)
            ]
            for number, picture in pictures.items()
        }  # fmt: skip
    lines = json.dumps(expected, indent=1)
    (Path(__file__).parent / "expected_boxes.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
