"""Shows a running application: live in a terminal, as plain lines, or as JSON.

A thread of its own does it, because a terminal may block whoever writes to it (Ctrl-S, a slow
line), and neither the event loop nor a lane may wait for that.
"""

import asyncio
import io
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edgeapp.cli import report, words
from edgeapp.runtime.app import App
from edgeapp.service.facts import facts
from edgeapp.service.logs import in_color
from edgeapp.service.recent import Recent

if TYPE_CHECKING:
    from edgeapp.cli.view import UplinkView

    UplinkState = Callable[[], UplinkView | None]

GovernorFacts = Callable[[], Mapping[str, Any] | None]
_LIVE_PERIOD_S = 0.25
_PLAIN_PERIOD_S = 5.0
_JSON_PERIOD_S = 1.0
_SAMPLE_PERIOD_S = 0.5
_JOIN_S = 1.0
_MOST_LINES = 500
"""Lines that wait to be shown above the live view."""


class Show(Protocol):
    """One way to show what is going on. Used by one thread, except `begin` and `end`."""

    period_s: float

    def begin(self, app: App, governor: GovernorFacts) -> None:
        """Called before the thread starts. `governor`: what the watchdog decided last."""

    def tick(self, app: App, elapsed_s: float) -> None:
        """Show the state now. May raise OSError once nobody can read it any more."""

    def end(self, app: App, elapsed_s: float) -> None:
        """Called once all is still; puts back whatever `begin` changed."""


class Watch:
    """Runs a show beside an application; cancelled at its end."""

    def __init__(self, show: Show) -> None:
        self.show = show
        self.nobody_reads = False
        """The output was closed, which stopped the application."""
        self._stop = threading.Event()

    async def __call__(self, app: App, governor: GovernorFacts) -> None:
        """Show until cancelled. `governor`: what the watchdog decided last."""
        began_s = time.monotonic()
        self._stop.clear()
        thread = threading.Thread(target=self._run, args=(app, began_s), name="view", daemon=True)
        self.show.begin(app, governor)
        thread.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._stop.set()
            thread.join(_JOIN_S)
            self.show.end(app, time.monotonic() - began_s)

    def _run(self, app: App, began_s: float) -> None:
        try:
            while not self._stop.wait(self.show.period_s):
                self.show.tick(app, time.monotonic() - began_s)
        except OSError:
            self.nobody_reads = True
            # Like the reader of a pipe that ends: stop, by the one path that there is.
            os.kill(os.getpid(), signal.SIGTERM)


class LiveShow:
    """Repaints a block of lines in the terminal; other output scrolls by above it."""

    period_s = _LIVE_PERIOD_S

    def __init__(self, uplink: "UplinkState", *, for_s: float | None, hint: str) -> None:
        from edgeapp.cli.painter import Painter

        self._uplink = uplink
        self._for_s = for_s
        self._hint = hint
        self._color = in_color(sys.stdout)
        self._painter = Painter(sys.stdout)
        self._recent = Recent()
        self._sampled_s = 0.0
        self._lines = WaitingLines()
        self._replaced: dict[str, TextIO] = {}
        self._governor: GovernorFacts = _nobody

    def begin(self, app: App, governor: GovernorFacts) -> None:
        """Take over standard output and error, where they are the terminal."""
        self._governor = governor
        self._recent.add(0.0, app.status())
        for name in ("stdout", "stderr"):
            stream: TextIO = getattr(sys, name)
            if stream.isatty():
                self._replaced[name] = stream
                setattr(sys, name, Above(stream, self._lines))

    def tick(self, app: App, elapsed_s: float) -> None:
        """Paint a frame, and above it what was written meanwhile."""
        from edgeapp.cli.view import Scene, frame

        pipelines = app.status()
        if elapsed_s - self._sampled_s >= _SAMPLE_PERIOD_S:
            self._sampled_s = elapsed_s
            self._recent.add(elapsed_s, pipelines)
        size = self._painter.size()
        scene = Scene(
            elapsed_s,
            self._for_s,
            pipelines,
            self._recent,
            app.kit.clock.now_ns(),
            self._uplink(),
            self._hint,
            self._governor(),
            color=self._color,
        )
        self._painter.paint(frame(scene, size.columns, size.lines), above=self._lines.take())

    def end(self, app: App, elapsed_s: float) -> None:
        """Paint once more, and leave that frame where it is."""
        for name, stream in self._replaced.items():
            setattr(sys, name, stream)
        with suppress(OSError):  # the terminal is gone, and with it whoever could be told
            self.tick(app, elapsed_s)
            self._painter.close()


class PlainShow:
    """A line for each pipeline every few seconds."""

    period_s = _PLAIN_PERIOD_S

    def __init__(self) -> None:
        self._recent = Recent()

    def begin(self, app: App, governor: GovernorFacts) -> None:
        """Note what rates are counted from."""
        self._recent.add(0.0, app.status())

    def tick(self, app: App, elapsed_s: float) -> None:
        """Print the lines."""
        pipelines = app.status()
        self._recent.add(elapsed_s, pipelines)
        for pipeline in pipelines:
            print(report.plain(pipeline, self._recent, elapsed_s), flush=True)

    def end(self, app: App, elapsed_s: float) -> None:
        """Nothing to put back: the summary follows."""


class JsonShow:
    """A JSON object with everything once a second."""

    period_s = _JSON_PERIOD_S

    def __init__(self, uplink_facts: Callable[[], Mapping[str, Any] | None]) -> None:
        self._uplink_facts = uplink_facts
        self._recent = Recent()
        self._governor: GovernorFacts = _nobody

    def begin(self, app: App, governor: GovernorFacts) -> None:
        """Note what rates are counted from."""
        self._governor = governor
        self._recent.add(0.0, app.status())

    def tick(self, app: App, elapsed_s: float) -> None:
        """Print the object."""
        pipelines = app.status()
        self._recent.add(elapsed_s, pipelines)
        line = {
            "type": "status",
            "elapsed_s": round(elapsed_s, 3),
            "pipelines": [
                facts(pipeline, self._recent, say=words.result) for pipeline in pipelines
            ],
            "uplink": self._uplink_facts(),
            "governor": self._governor(),
        }
        print(json.dumps(line), flush=True)

    def end(self, app: App, elapsed_s: float) -> None:
        """Nothing to put back: the summary follows."""


def _nobody() -> None:
    """Before the application runs nobody governs it."""


class WaitingLines:
    """Text that other threads wrote and the view has not shown yet. Bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[str] = deque()
        self._left_out = 0

    def put(self, line: str) -> None:
        """Keep a line without its end; the oldest goes when there are too many."""
        with self._lock:
            self._lines.append(line)
            if len(self._lines) > _MOST_LINES:
                self._lines.popleft()
                self._left_out += 1

    def take(self) -> str:
        """What was written since the last call."""
        with self._lock:
            lines, self._lines = list(self._lines), deque()
            left_out, self._left_out = self._left_out, 0
        if left_out:
            lines.insert(0, f"... {left_out} lines left out")
        return "".join(f"{line}\n" for line in lines)


class Above(io.TextIOBase):
    """Stands in for a terminal's stream while the live view is up. Never blocks."""

    def __init__(self, stream: TextIO, lines: WaitingLines) -> None:
        self._stream = stream
        self._lines = lines
        self._lock = threading.Lock()
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there, read-only in use
        """The terminal's."""
        return self._stream.encoding

    def fileno(self) -> int:
        """The terminal's."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """As the terminal: what is written here ends there."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Keep the text until the view shows it."""
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
            for line in whole:
                self._lines.put(line)
        return len(text)
