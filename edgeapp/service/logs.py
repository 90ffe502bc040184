"""The event log: readable lines in a terminal, fields in systemd's journal, JSON on request.

Every line is written at once to whatever `sys.stderr` is at that moment, so a live view that
redirects it keeps the lines above itself.
"""

import os
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO, cast

from edgeapp.core.clock import NS, Clock, MonotonicClock
from edgeapp.core.context import Log
from edgeapp.core.revealed import hidden
from edgeapp.service.systemd.journal import Journal, is_journal

if "rich" in sys.modules:
    import structlog
else:  # structlog.dev, not used here, would load rich: a twentieth of a cold start
    sys.modules["rich"] = cast("Any", None)
    import structlog

    del sys.modules["rich"]

from edgeapp.service.flood import Flood

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

FRAMES = 6
"""Innermost frames of a traceback that are logged."""
REPEATS = 5
"""The same line at most so many times..."""
WITHIN_S = 60
"""...in so many seconds; the next one says how many were left out."""
_MOST_KNOWN = 512

_BELOW = ("exception", "stack")
"""Facts of several lines, which stand below the line."""

_Event = MutableMapping[str, Any]
_COLORS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def format_from(environment: Mapping[str, str] | None = None) -> Format:
    """What EDGEAPP_LOG asks for: json, or text for people."""
    environment = os.environ if environment is None else environment
    return "json" if environment.get("EDGEAPP_LOG") == "json" else "text"


def set_up(
    level: Level = "info",
    form: Format = "text",
    *,
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> Log:
    """A log for `Kit`. `stream`: where lines go instead of the standard error of the moment."""
    clock = clock or MonotonicClock()
    processors: list[Any] = [structlog.processors.add_log_level, Quieter(clock)]
    in_journal = stream is None and is_journal(sys.stderr)
    if in_journal and level != "debug":  # elsewhere somebody asked for it, and reads it
        processors.append(Flood(clock))
    processors += [_short_traceback, _without_secrets]
    logger: Any = _Writer(stream)
    if form == "text" and in_journal:
        logger = Journal(_message, Otherwise(logger))
    elif form == "json":
        processors += [
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    else:
        processors += [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="time"),
            TextLine(stream),
        ]
    wrapper = structlog.make_filtering_bound_logger(LEVELS[level])
    wrapped = structlog.wrap_logger(
        logger, processors=processors, wrapper_class=wrapper, context_class=dict
    )
    return cast(Log, wrapped.bind())


class _Writer:
    """Where structlog ends: one write for each line, so that lines of threads do not mix."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line. A log that nobody can read any more must not stop the device."""
        stream = self._stream or sys.stderr
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = msg


class Otherwise:
    """What becomes of an event that the journal does not take: a line on standard error."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write it."""
        level = event.get("level", "")
        self._writer.msg(f"{level:<7} {_message(event)}".replace("\n", "\n    "))


class Quieter:
    """Lets a line that repeats itself pass a few times a minute, and says how many it held back.

    Two lines are the same when event and facts are; the numbers of a counter make them differ.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, list[int]] = {}  # line -> [first of this minute, passed, held back]

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        """Pass the event on.

        Raises:
            DropEvent: it was said often enough.
        """
        line = repr([(key, value) for key, value in event.items() if key != "exc_info"])
        now_ns = self._clock.now_ns()
        with self._lock:
            seen = self._seen.pop(line, None)
            if seen is None or now_ns - seen[0] >= WITHIN_S * NS:
                if seen is not None and seen[2]:
                    event["repeated"] = seen[2]
                seen = [now_ns, 0, 0]
            self._seen[line] = seen  # the newest at the end
            if len(self._seen) > _MOST_KNOWN:
                del self._seen[next(iter(self._seen))]
            if seen[1] >= REPEATS:
                seen[2] += 1
                raise structlog.DropEvent
            seen[1] += 1
        return event


def _short_traceback(_logger: object, _method: str, event: _Event) -> _Event:
    """Turn `exc_info` into text: the innermost frames and the exception."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    error: BaseException | None
    if isinstance(given, BaseException):
        error = given
    elif isinstance(given, tuple):
        error = cast("tuple[type[BaseException], BaseException, TracebackType]", given)[1]
    else:
        error = sys.exception()
    if error is not None:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-FRAMES)
        event["exception"] = "".join(lines).rstrip()
    return event


def _without_secrets(_logger: object, _method: str, event: _Event) -> _Event:
    """Stars for secrets that were read, which a plugin or a library may have put into an error."""
    return {key: _hidden(value) for key, value in event.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return hidden(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(one) for one in value]
    if isinstance(value, dict):
        return {hidden(str(key)): _hidden(one) for key, one in value.items()}
    return hidden(str(value))


def _message(event: Mapping[str, Any]) -> str:
    """An event as a text that says all without its fields."""
    where = "/".join(str(event[key]) for key in ("pipeline", "stage") if key in event)
    said = f"{where}: {event['event']}" if where else str(event["event"])
    elsewhere = {"level", "event", "pipeline", "stage", *_BELOW}
    facts = {key: value for key, value in event.items() if key not in elsewhere}
    told = " ".join(f"{key}={_value(value)}" for key, value in facts.items())
    first = _printable(f"{said} ({told})" if told else said)
    below = [str(event[key]) for key in _BELOW if event.get(key)]
    return "\n".join([first, *below])


class TextLine:
    """One line for people: time, level, event, facts; a traceback below it, indented."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __call__(self, _logger: object, _method: str, event: _Event) -> str:
        """Render."""
        color = in_color(self._stream or sys.stderr)
        when, level, said = event.pop("time"), event.pop("level"), event.pop("event")
        below = [str(event.pop(key)) for key in _BELOW if event.get(key)]
        facts = " ".join(f"{key}={_value(value)}" for key, value in event.items())
        if color:
            shown = f"{_COLORS.get(level, '')}{level:<7}{_PLAIN}"
            line = f"{_DIM}{when}{_PLAIN} {shown} {_BOLD}{said}{_PLAIN}  {facts}"
        else:
            line = f"{when} {level:<7} {said}  {facts}"
        line = line.rstrip()
        for part in "\n".join(below).splitlines():
            line += f"\n    {_printable(part)}"
        return line


def in_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colors, and the user wants them."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    if text.isprintable() and text and not any(c in ' ="' for c in text):
        return text
    return repr(text)
