"""What a message says: the part of the wire contract that a payload decides.

The Structs are the contract; the published JSON Schemas are generated from them. `encoder` makes
them on the lane; the fields of `uplink.wire.Envelope` are put before a body when it is sealed.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]
"""[x, y, width, height] as fractions of the source picture; x, y is top left."""


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
    boxes: list[Box]
    labels: list[str]
    scores: list[Fraction]


class TracksBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Detections that are known from one picture to the next; `ids` go together with the rest."""

    schema: Literal["edgeapp/tracks/1"]
    count: Count
    boxes: list[Box]
    labels: list[str]
    scores: list[Fraction]
    ids: list[Annotated[int, Meta(ge=1)]]
    """None is used for another thing within a run."""


class LabelsBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The classes that a model is surest of, best first; labels and scores go together."""

    schema: Literal["edgeapp/labels/1"]
    labels: list[str]
    scores: list[Fraction]


class MaskBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a picture shows what."""

    schema: Literal["edgeapp/mask/1"]
    areas: dict[str, Fraction]
    """The fraction of the picture that each class covers."""


class PoseBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where something is as the camera sees it, or how far from where it should be."""

    schema: Literal["edgeapp/pose/1"]
    label: str
    x_m: float
    """To the right of the camera."""
    y_m: float
    """Below it."""
    z_m: float
    """Away from it."""
    rotation_rad: tuple[float, float, float]
    """Rotation vector: the axis, as long as the angle."""
    error_px: float
    """How far what was seen lies from what the pose explains."""


class EventBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moment in the life of something that lasts: it is new, it goes on, it ends."""

    schema: Literal["edgeapp/event/1"]
    phase: Literal["new", "update", "end"]
    event: Name
    """The same in all messages on one event."""
    kind: Name
    """What happens: "track", "zone", "line", "sound", "alarm"."""
    label: str
    """To what."""
    duration_s: Annotated[float, Meta(ge=0)]
    """How long it has lasted at `time`."""
    score: float | None
    """The best so far."""
    box: Box | None
    """Where it was at `time`."""
    facts: dict[str, float | str | bool | None]
    """What else its stage has to say; null: not a finite number."""


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
    "tracks": TracksBody,
    "labels": LabelsBody,
    "mask": MaskBody,
    "pose": PoseBody,
    "event": EventBody,
}
"""By name; the schema of each is "edgeapp/<name>/1"."""
