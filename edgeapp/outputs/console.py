"""The `console` output: results for a person who watches."""

import sys
from datetime import datetime
from typing import Any

import msgspec

from edgeapp.api import Context, Message, Options, Packet, Unavailable, output
from edgeapp.outputs.encoder import BodyEncoder, Result

_NAMED = 3  # detections or values that are named one by one


class ConsoleOptions(Options):
    """Options of the `console` output: none."""


@output("console")
class Console:
    """Print one short line for each result."""

    def __init__(self, options: ConsoleOptions, context: Context) -> None:
        del options
        self._topic = f"{context.pipeline}/{context.id}"
        self._bodies = BodyEncoder(context.pipeline, context.id)

    def encode(self, packet: Packet[Result]) -> Message:
        """The line's facts, not yet sealed."""
        return Message(self._topic, self._bodies.encode(packet), packet.taken_ns)

    def deliver(self, sealed: bytes) -> None:
        """Print the line to standard output.

        Raises:
            Unavailable: standard output is closed.
        """
        try:
            sys.stdout.write(line(msgspec.json.decode(sealed)) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError) as error:  # ValueError: closed within this process
            raise Unavailable(f"standard output cannot be written: {error}") from error


def line(message: dict[str, Any]) -> str:
    """A sealed message as one line for people: who, when (local time), what, by which variant."""
    when = datetime.fromisoformat(message["time"]).astimezone().strftime("%H:%M:%S")
    by = f" ({message['variant']})" if message["variant"] else ""
    lost = f" [{message['lost']} lost before]" if message["lost"] else ""
    who = f"{message['pipeline']}.{message['stage']}"
    text = f"{who:<24}  {when}  {_WORDS[message['schema']](message)}{by}{lost}"
    # Labels come out of model files: keep them from steering the terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _detections(message: dict[str, Any]) -> str:
    rows = zip(message["labels"], message["scores"], message["boxes"], strict=True)
    named = [f"{label} {score:.2f} at {x:.2f},{y:.2f}" for label, score, (x, y, _w, _h) in rows]
    if not named:
        return "nothing"
    more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def _score(message: dict[str, Any]) -> str:
    if not message["ready"]:
        return f"learning {message['progress']:.0%}"
    return f"score {_number(message['value'])}"


def _features(message: dict[str, Any]) -> str:
    units = message["units"]
    named = [
        f"{name} {_number(value)}" + ("" if units[name] == "1" else f" {units[name]}")
        for name, value in list(message["values"].items())[:_NAMED]
    ]
    left = len(message["values"]) - _NAMED
    return ", ".join(named) + (f", and {left} more" if left > 0 else "")


def _tracks(message: dict[str, Any]) -> str:
    rows = zip(message["labels"], message["ids"], message["boxes"], strict=True)
    named = [f"{label} {number} at {x:.2f},{y:.2f}" for label, number, (x, y, _w, _h) in rows]
    more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more if named else "nothing"


def _event(message: dict[str, Any]) -> str:
    lasted = f" after {message['duration_s']:.1f} s" if message["duration_s"] else ""
    facts = [f"{name} {_fact(fact)}" for name, fact in message["facts"].items()]
    more = f" ({', '.join(facts)})" if facts else ""
    return f"{message['kind']} {message['label']}: {message['phase']}{lasted}{more}"


def _fact(fact: object) -> str:
    return _number(fact) if isinstance(fact, float) or fact is None else str(fact)


def _labels(message: dict[str, Any]) -> str:
    rows = list(zip(message["labels"], message["scores"], strict=True))[:_NAMED]
    return ", ".join(f"{label} {score:.2f}" for label, score in rows)


def _mask(message: dict[str, Any]) -> str:
    return ", ".join(f"{label} {area:.1%}" for label, area in message["areas"].items())


def _pose(message: dict[str, Any]) -> str:
    at = ", ".join(f"{1000 * message[axis]:.1f}" for axis in ("x_m", "y_m", "z_m"))
    return f"{message['label']} at {at} mm"


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.3g}"


_WORDS = {
    "edgeapp/detections/1": _detections,
    "edgeapp/score/1": _score,
    "edgeapp/features/1": _features,
    "edgeapp/tracks/1": _tracks,
    "edgeapp/event/1": _event,
    "edgeapp/labels/1": _labels,
    "edgeapp/mask/1": _mask,
    "edgeapp/pose/1": _pose,
}
