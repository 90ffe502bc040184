"""Numbers, times and results in words that people read at a glance."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.payload import (
    Bands,
    Detections,
    Features,
    Image,
    Score,
    Signal,
    Spectrogram,
    Tracks,
)

_NAMED = 3
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def result(value: object) -> str:
    """A payload in a few words; empty for what has none, such as a model's raw tensors."""
    say = _WORDS.get(type(value))
    return "" if say is None else say(value)


def _detections(found: Detections) -> str:
    if not len(found):
        return "nothing found"
    named = [
        f"{found.labels[int(kind)]} {float(score):.2f}"
        for kind, score in zip(found.classes[:_NAMED], found.scores[:_NAMED], strict=True)
    ]
    more = f", {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return printable(", ".join(named) + more)


def _tracks(tracks: Tracks) -> str:
    if not len(tracks):
        return "nothing there"
    named = [
        f"{tracks.labels[int(kind)]} {int(number)}"
        for kind, number in zip(tracks.classes[:_NAMED], tracks.ids[:_NAMED], strict=True)
    ]
    more = f", {len(tracks) - _NAMED} more" if len(tracks) > _NAMED else ""
    return printable(", ".join(named) + more)


def _event(event: Event) -> str:
    facts = [f"{name} {_fact(fact)}" for name, fact in list(event.facts.items())[:_NAMED]]
    said = f"{event.kind} {event.label}: {event.phase}"
    return printable(f"{said} ({', '.join(facts)})" if facts else said)


def _fact(fact: float | str | bool) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return fact if isinstance(fact, str) else f"{fact:.4g}"


def _labels(answer: Labels) -> str:
    return printable(", ".join(f"{label} {score:.2f}" for label, score in answer.best(_NAMED)))


def _mask(mask: Mask) -> str:
    largest = sorted(mask.areas().items(), key=lambda area: -area[1])[:_NAMED]
    return printable(", ".join(f"{label} {100 * area:.0f} %" for label, area in largest if area))


def _pose(pose: Pose) -> str:
    x_mm, y_mm, z_mm = (1000 * pose.position_m).tolist()
    return printable(f"{pose.label} at {x_mm:.0f}, {y_mm:.0f}, {z_mm:.0f} mm")


def _score(score: Score) -> str:
    if not score.ready:
        return f"learning {100 * score.progress:.0f} %"
    if math.isnan(score.value):
        return "score not a number"
    return f"score {score.value:.2f}, {'normal' if score.value < 1 else 'unusual'}"


def _features(features: Features) -> str:
    named = zip(features.names[:_NAMED], features.values[:_NAMED], strict=True)
    more = ", …" if len(features.names) > _NAMED else ""
    return ", ".join(f"{name} {number:.3g}" for name, number in named) + more


def _image(image: Image | Bands) -> str:
    width, height = image.size
    return f"{width} x {height}"


def _signal(signal: Signal) -> str:
    seconds = signal.samples.shape[1] / signal.rate_hz
    return f"{plural(len(signal.channels), 'channel')}, {span(seconds)}"


def _spectrogram(spectrogram: Spectrogram) -> str:
    frames, bands = spectrogram.values.shape
    return f"{plural(frames, 'frame')} of {plural(bands, 'band')}"


_WORDS: Mapping[type, Callable[[Any], str]] = {
    Detections: _detections,
    Score: _score,
    Features: _features,
    Image: _image,
    Signal: _signal,
    Tracks: _tracks,
    Event: _event,
    Labels: _labels,
    Mask: _mask,
    Pose: _pose,
    Bands: _image,
    Spectrogram: _spectrogram,
}


def printable(text: str) -> str:
    """Text that cannot steer a terminal: labels come out of model files, topics from anyone."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def seconds_of(text: str) -> float:
    """A duration such as 30s, 5m or 2h in seconds; a bare number is seconds.

    Raises:
        ValueError: it is none, or it is zero; a sentence for the user.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise ValueError(f"'{text}' is no duration; write it as in 30s, 5m or 2h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def span(seconds: float) -> str:
    """A stretch of time: "250 ms", "2.5 s", "1:05", "2:03:09"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004  a decimal says something below ten
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def clock(seconds: float) -> str:
    """Time on a stopwatch: "0:05", "12:34", "2:03:09"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plural(count: int, noun: str) -> str:
    """A count and its noun: "1 packet", "12,345 packets"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: float) -> str:
    """So many bytes in a few characters: "812 B", "4.1 kB", "64 MB", by 1024 as device files do."""
    for unit in ("B", "kB", "MB"):
        if count < 1023.5:  # noqa: PLR2004  what would be rounded to 1024
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"  # noqa: PLR2004  a decimal says something below ten
        count /= 1024
    return f"{count:,.1f} GB"


def rate(per_s: float) -> str:
    """A rate in at most five characters: "0.5", "29.9", "9,950"."""
    if per_s < 9.95:  # noqa: PLR2004  two digits are enough
        return f"{per_s:.1f}" if per_s else "0"
    return f"{per_s:.1f}" if per_s < 99.95 else f"{per_s:,.0f}"  # noqa: PLR2004


def milliseconds(value: float | None) -> str:
    """A latency in at most five characters; empty for None."""
    if value is None:
        return ""
    if value < 9.95:  # noqa: PLR2004  two digits are enough
        return f"{value:.2f}" if value < 1 else f"{value:.1f}"
    return f"{value:.0f}"


def reasons(dropped: dict[str, int]) -> str:
    """What was dropped and why: "12 full, 3 late"."""
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
