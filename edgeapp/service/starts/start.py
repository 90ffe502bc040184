"""How this start came about, as the guard before it tells.

The guard (`deploy/guard`) runs before each start of the service. It counts the starts that never
became healthy, and says by the environment how the next one is to be: as configured, with the
configuration that was good last, or in safe mode, without pipelines.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgeapp.core.whole_file import read_start
from edgeapp.document.render import clean

Mode = Literal["normal", "last-good", "safe"]

HEALTHY = "healthy"
"""File of the data directory with the id of the newest start that became healthy."""
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
