"""The word that a start went well, which the guard before the next one looks for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.whole_file import write_whole
from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.monitoring.health import all_well
from edgeapp.service.starts.start import HEALTHY, Start

HEALTHY_AFTER_S = 20.0
"""So long on end a pipeline is well, and it is good; all of them, and the start is healthy."""
LOOK_S = 1.0


async def _nothing() -> None:
    pass


class Healthy:
    """Says once that this start is healthy: all pipelines were well for 20 seconds on end.

    What is to be kept of a healthy start, its configuration, is kept before it is said. Without
    pipelines, as in safe mode, to be there for so long is to be well.
    """

    def __init__(
        self,
        start: Start,
        data_dir: Path,
        statuses: Callable[[], Iterable[PipelineStatus]],
        *,
        clock: Clock,
        log: Log,
        keep: Callable[[], Awaitable[object]] = _nothing,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        `keep` keeps what is good now, and may raise OSError. `end` ends the process in order,
        called on the event loop when a version on trial has not become healthy in time.
        """
        self._start = start
        self._file = data_dir / HEALTHY
        self._statuses = statuses
        self._clock = clock
        self._log = log
        self._keep = keep
        self._end = end
        self._began_ns = clock.now_ns()
        self.gave_up = False
        """This version is on trial, and did not become healthy in time."""
        self._well_since_ns: int | None = None
        self._complained = False

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look about once a second until it is said, or cancelled, or it is too late for it."""
        while not self.well() or not await self._say():
            if self._is_too_late():
                self.gave_up = True
                said = "this version did not become healthy in time: the service ends, to go back"
                self._log.error(said, within_s=self._start.trial_s)
                self._end()
                return
            await sleep(LOOK_S)

    def _is_too_late(self) -> bool:
        """Whether a version on trial had its time: else one that is ill, but never ends, stays."""
        trial_s = self._start.trial_s
        return trial_s is not None and self._clock.now_ns() - self._began_ns >= trial_s * NS

    def well(self) -> bool:
        """Whether all have been well for long enough, as far as this was asked all the while."""
        now_ns = self._clock.now_ns()
        if not all_well(self._statuses()):
            self._well_since_ns = None
            return False
        if self._well_since_ns is None:
            self._well_since_ns = now_ns
        return now_ns - self._well_since_ns >= HEALTHY_AFTER_S * NS

    def mark(self) -> None:
        """Say now that this start is healthy, whatever the pipelines do. Blocks.

        Raises:
            OSError: it cannot be written.
        """
        if self._start.id:
            write_whole(self._file, f"{self._start.id}\n".encode("ascii"))

    async def _say(self) -> bool:
        """Keep what is good, and write the mark behind it; False: try again."""
        try:
            await self._keep()
            await asyncio.to_thread(self.mark)
        except OSError as error:
            if not self._complained:
                self._log.warning("that all is well cannot be noted", problem=str(error))
            self._complained = True
            return False
        self._log.info("all is well", after_s=HEALTHY_AFTER_S)
        return True
