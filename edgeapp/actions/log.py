"""The `log` action: results into the device's event log."""

from functools import singledispatch
from typing import Any

from edgeapp.api import (
    Context,
    Detections,
    Event,
    Features,
    Image,
    Labels,
    Mask,
    Options,
    Packet,
    Payload,
    Pose,
    Score,
    Signal,
    action,
)

_NAMED = 8  # features that are named one by one
_BEST = 3  # labels that are


class LogOptions(Options):
    """Options of the `log` action: none."""


@action("log")
class LogAction:
    """Write each result to the event log."""

    def __init__(self, options: LogOptions, context: Context) -> None:
        del options
        self._log = context.log

    def act(self, packet: Packet[Payload]) -> None:
        """Log one event that states the packet's key facts."""
        facts = _facts(packet.value)
        if packet.trail:
            facts["variant"] = packet.trail[-1].variant
        if packet.lost:
            facts["lost"] = packet.lost
        self._log.info("result", origin=packet.origin, seq=packet.seq, **facts)


@singledispatch
def _facts(value: Payload) -> dict[str, Any]:
    return {"value": type(value).__name__}


@_facts.register
def _(value: Detections) -> dict[str, Any]:
    facts: dict[str, Any] = {"count": len(value)}
    if len(value):
        facts["best"] = value.labels[value.classes[0]]
        facts["score"] = round(float(value.scores[0]), 4)
    return facts


@_facts.register
def _(value: Event) -> dict[str, Any]:
    # Not "event": that is the log's own name for its message.
    told = {"phase": value.phase, "event_id": value.event, "kind": value.kind}
    return {**value.facts, **told, "label": value.label}


@_facts.register
def _(value: Score) -> dict[str, Any]:
    return {"score": value.value} if value.ready else {"learning": round(value.progress, 3)}


@_facts.register
def _(value: Features) -> dict[str, Any]:
    return dict(zip(value.names[:_NAMED], value.values[:_NAMED].tolist(), strict=True))


@_facts.register
def _(value: Labels) -> dict[str, Any]:
    return {label: round(score, 4) for label, score in value.best(_BEST)}


@_facts.register
def _(value: Mask) -> dict[str, Any]:
    return {label: round(area, 4) for label, area in value.areas().items()}


@_facts.register
def _(value: Pose) -> dict[str, Any]:
    return {"label": value.label, "position_m": value.position_m.tolist()}


@_facts.register
def _(value: Signal) -> dict[str, Any]:
    return {"samples": value.samples.shape[1], "channels": list(value.channels)}


@_facts.register
def _(value: Image) -> dict[str, Any]:
    width, height = value.size
    return {"width": width, "height": height}
