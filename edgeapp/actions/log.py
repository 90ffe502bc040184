"""The `log` action: results into the device's event log."""

from typing import Any

from edgeapp.api import Context, Detections, Features, Image, Options, Packet, Score, Signal, action

_NAMED = 8  # features that are named one by one


class LogOptions(Options):
    """Options of the `log` action: none."""


@action("log")
class LogAction:
    """Write each result to the event log."""

    def __init__(self, options: LogOptions, context: Context) -> None:
        del options
        self._log = context.log

    def act(self, packet: Packet[Detections | Score | Features | Signal | Image]) -> None:
        """Log one event that states the packet's key facts."""
        facts = _facts(packet.value)
        if packet.trail:
            facts["variant"] = packet.trail[-1].variant
        if packet.lost:
            facts["lost"] = packet.lost
        self._log.info("result", origin=packet.origin, seq=packet.seq, **facts)


def _facts(value: Detections | Score | Features | Signal | Image) -> dict[str, Any]:
    if isinstance(value, Detections):
        facts: dict[str, Any] = {"count": len(value)}
        if len(value):
            facts["best"] = value.labels[value.classes[0]]
            facts["score"] = round(float(value.scores[0]), 4)
        return facts
    if isinstance(value, Score):
        if not value.ready:
            return {"learning": round(value.progress, 3)}
        return {"score": value.value}
    if isinstance(value, Features):
        return dict(zip(value.names[:_NAMED], value.values[:_NAMED].tolist(), strict=True))
    if isinstance(value, Signal):
        return {"samples": value.samples.shape[1], "channels": list(value.channels)}
    width, height = value.size
    return {"width": width, "height": height}
