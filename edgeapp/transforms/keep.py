"""Keeping the detections that matter."""

from typing import Annotated, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from edgeapp.api import (
    Chooser,
    Context,
    DetectionRule,
    Detections,
    Field,
    Live,
    Options,
    Packet,
    Run,
    RunMemory,
    transform,
)
from edgeapp.transforms._labels import Found, LabelsOption, Wanted

NS = 1_000_000_000


class KeepOptions(Options):
    """What matters."""

    label: LabelsOption = Field(
        default=(), description="Keep these labels only: one, or a list. Left out: all."
    )
    min_score: Annotated[float, Live()] = Field(
        default=0.0, ge=0, le=1, description="Keep what has at least this score."
    )
    min_area: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Keep what covers at least this fraction of the picture.",
    )
    max_area: Annotated[float, Live()] = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Keep what covers at most this fraction of the picture.",
    )
    when: DetectionRule | None = Field(
        default=None,
        description="Keep those of which this rule is true, such as: score > 0.6 and area < 0.2. "
        "docs/rules.md says what it can name.",
    )
    steady_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0,
        description="Pass nothing until something was there to keep in every picture for so long, "
        "in seconds of stream time.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area is not larger than max_area")
        return self


@transform("keep")
class Keep:
    """Keep detections by label, score, size or rule; pass on pictures in which any are left.

    `steady_s` starts afresh with the first picture without any, and when the source was reopened.
    Raises BadPacket when the model upstream does not know a label at all.
    """

    def __init__(self, options: KeepOptions, context: Context) -> None:
        self._options = options
        self._rule = None if options.when is None else Chooser(options.when, context.log)
        self._steady_ns = round(options.steady_s * NS)
        self._wanted = Wanted(options.label)
        self._run = Run()
        self._since_ns: int | None = None

    def tune(self, options: KeepOptions) -> None:
        """Other limits, from the next picture on."""
        self._options = options
        self._steady_ns = round(options.steady_s * NS)

    def remember(self) -> tuple[RunMemory | None, int | None]:
        """Since when there is something to keep."""
        return self._run.remember(), self._since_ns

    def recall(self, memory: tuple[RunMemory | None, int | None]) -> None:
        """Go on counting `steady_s` over a reload."""
        run, self._since_ns = memory
        self._run.recall(run)

    def process(self, packet: Packet[Found]) -> Found | None:
        """What is kept of a picture's detections or tracks, or nothing."""
        if self._run.began(packet):
            self._since_ns = None
        kept = cast(Found, packet.value.select(self._chosen(packet.value)))
        if not len(kept):
            self._since_ns = None
            return None
        if self._since_ns is None:
            self._since_ns = packet.t_ns
        return kept if packet.t_ns - self._since_ns >= self._steady_ns else None

    def _chosen(self, found: Detections) -> NDArray[np.bool_]:
        options = self._options
        chosen: NDArray[np.bool_] = found.scores >= options.min_score
        if options.label:
            chosen &= self._wanted.chosen(found)
        if options.min_area > 0 or options.max_area < 1:
            area = np.prod(found.xyxy[:, 2:] - found.xyxy[:, :2], axis=1)
            chosen &= (area >= options.min_area) & (area <= options.max_area)
        if self._rule is not None:
            chosen &= self._rule(found)
        return chosen
