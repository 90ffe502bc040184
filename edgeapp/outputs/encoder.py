"""Putting packets into words: from payloads to the bodies of messages."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

import msgspec

from edgeapp.api import (
    BadPacket,
    Detections,
    Event,
    Features,
    Labels,
    Mask,
    Packet,
    Pose,
    Score,
    Tracks,
)
from edgeapp.outputs.bodies import (
    Body,
    DetectionsBody,
    EventBody,
    FeaturesBody,
    LabelsBody,
    MaskBody,
    PoseBody,
    ScoreBody,
    TracksBody,
)

Result = Detections | Event | Score | Features | Labels | Mask | Pose
"""The payloads that can be put into words, Tracks among the Detections. Pictures cannot."""

_BOX_STEPS = 100_000  # five digits: a fifth of a pixel in a picture 20,000 pixels wide
_SCORE_STEPS = 10_000
_LABELS = 5  # the most that a message names


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
            BadPacket: a detection or a pose is not a finite number.
        """
        value = packet.value
        body: Body
        if isinstance(value, Tracks):
            body = self._tracks(packet, value)
        elif isinstance(value, Detections):
            body = self._detections(packet, value)
        elif isinstance(value, Event):
            body = self._event(packet, value)
        elif isinstance(value, Score):
            body = self._score(packet, value)
        elif isinstance(value, Features):
            body = self._features(packet, value)
        elif isinstance(value, Labels):
            body = self._labels(packet, value)
        elif isinstance(value, Mask):
            body = MaskBody(schema="edgeapp/mask/1", areas=value.areas(), **self._where(packet))
        else:
            body = self._pose(packet, value)
        return self._json.encode(body)

    def _detections(self, packet: Packet[Any], found: Detections) -> DetectionsBody:
        return DetectionsBody(schema="edgeapp/detections/1", **_found(found), **self._where(packet))

    def _tracks(self, packet: Packet[Any], tracks: Tracks) -> TracksBody:
        return TracksBody(
            schema="edgeapp/tracks/1",
            ids=tracks.ids.tolist(),
            **_found(tracks),
            **self._where(packet),
        )

    def _event(self, packet: Packet[Any], event: Event) -> EventBody:
        if event.box is not None and not isfinite(sum(event.box)):
            raise BadPacket("the box of an event is not a finite number", reason="not_finite")
        return EventBody(
            schema="edgeapp/event/1",
            phase=event.phase,
            event=event.event,
            kind=event.kind,
            label=event.label,
            duration_s=max(0, packet.t_ns - event.began_ns) // 1_000_000 / 1000,
            score=None if event.score is None else round(event.score, 4),
            box=None if event.box is None else _boxes([event.box])[0],
            facts=dict(event.facts),
            **self._where(packet),
        )

    def _labels(self, packet: Packet[Any], answer: Labels) -> LabelsBody:
        best = [(label, score) for label, score in answer.best(_LABELS) if isfinite(score)]
        return LabelsBody(
            schema="edgeapp/labels/1",
            labels=[label for label, _ in best],
            scores=[_steps(score, _SCORE_STEPS) / _SCORE_STEPS for _, score in best],
            **self._where(packet),
        )

    def _pose(self, packet: Packet[Any], pose: Pose) -> PoseBody:
        x_m, y_m, z_m = pose.position_m.tolist()
        rotation = pose.rotation_rad.tolist()
        if not isfinite(x_m + y_m + z_m + sum(rotation) + pose.error_px):
            raise BadPacket("a pose is not a finite number", reason="not_finite")
        return PoseBody(
            schema="edgeapp/pose/1",
            label=pose.label,
            x_m=round(x_m, 6),
            y_m=round(y_m, 6),
            z_m=round(z_m, 6),
            rotation_rad=(round(rotation[0], 6), round(rotation[1], 6), round(rotation[2], 6)),
            error_px=round(pose.error_px, 3),
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


def _found(found: Detections) -> dict[str, Any]:
    """The fields that detections and tracks share."""
    corners: list[list[float]] = found.xyxy.tolist()
    scores: list[float] = found.scores.tolist()
    if not isfinite(sum(map(sum, corners)) + sum(scores)):
        raise BadPacket("a detection is not a finite number", reason="not_finite")
    labels = found.labels
    return {
        "count": len(scores),
        "boxes": _boxes(corners),
        "labels": [labels[c] for c in found.classes.tolist()],
        "scores": [_steps(score, _SCORE_STEPS) / _SCORE_STEPS for score in scores],
    }


def _steps(fraction: float, steps: int) -> int:
    """A fraction in whole steps, clipped to 0..1; several times quicker than `round`."""
    if fraction <= 0.0:
        return 0
    return int(fraction * steps + 0.5) if fraction < 1.0 else steps


def _boxes(corners: Iterable[Iterable[float]]) -> list[tuple[float, float, float, float]]:
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
