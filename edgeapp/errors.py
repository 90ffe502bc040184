"""Everything that edgeapp raises on purpose, sorted by who must act.

    BaseException
    ├── Stopping                 nobody: the pipeline is being stopped
    └── EdgeappError
        ├── ConfigError          the user: a file or an option is wrong (exit code 78)
        ├── PluginError          the plugin's author: the plugin itself is wrong
        ├── Unavailable          the world outside: retried for ever, with backoff
        └── BadPacket            nobody: this packet is dropped and counted

Any other exception out of a stage is a Fault: its packet is dropped, the stage is rebuilt.
"""

from collections.abc import Iterable
from dataclasses import dataclass


class Stopping(BaseException):
    """Raised at `emit` and `context.sleep` once the pipeline stops.

    A BaseException, so that a plugin's `except Exception` cannot swallow the shutdown.
    """


class EdgeappError(Exception):
    """Base of every error that edgeapp raises on purpose."""


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a text file. `line` and `column` count from 1; 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0
    width: int = 1
    """Characters to underline, from `column` on."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake: where it is, what it is, what to do about it."""

    place: Place | None
    problem: str
    remedy: str = ""


class ConfigError(EdgeappError):
    """The user's files or options are wrong. Carries every mistake found, in file order."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(c.problem for c in self.complaints))


class PluginError(EdgeappError):
    """A plugin breaks its contract. Names the plugin, the file and what its author must change."""


class Unavailable(EdgeappError):
    """Something outside is not there: camera gone, device busy, disk full.

    Retried for ever with backoff; never counts against the fault budget.
    """


class BadPacket(EdgeappError):
    """This packet cannot be used. It is dropped and counted under `reason`, and work goes on."""

    def __init__(self, message: str, *, reason: str = "bad") -> None:
        super().__init__(message)
        self.reason = reason
