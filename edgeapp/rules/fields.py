"""What a rule can name: the fields of each payload, in one table.

A number is read as a float, and not-a-number where a packet does not say it; a text, or true and
false, as None there. Readers never raise.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import degrees, nan, sqrt
from numbers import Real
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias

from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.clock import NS
from edgeapp.core.payload import Detections, Features, Payload, Score, Tracks

Kind = Literal["number", "text", "truth", "any"]
"""What a field is. "any": what it is compared with decides."""

Read: TypeAlias = Callable[[Any], Any]
"""From a packet (or a row of `detection_rows`) to a value."""


@dataclass(frozen=True, slots=True)
class RuleField:
    """A word that a rule can use."""

    kind: Kind
    about: str
    read: Read | None = None
    """None where it needs a key."""
    at: Callable[[str], Read] | None = None
    """What reads `name["key"]`."""
    of: Callable[[str], Read] | None = None
    """What reads `name("label")`."""
    keys: Callable[[Any], Iterable[str]] | None = None
    """From a payload, all keys or texts that its stage will ever give; None where that is open."""


def number(value: object) -> float:
    """Any number as a float; not-a-number for what is none."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, Real):  # Real: those of numpy, too
        return nan
    try:
        return float(value)
    except OverflowError:
        return nan


def _named(labels: tuple[str, ...], index: int) -> str | None:
    return labels[index] if 0 <= index < len(labels) else None


_labels = attrgetter("labels")
_names = attrgetter("names")


def _numbered(
    names_of: Callable[[Any], tuple[str, ...]],
    name: str,
    read: Callable[[Any, int], float],
    otherwise: float = nan,
) -> Read:
    """`read` of a payload and the position of a name in it, which is looked up when names change."""
    known: tuple[str, ...] | None = None
    index = -1

    def numbered(packet: Any) -> float:
        nonlocal known, index
        payload = packet.value
        names = names_of(payload)
        if names is not known:
            index = names.index(name) if name in names else -1
            known = names
        return otherwise if index < 0 else read(payload, index)

    return numbered


# -- every packet -------------------------------------------------------------------------------


def _of_trail(part: int) -> Read:
    return lambda packet: packet.trail[-1][part] if packet.trail else None


def _rung(packet: Any) -> float:
    return float(packet.trail[-1].rung) if packet.trail else nan


_EVERY: Mapping[str, RuleField] = {
    "lost": RuleField("number", "packets lost before it", lambda packet: float(packet.lost)),
    "seq": RuleField("number", "its number within the epoch", lambda packet: float(packet.seq)),
    "epoch": RuleField(
        "number", "how often its source was reopened", lambda packet: float(packet.epoch)
    ),
    "origin": RuleField("text", "id of its source", lambda packet: packet.origin),
    "model": RuleField("text", "the decoder that answered last", _of_trail(1)),
    "variant": RuleField("text", "the variant that answered last", _of_trail(2)),
    "rung": RuleField("number", "that variant's position on its ladder; 0 is the best", _rung),
}


# -- detections ---------------------------------------------------------------------------------


def _best_label(packet: Any) -> str | None:
    found = packet.value
    classes = found.classes
    return _named(found.labels, classes.item(0)) if classes.size else None


def _best_score(packet: Any) -> float:
    scores = packet.value.scores
    return scores.item(0) if scores.size else nan


def _counted(label: str) -> Read:
    return _numbered(
        _labels, label, lambda found, index: float(found.classes.tolist().count(index)), 0.0
    )


_DETECTIONS: Mapping[str, RuleField] = {
    "count": RuleField(
        "number",
        'how many were found; count("person"): how many of a label',
        lambda packet: float(len(packet.value)),
        of=_counted,
        keys=_labels,
    ),
    "label": RuleField("text", "label of the best", _best_label, keys=_labels),
    "score": RuleField("number", "score of the best, 0 to 1", _best_score),
}


# -- numbers ------------------------------------------------------------------------------------


def _value_of(packet: Any) -> float:
    value = packet.value.value
    return value if type(value) is float else number(value)


def _part(key: str) -> Read:
    return lambda packet: number(packet.value.parts.get(key))


_SCORE: Mapping[str, RuleField] = {
    "value": RuleField(
        "number",
        "1 is the edge of what was normal while learning",
        _value_of,
    ),
    "ready": RuleField("truth", "whether it has learned", lambda packet: packet.value.ready),
    "progress": RuleField(
        "number", "how much is learned, 0 to 1", lambda packet: number(packet.value.progress)
    ),
    "parts": RuleField(
        "number",
        'what it is made of: parts["t2"]',
        at=_part,
        keys=lambda payload: payload.parts,
    ),
}


def _value(key: str) -> Read:
    return _numbered(_names, key, lambda features, index: features.values.item(index))


_FEATURES: Mapping[str, RuleField] = {
    "values": RuleField(
        "number",
        'in the unit of the feature: values["x.rms"]',
        at=_value,
        keys=lambda payload: payload.names,
    ),
}


# -- answers ------------------------------------------------------------------------------------


def _top_label(packet: Any) -> str | None:
    labels = packet.value
    return labels.labels[int(labels.scores.argmax())] if labels.labels else None


def _top_score(packet: Any) -> float:
    scores = packet.value.scores
    return float(scores.max()) if len(scores) else nan


def _score_of(key: str) -> Read:
    return _numbered(_labels, key, lambda labels, index: labels.scores.item(index))


