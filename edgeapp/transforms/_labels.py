"""Looking at some labels only, for the stages that read detections or tracks."""

from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from edgeapp.api import BadPacket, Detections

Found = TypeVar("Found", bound=Detections)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


LabelsOption = Annotated[
    tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...])
]
"""An option: labels, a list of them or one alone."""


class Wanted:
    """Picks what has one of some labels; everything, where none is named."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._known: tuple[str, ...] | None = None
        self._classes: NDArray[np.int32] = np.empty(0, np.int32)

    def of(self, found: Found) -> Found:
        """What is wanted of a picture's detections.

        Raises:
            BadPacket: the model upstream does not know one of the labels at all.
        """
        if not self._labels:
            return found
        some: Found = found.select(self.chosen(found))  # type: ignore[assignment]  # Tracks select Tracks
        return some

    def chosen(self, found: Detections) -> NDArray[np.bool_]:
        """Which of them have one of the labels that are named.

        Raises:
            BadPacket: the model upstream does not know one of the labels at all.
        """
        if found.labels is not self._known:
            unknown = sorted(set(self._labels) - set(found.labels))
            if unknown:
                raise BadPacket(
                    f"the model upstream knows no {', '.join(unknown)}; it knows "
                    f"{', '.join(found.labels)}",
                    reason="unknown_label",
                )
            self._classes = np.flatnonzero(np.isin(found.labels, self._labels)).astype(np.int32)
            self._known = found.labels
        return np.isin(found.classes, self._classes)
