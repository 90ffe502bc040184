"""What a packet says, in words and numbers that fit into a command or a request."""

from math import isfinite

from edgeapp.api import Detections, Event, Features, Labels, Mask, Packet, Pose, Score

Result = Event | Detections | Labels | Score | Features | Mask | Pose
"""The payloads that can be put into words. Pictures and signals cannot."""
Facts = dict[str, str | int | float | bool | None]


def facts_of(packet: Packet[Result]) -> Facts:
    """A flat table of a packet's key facts; numbers are finite, or None.

    Always `origin`, `seq` and `time_s` (stream time); with a model `variant`; then, where the
    payload has them, `label` and `score` (of the best), `count`, and what it has of its own.
    """
    facts = {
        name: None if isinstance(fact, float) and not isfinite(fact) else fact
        for name, fact in _of(packet.value).items()
    }
    facts |= {"origin": packet.origin, "seq": packet.seq, "time_s": round(packet.t_ns / 1e9, 3)}
    if packet.trail:
        facts["variant"] = packet.trail[-1].variant
    return facts


def _of(value: Result) -> Facts:  # noqa: PLR0911 - one for each payload
    match value:
        case Event():
            return {
                **value.facts,
                "event": value.event,
                "phase": value.phase,
                "kind": value.kind,
                "label": value.label,
                "score": value.score,
                "began_s": round(value.began_ns / 1e9, 3),
            }
        case Detections():
            found: Facts = {"count": len(value)}
            if len(value):
                found["label"] = value.labels[value.classes[0]]
                found["score"] = round(float(value.scores[0]), 4)
            return found
        case Labels():
            ((label, score),) = value.best()
            return {"label": label, "score": round(score, 4)}
        case Score():
            return {"score": float(value.value), "ready": value.ready}
        case Features():
            return dict(zip(value.names, value.values.tolist(), strict=True))
        case Mask():
            return {label: round(area, 4) for label, area in value.areas().items()}
        case Pose():
            x, y, z = value.position_m.tolist()
            return {"label": value.label, "x_m": x, "y_m": y, "z_m": z, "error_px": value.error_px}
