"""Payloads that say what something is: answers of models, and events that begin and end.

Detections, tracks and scores stand beside the pictures and signals, in `payload`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edgeapp.core.payload import WHOLE, Image, Payload, View, freeze

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Labels(Payload):
    """How sure a model is of each class that it knows.

    `scores`: (n,) float32, 0..1, one for each of `labels`; they need not sum to 1.
    """

    scores: "NDArray[np.float32]"
    labels: tuple[str, ...]
    image: Image | None = field(default=None, compare=False)
    """The picture that was looked at, where there was one."""

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the scores."""
        if self.scores.shape != (len(self.labels),) or self.scores.dtype != "float32":
            raise ValueError(
                f"scores of {len(self.labels)} labels are ({len(self.labels)},) float32, "
                f"not {self.scores.shape} {self.scores.dtype}"
            )
        freeze(self.scores)

    def best(self, count: int = 1) -> list[tuple[str, float]]:
        """The labels of the highest scores, best first."""
        order = (-self.scores).argsort(kind="stable")[:count]
        return [(self.labels[i], float(self.scores[i])) for i in order.tolist()]


@dataclass(frozen=True, slots=True)
class Mask(Payload):
    """What each part of a picture shows.

    `classes`: (height, width) uint8, index into `labels`.
    """

    classes: "NDArray[np.uint8]"
    labels: tuple[str, ...]
    view: View = WHOLE
    """The rectangle of the source picture that the mask covers."""
    image: Image | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Check shape and dtype; freeze the classes."""
        if self.classes.ndim != 2 or self.classes.dtype != "uint8":  # noqa: PLR2004
            raise ValueError(
                f"a mask is (height, width) uint8, not {self.classes.shape} {self.classes.dtype}"
            )
        if self.classes.size and int(self.classes.max()) >= len(self.labels):
            raise ValueError(
                f"a mask of {len(self.labels)} labels holds class {int(self.classes.max())}"
            )
        freeze(self.classes)

    def areas(self) -> dict[str, float]:
        """The fraction of the mask that each label covers, 0..1, in their order."""
        import numpy as np

        counts = np.bincount(self.classes.ravel(), minlength=len(self.labels))
        whole = max(1, self.classes.size)
        return {label: int(n) / whole for label, n in zip(self.labels, counts, strict=True)}


@dataclass(frozen=True, slots=True)
class Pose(Payload):
    """Where a thing is as a camera sees it, or how far it is from where it should be.

    `position_m`: (3,) float64, metres to the right, down and away from the camera.
    `rotation_rad`: (3,) float64, rotation vector (its length is the angle, Rodrigues).
    """

    position_m: "NDArray[np.float64]"
    rotation_rad: "NDArray[np.float64]"
    label: str
    """What it is: "marker 7"."""
    error_px: float
    """How far the corners seen lie from those that the pose explains, root mean square."""
    image: Image | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Check shapes and dtypes; freeze the arrays."""
        for array in (self.position_m, self.rotation_rad):
            if array.shape != (3,) or array.dtype != "float64":
                raise ValueError(f"a pose has (3,) float64 each, not {array.shape} {array.dtype}")
            freeze(array)


Phase = Literal["new", "update", "end"]


@dataclass(frozen=True, slots=True)
class Event(Payload):
    """A moment in the life of something that lasts: a tracked person, a noise, an alarm.

    Every event that begins (`new`) ends (`end`), with as many `update`s between as its stage sees
    fit. What only happens at an instant, such as a crossing, is `new` and at once `end`.
    """

    phase: Phase
    event: str
    """The same in every phase; made by `event_id`."""
    kind: str
    """What happens: "track", "zone", "line", "sound", "alarm"."""
    label: str
    """To what: "person", "speech", the name of a machine."""
    began_ns: int
    """Stream time of its beginning."""
    score: float | None = None
    """The best score so far, 0..1 where a model gave it."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom as fractions 0..1 of the source picture; of the latest moment."""
    image: Image | None = field(default=None, compare=False)
    """The best picture of it so far: its snapshot."""
    facts: Mapping[str, float | str | bool] = field(default_factory=dict)
    """What else its stage has to say, by name: {"zone": "door", "dwell_s": 4.5}."""


def event_id(stage: str, chance: random.Random) -> str:
    """A name for a new event. Give the context's `random`: a stepped run then repeats it."""
    return f"{stage}-{chance.getrandbits(48):012x}"
