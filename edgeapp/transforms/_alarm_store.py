"""What a machine's alarms leave on disk: the one that is latched, and windows of the signal."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from edgeapp.api import Signal
from edgeapp.core.whole_file import write_whole

_VERSION = 1


@dataclass(slots=True)
class Alarm:
    """An alarm, from when it is raised until it ends."""

    number: int
    """1, 2, 3... on this machine, through restarts."""
    zone: str
    """The worst that it reached."""
    mm_s: float
    """The highest velocity that it reached."""
    channel: str
    acknowledged: bool = False
    window: str = ""
    """The file with the window that raised it."""


class AlarmStore:
    """The files of one stage, below its state directory. All bounded, each whole or not there."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._file = folder / "alarm.json"
        self._windows = folder / "alarms"
        self._keep = keep

    def load(self) -> tuple[int, Alarm | None]:
        """The number of the newest alarm, and the alarm that was latched at the end.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        newest = max(self._numbers(), default=0)
        try:
            stored = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return newest, None
        try:
            if stored["version"] != _VERSION:
                raise ValueError(f"it has version {stored['version']}, not {_VERSION}")
            alarm = None if stored["alarm"] is None else Alarm(**stored["alarm"])
            return max(newest, int(stored["newest"])), alarm
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is damaged: {error!r}") from None

    def save(self, newest: int, alarm: Alarm | None) -> None:
        """Keep these.

        Raises:
            OSError: they cannot be written; what was there before is untouched.
        """
        kept = None if alarm is None else asdict(alarm)
        head = {"version": _VERSION, "newest": newest, "alarm": kept}
        write_whole(self._file, json.dumps(head).encode())

    def keep_window(self, number: int, signal: Signal, facts: Mapping[str, object]) -> str:
        """Store the window that raised an alarm; returns the name of its file.

        `<number>.npy` has the samples, (channels, samples) float32, `<number>.json` what they are.
        Of more than are to be kept the oldest go.

        Raises:
            OSError: it cannot be written.
        """
        samples = BytesIO()
        np.save(samples, signal.samples, allow_pickle=False)
        about = {
            **facts,
            "rate_hz": signal.rate_hz,
            "channels": signal.channels,
            "units": signal.units,
        }
        name = f"{number:06d}"
        write_whole(self._windows / f"{name}.json", json.dumps(about, ensure_ascii=False).encode())
        write_whole(self._windows / f"{name}.npy", samples.getvalue())
        for old in self._numbers()[: -self._keep]:
            for suffix in (".npy", ".json"):
                (self._windows / f"{old:06d}{suffix}").unlink(missing_ok=True)
        return f"alarms/{name}.npy"

    def _numbers(self) -> list[int]:
        """Of the windows that are kept, oldest first."""
        names = (file.stem for file in self._windows.glob("*.json"))
        return sorted(int(name) for name in names if name.isdecimal())
