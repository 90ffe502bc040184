"""The names of a model's classes: as an option of every decoder, and those of known data sets."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from edgeapp.api import Surroundings

COCO = tuple(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
    sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle,
    wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
    hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
    vase, scissors, teddy bear, hair drier, toothbrush""".replace("\n   ", "").split(", ")
)
"""The 80 classes of the COCO detection challenge (Lin et al. 2014), in their usual order."""

VOC = tuple(
    """background, airplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table,
    dog, horse, motorcycle, person, potted plant, sheep, sofa, train, tv""".replace(
        "\n   ", ""
    ).split(", ")
)
"""The 21 classes of the PASCAL VOC segmentation challenge (Everingham et al. 2010), in order."""

_SETS = {"coco": COCO, "voc": VOC}
_MOST_LABEL_BYTES = 1 << 20


def _read(labels: object, info: ValidationInfo) -> object:
    if not isinstance(labels, str):
        # What a validator returns is checked as strictly as Python is: a list is no tuple.
        return tuple(labels) if isinstance(labels, list) else labels
    if labels in _SETS:
        return _SETS[labels]
    file = Path(labels).expanduser()
    if isinstance(info.context, Surroundings):
        file = info.context.folder / file
    try:
        data = _start_of(file)
        text = "" if len(data) > _MOST_LABEL_BYTES else data.decode("utf-8-sig")
    except (OSError, ValueError):
        raise ValueError(
            f"'{file}' cannot be read as a text file; give a list, a file with one label on "
            f"each line, or {' or '.join(_SETS)}"
        ) from None
    if len(data) > _MOST_LABEL_BYTES:
        raise ValueError(
            f"'{file}' is larger than {_MOST_LABEL_BYTES >> 20} MiB, too large for a file of labels"
        )
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _start_of(file: Path) -> bytes:
    """The bytes of a file, one more than is allowed at most."""
    if not file.is_file():
        raise OSError("a pipe or a device, whose reading might never end")
    with file.open("rb") as stream:
        return stream.read(_MOST_LABEL_BYTES + 1)


LabelNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_read),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "string"},
            ]
        }
    ),
]
"""An option: a list of labels, a text file with one on each line, or the name of a data set.

Give its field `min_length=1`; an empty file is then refused.
"""


def fitting(labels: tuple[str, ...], class_count: int) -> None:
    """See that there is one label for each class that the model knows.

    Raises:
        ValueError: there are more or fewer.
    """
    if len(labels) != class_count:
        raise ValueError(
            f"the model knows {class_count} classes, but 'labels' names {len(labels)}; give the "
            "labels that it was trained with"
        )
