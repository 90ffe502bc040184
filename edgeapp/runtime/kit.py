"""What the runtime is given, and what the threads of one pipeline share."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.message import Uplink
from edgeapp.core.meters import FAILED, STOPPING
from edgeapp.core.revealed import hidden

FAULTS_ALLOWED = 5
FAULTS_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Kit:
    """The device, as pipelines see it: passed in, so that a test can pass another one."""

    clock: Clock
    uplink: Uplink
    pool: Any
    """The pool of model sessions; typed where it is used, to keep onnxruntime out of here."""
    log: Log
    data_dir: Path
    seed: int | None = None
    """Of every stage's random numbers; None for the system's own."""
    open_s: float = 60.0
    """How long opening a lane (loading and warming models) may take before it is reported."""
    drain_s: float = 5.0
    """How long a stopping pipeline may go on answering what it has taken in."""


class FaultBudget:
    """How many faults a pipeline may have before it is taken down for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times_ns: deque[int] = deque()
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Count one fault; False when that was one too many."""
        now_ns = self._clock.now_ns()
        with self._lock:
            self._times_ns.append(now_ns)
            while now_ns - self._times_ns[0] > FAULTS_WITHIN_S * NS:
                self._times_ns.popleft()
            return len(self._times_ns) <= FAULTS_ALLOWED


@dataclass(slots=True)
class Life:
    """One run of a pipeline, from open to closed, as its threads see it."""

    budget: FaultBudget
    stopping: threading.Event = field(default_factory=threading.Event)
    """Sources must end; the rest answers what is left."""
    drop_reason: str | None = None
    """Once set, stages drop everything that reaches them, under this reason."""
    keep: frozenset[str] = frozenset()
    """Ids of stages that remember what they know when the stream ends, and end nothing."""
    failure: str | None = None
    """Why the run failed."""
    wake: Callable[[], None] = lambda: None
    """Called once the run has failed, by the thread that saw it."""

    def fail(self, why: str) -> None:
        """End this run: something in it cannot go on. Any thread; the first reason stays."""
        if self.failure is None:
            self.failure = hidden(why)
        self.drop_reason = FAILED
        self.stopping.set()
        self.wake()

    def hurry(self) -> None:
        """The time to drain is over: drop what is left."""
        if self.drop_reason is None:
            self.drop_reason = STOPPING
