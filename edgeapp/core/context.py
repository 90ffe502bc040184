"""What a stage may ask of its surroundings; nothing else is promised."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeapp.core.clock import Clock
from edgeapp.core.message import NeverArrives, Watched
from edgeapp.errors import Stopping


class Log(Protocol):
    """An event log: a constant message, facts as keys. Safe from any thread."""

    def bind(self, **facts: object) -> "Log":
        """The same log, with these facts in every event."""

    def debug(self, event: str, **facts: object) -> object:
        """For whoever develops a stage."""

    def info(self, event: str, **facts: object) -> object:
        """Something normal that an operator may want to know."""

    def warning(self, event: str, **facts: object) -> object:
        """Something that an operator should look at."""

    def error(self, event: str, **facts: object) -> object:
        """Something that stopped working."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one stage. Closed: a stage gets these and no more."""

    pipeline: str
    id: str
    """Id of the stage within its pipeline."""
    log: Log
    """Bound to pipeline and stage already."""
    clock: Clock
    random: random.Random
    """Seeded by the runtime; the same in every stepped run."""
    state_dir: Path
    """This stage's own directory for what must outlive a restart. Made by whoever writes first."""
    stopping: threading.Event
    """Set once the pipeline stops."""
    watch: Callable[[str], Watched] = NeverArrives
    """Follows a topic of the broker, which an option of the type `WatchTopic` must name.

    To be called when the stage is built; `latest()` of what it returns may be called for each packet.
    """

    def sleep(self, seconds: float) -> None:
        """Sleep, but not through a shutdown.

        Raises:
            Stopping: the pipeline stops; let it pass.
        """
        if self.clock.wait(self.stopping, seconds):
            raise Stopping
