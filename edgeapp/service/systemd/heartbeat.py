"""Tells systemd that the service is up, how it goes, and that it is alive.

A sign of life needs two things: that the event loop turns, for it is what sends it, and that no
stage has been inside one call for longer than its `hang_s`. Where the loop itself hangs nothing is
sent: a thread logs what hangs while it still can, and faulthandler, which needs no Python thread,
when systemd ends the process with SIGABRT.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeapp.core.clock import NS
from edgeapp.runtime.app import App
from edgeapp.service.systemd.notify import Notifier
from edgeapp.service.systemd.stacks import log_stacks

LOOK_S = 1.0
FIRST_LOOK_S = 0.1
"""By then pipelines have begun to start."""
STATUS_EVERY_S = 3.0
"""The status is told when it has changed, and at most that often."""
START_STEP_S = 30.0
START_MOST_S = 600.0
"""So long a start may be put off by models that load, in steps; then systemd's own limit holds."""
SUSPICIOUS = 0.75
"""Of the time after which systemd ends the process: by then it is logged where the loop hangs."""
_NOT_OPEN = frozenset({"starting", "stopped"})

Sentence = Callable[[], str]


class Heartbeat:
    """Looks about once a second, on the event loop, and tells the service manager."""

    def __init__(self, app: App, notifier: Notifier, sentence: Sentence) -> None:
        """Prepare. `sentence`: how it goes."""
        self._app = app
        self._notifier = notifier
        self._sentence = sentence
        self._log = app.kit.log
        self._now_ns = app.kit.clock.now_ns
        self._began_ns = self._now_ns()
        self._ready = False
        self._tripped = False
        self._stopping = False
        self._told = ""
        self._told_ns = self._began_ns - round(STATUS_EVERY_S * NS)

    async def run(self) -> None:
        """Beat until cancelled."""
        limit_s = self._notifier.watchdog_s
        every_s = LOOK_S if limit_s is None else min(LOOK_S, limit_s / 4)
        try:
            with self._loop_watched(limit_s) as turned:
                await asyncio.sleep(FIRST_LOOK_S)
                while True:
                    turned()
                    self.beat()
                    await asyncio.sleep(every_s)
        finally:
            self._notifier.stopping()

    def beat(self) -> None:
        """Look once, and tell."""
        if self._app.stopping:  # which has a limit of its own, and names those that are stuck
            if not self._stopping:
                self._stopping = True
                self._notifier.stopping()
            self._notifier.alive()
            return
        if not self._ready:
            self._see_start()
        hung = [
            (pipeline.plan.name, stage, for_s)
            for pipeline in self._app.pipelines
            for stage, for_s in pipeline.hung().items()
        ]
        if self._notifier.watchdog_s is not None and (hung or self._tripped):
            if not self._tripped:
                self._tripped = True
                self._explain(hung)
            self._notifier.stuck()  # an older systemd does not know it, and misses signs of life
        else:
            self._notifier.alive()
        self._tell_status()

    def _see_start(self) -> None:
        if all(pipeline.state not in _NOT_OPEN for pipeline in self._app.pipelines):
            self._ready = True
            self._notifier.ready()
        elif self._now_ns() - self._began_ns < START_MOST_S * NS:
            self._notifier.starting_takes(START_STEP_S)

    def _explain(self, hung: list[tuple[str, str, float]]) -> None:
        for pipeline, stage, for_s in hung:
            self._log.error(
                "stage does not come back, so the service is restarted",
                pipeline=pipeline,
                stage=stage,
                for_s=round(for_s, 1),
            )
        ill = tuple(f"{pipeline}/" for pipeline, _, _ in hung)
        log_stacks(self._log, first=lambda name: name.startswith(ill))

    def _tell_status(self) -> None:
        now_ns = self._now_ns()
        if now_ns - self._told_ns < STATUS_EVERY_S * NS:
            return
        said = self._sentence()
        if said != self._told:
            self._told, self._told_ns = said, now_ns
            self._notifier.status(said)

    @contextmanager
    def _loop_watched(self, limit_s: float | None) -> Iterator[Callable[[], None]]:
        """Log where the loop hangs, from another thread, unless what is given is called often."""
        if limit_s is None:
            yield lambda: None
            return
        over = threading.Event()
        watcher = _LoopWatcher(limit_s * SUSPICIOUS, self._app, over)
        threading.Thread(target=watcher.run, name="heartbeat", daemon=True).start()
        try:
            yield watcher.turned
        finally:
            over.set()


class _LoopWatcher:
    """Sees that the event loop turns; on a thread of its own."""

    def __init__(self, limit_s: float, app: App, over: threading.Event) -> None:
        self._limit_s = limit_s
        self._log = app.kit.log
        self._clock = app.kit.clock
        self._over = over
        self._turned_ns = self._clock.now_ns()

    def turned(self) -> None:
        """The loop came round. Called on it."""
        self._turned_ns = self._clock.now_ns()

    def run(self) -> None:
        """Look until it is over; each time that the loop hangs is logged once."""
        told = False
        while not self._clock.wait(self._over, self._limit_s / 10):
            for_s = (self._clock.now_ns() - self._turned_ns) / NS
            if for_s < self._limit_s:
                if told:
                    self._log.info("the event loop turns again")
                told = False
            elif not told:
                told = True
                self._log.error("the event loop does not turn", for_s=round(for_s, 1))
                log_stacks(self._log, first=lambda name: name == threading.main_thread().name)