_LABELS: Mapping[str, RuleField] = {
    "label": RuleField("text", "the likeliest label", _top_label, keys=_labels),
    "score": RuleField("number", "its score, 0 to 1", _top_score),
    "scores": RuleField(
        "number",
        'that of one label, 0 to 1: scores["dog"]',
        at=_score_of,
        keys=_labels,
    ),
}


def _covered(mask: Any, index: int) -> float:
    size = int(mask.classes.size)
    return int((mask.classes == index).sum()) / size if size else nan


def _area_of(key: str) -> Read:
    return _numbered(_labels, key, _covered)


_MASK: Mapping[str, RuleField] = {
    "areas": RuleField(
        "number",
        'the fraction that a label covers, 0 to 1: areas["weeds"]',
        at=_area_of,
        keys=_labels,
    ),
}


def _metres(axis: int) -> Read:
    return lambda packet: packet.value.position_m.item(axis)


def _length(vector: Any) -> float:
    x, y, z = vector.tolist()
    return sqrt(x * x + y * y + z * z)


_POSE: Mapping[str, RuleField] = {
    "label": RuleField("text", "what it is", lambda packet: packet.value.label),
    "x_m": RuleField("number", "metres to the right", _metres(0)),
    "y_m": RuleField("number", "metres down", _metres(1)),
    "z_m": RuleField("number", "metres away from the camera", _metres(2)),
    "distance_m": RuleField(
        "number", "metres in a straight line", lambda packet: _length(packet.value.position_m)
    ),
    "angle_deg": RuleField(
        "number",
        "by how much it is turned, in degrees",
        lambda packet: degrees(_length(packet.value.rotation_rad)),
    ),
    "error_px": RuleField(
        "number",
        "how far what was seen lies from what the pose explains",
        lambda packet: number(packet.value.error_px),
    ),
}


def _fact(key: str) -> Read:
    return lambda packet: packet.value.facts.get(key)


_EVENT: Mapping[str, RuleField] = {
    "phase": RuleField("text", '"new", "update" or "end"', lambda packet: packet.value.phase),
    "kind": RuleField("text", 'what happens: "zone", "sound"', lambda packet: packet.value.kind),
    "label": RuleField("text", "to what it happens", lambda packet: packet.value.label),
    "score": RuleField(
        "number", "the best score so far, 0 to 1", lambda packet: number(packet.value.score)
    ),
    "duration_s": RuleField(
        "number",
        "seconds since it began",
        lambda packet: (packet.t_ns - packet.value.began_ns) / NS,
    ),
    "facts": RuleField(
        "any",
        'what else is known: facts["zone"]',
        at=_fact,
    ),
}


# -- one detection ------------------------------------------------------------------------------

Row: TypeAlias = tuple[Any, ...]


def detection_rows(found: Detections) -> list[Row]:
    """What rules over single detections read: label, score, left, top, right, bottom, id."""
    labels = found.labels
    ids: Iterable[float] = (
        map(float, found.ids.tolist()) if isinstance(found, Tracks) else (nan,) * len(found)
    )
    return [
        (_named(labels, index), score, *corners, id_)
        for index, score, corners, id_ in zip(
            found.classes.tolist(), found.scores.tolist(), found.xyxy.tolist(), ids, strict=True
        )
    ]


_DETECTION: Mapping[str, RuleField] = {
    "label": RuleField("text", "what it is", itemgetter(0), keys=_labels),
    "score": RuleField("number", "how sure the model is, 0 to 1", itemgetter(1)),
    "left": RuleField("number", "its left edge, 0 to 1 across the picture", itemgetter(2)),
    "top": RuleField("number", "its upper edge, 0 to 1 down the picture", itemgetter(3)),
    "right": RuleField("number", "its right edge", itemgetter(4)),
    "bottom": RuleField("number", "its lower edge", itemgetter(5)),
    "width": RuleField("number", "fraction of the picture's width", lambda row: row[4] - row[2]),
    "height": RuleField("number", "fraction of the picture's height", lambda row: row[5] - row[3]),
    "area": RuleField(
        "number", "fraction of the picture", lambda row: (row[4] - row[2]) * (row[5] - row[3])
    ),
    "x": RuleField("number", "its middle, across", lambda row: (row[2] + row[4]) / 2),
    "y": RuleField("number", "its middle, down", lambda row: (row[3] + row[5]) / 2),
}


# -- the tables ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """What a rule is asked about, and the fields of each payload class there.

    The same word is of the same kind in all tables, so types are known before payloads are.
    """

    noun: str
    tables: Mapping[type[Payload], Mapping[str, RuleField]]

    def fields(self, payload: type) -> Mapping[str, RuleField]:
        """The fields of a payload class, those of its bases included."""
        return _fields(self.noun, payload)


PACKETS = Scope(
    "a packet",
    {
        Payload: _EVERY,
        Detections: _DETECTIONS,
        Score: _SCORE,
        Features: _FEATURES,
        Labels: _LABELS,
        Mask: _MASK,
        Pose: _POSE,
        Event: _EVENT,
    },
)
"""Rules of sinks and gates: asked about a whole packet."""

SINGLE = Scope(
    "a detection",
    {
        Detections: _DETECTION,
        Tracks: {"id": RuleField("number", "the number of the track", itemgetter(6))},
    },
)
"""Rules asked about each detection of a picture: `detection_rows`."""

_SCOPES = {scope.noun: scope for scope in (PACKETS, SINGLE)}


@cache
def _fields(noun: str, payload: type) -> Mapping[str, RuleField]:
    fields: dict[str, RuleField] = {}
    for base in reversed(payload.__mro__):
        fields.update(_SCOPES[noun].tables.get(base, {}))
    return fields
