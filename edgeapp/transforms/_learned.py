"""What the `anomaly` transform has seen so far while learning, and its file."""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_ROWS = 4096
"""Windows kept at most; of more, evenly spread ones."""

_VERSION = 1


@dataclass(slots=True)
class Learned:
    """Windows that count as normal."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    token: str
    """The user's `relearn`: another one makes this obsolete."""
    windows: int = 0
    """How many were seen."""
    learned_ns: int = 0
    """Stream time that they cover."""
    stride: int = 1
    """Every so many windows one is kept."""
    rows: list[Floats] = field(default_factory=list)

    def add(self, values: Floats, lasted_ns: int) -> None:
        """See one more window."""
        if self.windows % self.stride == 0:
            self.rows.append(values)
        self.windows += 1
        self.learned_ns += lasted_ns
        if len(self.rows) > MOST_ROWS:
            del self.rows[1::2]
            self.stride *= 2

    def table(self) -> Floats:
        """The windows that were kept, (windows, features), oldest first."""
        return np.array(self.rows, dtype=np.float64).reshape(-1, len(self.names))

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all, power cut or not.

        Raises:
            OSError: it cannot be written; what was there before is untouched.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {
            "version": _VERSION,
            "names": self.names,
            "units": self.units,
            "token": self.token,
            "windows": self.windows,
            "learned_ns": self.learned_ns,
            "stride": self.stride,
        }
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), rows=self.table())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Never unpickles.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or of another version; says why.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                head = json.loads(str(stored["head"]))
                rows = stored["rows"]
            version = head["version"]
            learned = cls(
                tuple(map(str, head["names"])),
                tuple(map(str, head["units"])),
                str(head["token"]),
                int(head["windows"]),
                int(head["learned_ns"]),
                max(1, int(head["stride"])),
            )
        except FileNotFoundError:
            raise
        except (
            ValueError,
            LookupError,
            TypeError,
            OSError,
            EOFError,
            MemoryError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        if version != _VERSION:
            raise ValueError(f"it has version {version}, not {_VERSION}")
        fits = rows.ndim == 2 and rows.shape[1] == len(learned.names) == len(learned.units)  # noqa: PLR2004 - a table
        if not fits or rows.dtype != np.float64 or not np.isfinite(rows).all():
            raise ValueError(f"its rows are {rows.shape} {rows.dtype}")
        learned.rows = list(rows)
        return learned
