"""Where every thread of this process is: for the log, before a service that hangs is ended."""

import faulthandler
import sys
import threading
from collections.abc import Callable
from types import FrameType

from edgeapp.core.context import Log

MOST_THREADS = 64
MOST_FRAMES = 24
"""Innermost frames of a thread that are told."""

Stack = tuple[str, str]
"""The name of a thread, and its frames, innermost last, a line each."""


def stacks(first: Callable[[str], bool] = lambda _: False) -> list[Stack]:
    """The threads that Python knows of, those first whose names `first` picks; quick.

    Nothing is read from a disk, as source lines would be: a disk may be what hangs.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001  documented, for debuggers such as this
    found = [(names.get(ident, f"thread {ident}"), _told(at)) for ident, at in frames.items()]
    found.sort(key=lambda stack: not first(stack[0]))
    return found[:MOST_THREADS]


def log_stacks(log: Log, first: Callable[[str], bool] = lambda _: False) -> None:
    """Log an error for each thread, with its frames."""
    for name, frames in stacks(first):
        log.error("stack of a thread", thread=name, stack=frames)


def dump_on_crash() -> None:
    """Write the stacks of all threads to standard error when a signal such as SIGABRT ends us.

    It needs no thread of ours: also where one holds the interpreter's lock and never lets go.
    """
    stream = sys.__stderr__
    try:
        if stream is not None:
            faulthandler.enable(file=stream.fileno(), all_threads=True)
    except (OSError, ValueError):  # closed, or no file at all
        return


def _told(frame: FrameType | None) -> str:
    lines: list[str] = []
    while frame is not None and len(lines) < MOST_FRAMES:
        code = frame.f_code
        lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        frame = frame.f_back
    return "\n".join(reversed(lines))
