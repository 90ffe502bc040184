"""How this start came about, as the guard before it tells, and the word that all went well.

The guard (`deploy/guard`) runs before each start of the service. It counts the starts that never
became healthy, and says by the environment how the next one is to be: as configured, with the
configuration that was good last, or in safe mode, without pipelines.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgeapp.core.clock import NS, Clock
from edgeapp.core.context import Log
from edgeapp.core.whole_file import read_start, write_whole
from edgeapp.document.render import clean
from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.health import all_well

Mode = Literal["normal", "last-good", "safe"]

HEALTHY = "healthy"
"""File of the data directory with the id of the newest start that became healthy."""
HEALTHY_AFTER_S = 20.0
"""All pipelines are well for so long: the start counts as healthy."""
LOOK_S = 1.0
OLDER = "the configuration that was good last runs, not the one that is there"
_LONGEST_WHY = 300
_LONGEST_ID = 64
_LONGEST_TRIAL = 5


@dataclass(frozen=True, slots=True)
class Start:
    """How this process was started."""

    mode: Mode = "normal"
    """last-good: with the configuration that was kept as good; safe: without pipelines."""
    why: str = ""
    """Why not as configured; a sentence for people."""
    id: str = ""
    """What the guard calls this start; empty: nobody counts starts."""
    trial_s: float | None = None
    """The version is on trial, and has so long to become healthy; None: it is not."""

    def sentence(self) -> str:
        """What a person must know of it; empty: all is as configured."""
        if self.mode == "normal":
            return ""
        what = "safe mode, no pipeline runs" if self.mode == "safe" else OLDER
        return f"{what}: {self.why}" if self.why else what


def start_of(environment: Mapping[str, str] | None = None) -> Start:
    """As the guard put it into the environment; a mode that it does not know of is the normal one."""
    environment = os.environ if environment is None else environment
    mode = environment.get("EDGEAPP_START_MODE", "")
    known: Mode = next((one for one in get_args(Mode) if one == mode), "normal")
    why = clean(environment.get("EDGEAPP_START_WHY", ""))[:_LONGEST_WHY]
    start_id = environment.get("EDGEAPP_START_ID", "")
    good_id = start_id.isascii() and start_id.isprintable() and len(start_id) <= _LONGEST_ID
    trial = environment.get("EDGEAPP_START_TRIAL_S", "")
    on_trial = trial.isascii() and trial.isdecimal() and len(trial) <= _LONGEST_TRIAL
    return Start(known, why, start_id if good_id else "", float(trial) if on_trial else None)


def healthy_start(data_dir: Path) -> str:
    """The id of the newest start that became healthy; empty where none did, or none can tell."""
    try:
        return read_start(data_dir / HEALTHY, _LONGEST_ID + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Healthy:
    """Says once that this start is healthy: all pipelines were well for 20 seconds on end.

    What is to be kept of a healthy start, such as its configuration, is kept then. Without
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
        keep: Callable[[], None] = lambda: None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        `keep` keeps what is good now; it may block, and raise OSError. `end` ends the process in
        order, called on the event loop when a version on trial has not become healthy in time.
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
        while not self.well() or not await asyncio.to_thread(self._say):
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

    def _say(self) -> bool:
        """Keep what is good, and write the mark behind it. Blocks; False: try again."""
        try:
            self._keep()
            self.mark()
        except OSError as error:
            if not self._complained:
                self._log.warning("that all is well cannot be noted", problem=str(error))
            self._complained = True
            return False
        self._log.info("all is well", after_s=HEALTHY_AFTER_S)
        return True
