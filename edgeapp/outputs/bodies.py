"""What a message says: the part of the wire contract that a payload decides.

The Structs are the contract; the published JSON Schemas are generated from them. An output encodes
a body on the lane; `id`, `time`, `clock` and `age_ms` are put before it when it is sealed.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeapp.api import BadPacket, Detections, Features, Packet, Score

Result = Detections | Score | Features
"""The payloads that can be put into words. Pictures and signals cannot."""

Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1)]

_BOX_STEPS = 100_000  # five digits: a fifth of a pixel in a picture 20,000 pixels wide
_SCORE_STEPS = 10_000


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every message says, whatever it carries."""

    schema: str
    pipeline: Name
    stage: Name
    """Id of the output stage."""
    origin: Name
    """Id of the source stage."""
    epoch: Count
    """Rises when the source reopens."""
    seq: Count
    """Number of the packet within the epoch, as the source counted."""
    part: Count
    """0, 1, 2... where one packet became many."""
    model: Name | None
    """Decoder that answered last; null, with `variant` and `rung`, where no model took part."""
    variant: Name | None
    rung: Count | None
    """Position of the variant on its ladder; 0 is the best."""
    lost: Count
    """Packets really lost since the previous one."""


class DetectionsBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a detector found in one picture, best first; boxes, labels and scores go together."""

    schema: Literal["edgeapp/detections/1"]
    count: Count
    boxes: list[tuple[Fraction, Fraction, Fraction, Fraction]]
    """[x, y, width, height] of each, as fractions of the source picture; x, y is top left."""
    labels: list[str]
    scores: list[Fraction]


class ScoreBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How unusual something is."""

    schema: Literal["edgeapp/score/1"]
    value: float | None
    """1.0 is the edge of what was normal while learning; null: not a finite number."""
    ready: bool
    """False while the baseline is still being learned."""
    progress: Fraction
    """How much of the baseline is learned."""
    parts: dict[str, float | None]
    """What the value is made of, by name."""


class FeaturesBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Named numbers computed from a window."""

    schema: Literal["edgeapp/features/1"]
    values: dict[str, float | None]
    """By "<channel>.<feature>"; null: not a finite number."""
    units: dict[str, str]
    """The unit of each value; "1" where it has none."""


BODIES: Mapping[str, type[Body]] = {
    "detections": DetectionsBody,
    "score": ScoreBody,
    "features": FeaturesBody,
}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each body by name, before the envelope is added."""
    _, definitions = msgspec.json.schema_components(BODIES.values())
    return {name: definitions[body.__name__] for name, body in BODIES.items()}


class BodyEncoder:
    """Encodes the packets of one output stage. Pure but for a cache; for one thread."""

    def __init__(self, pipeline: str, stage: str) -> None:
        self._pipeline = pipeline
        self._stage = stage
        self._json = msgspec.json.Encoder()
        self._units: tuple[tuple[str, ...], tuple[str, ...], dict[str, str]] = ((), (), {})

    def encode(self, packet: Packet[Result]) -> bytes:
        """The body of a packet as a JSON object.

        Raises:
            BadPacket: a detection is not a finite number.
        """
        value = packet.value
        if isinstance(value, Detections):
            return self._json.encode(self._detections(packet, value))
        if isinstance(value, Score):
            return self._json.encode(self._score(packet, value))
        return self._json.encode(self._features(packet, value))

    def _detections(self, packet: Packet[Any], found: Detections) -> DetectionsBody:
        corners: list[list[float]] = found.xyxy.tolist()
        scores: list[float] = found.scores.tolist()
        if not isfinite(sum(map(sum, corners)) + sum(scores)):
            raise BadPacket("a detection is not a finite number", reason="not_finite")
        labels = found.labels
        return DetectionsBody(
            schema="edgeapp/detections/1",
            count=len(scores),
            boxes=_boxes(corners),
            labels=[labels[c] for c in found.classes.tolist()],
            scores=[_steps(score, _SCORE_STEPS) / _SCORE_STEPS for score in scores],
            **self._where(packet),
        )

    def _score(self, packet: Packet[Any], score: Score) -> ScoreBody:
        return ScoreBody(
            schema="edgeapp/score/1",
            value=float(score.value),
            ready=score.ready,
            progress=min(1.0, max(0.0, float(score.progress))),
            parts={name: float(part) for name, part in score.parts.items()},
            **self._where(packet),
        )

    def _features(self, packet: Packet[Any], features: Features) -> FeaturesBody:
        names, units, by_name = self._units
        if names is not features.names or units is not features.units:
            by_name = dict(zip(features.names, features.units, strict=True))
            self._units = (features.names, features.units, by_name)
        return FeaturesBody(
            schema="edgeapp/features/1",
            values=dict(zip(features.names, features.values.tolist(), strict=True)),
            units=by_name,
            **self._where(packet),
        )

    def _where(self, packet: Packet[Any]) -> dict[str, Any]:
        trail = packet.trail
        model, variant, rung = trail[-1][1:] if trail else (None, None, None)
        return {
            "pipeline": self._pipeline,
            "stage": self._stage,
            "origin": packet.origin,
            "epoch": packet.epoch,
            "seq": packet.seq,
            "part": packet.part,
            "model": model,
            "variant": variant,
            "rung": rung,
            "lost": packet.lost,
        }


def _steps(fraction: float, steps: int) -> int:
    """A fraction in whole steps, clipped to 0..1; several times quicker than `round`."""
    if fraction <= 0.0:
        return 0
    return int(fraction * steps + 0.5) if fraction < 1.0 else steps


def _boxes(corners: list[list[float]]) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom to x, y, width, height of what lies within the picture.

    Plain Python: below ten boxes it is quicker than numpy.
    """
    boxes = []
    for left, top, right, bottom in corners:
        x = _steps(left, _BOX_STEPS)
        y = _steps(top, _BOX_STEPS)
        width = max(0, _steps(right, _BOX_STEPS) - x)
        height = max(0, _steps(bottom, _BOX_STEPS) - y)
        boxes.append((x / _BOX_STEPS, y / _BOX_STEPS, width / _BOX_STEPS, height / _BOX_STEPS))
    return boxes
