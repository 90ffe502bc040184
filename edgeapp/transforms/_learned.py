"""What the `anomaly` transform has seen so far while learning, and its file."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.whole_file import write_whole

Floats = NDArray[np.float64]

MOST_ROWS = 4096
"""Windows kept at most; of more, evenly spread ones."""

_VERSION = 1
_CHECKSUM_BYTES = 32


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

        A checksum, a line of JSON, and the rows as little-endian float64.

        Raises:
            OSError: it cannot be written; what was there before is untouched.
        """
        head = {
            "version": _VERSION,
            "names": self.names,
            "units": self.units,
            "token": self.token,
            "windows": self.windows,
            "learned_ns": self.learned_ns,
            "stride": self.stride,
        }
        body = json.dumps(head).encode() + b"\n" + self.table().astype("<f8").tobytes()
        write_whole(path, sha256(body).digest() + body)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read.
            ValueError: it is damaged, or of another version; says which.
        """
        stored = path.read_bytes()
        body = stored[_CHECKSUM_BYTES:]
        if sha256(body).digest() != stored[:_CHECKSUM_BYTES]:
            raise ValueError("its checksum is wrong")
        line, _, rows = body.partition(b"\n")
        head = json.loads(line)
        if head["version"] != _VERSION:
            raise ValueError(f"it has version {head['version']}, not {_VERSION}")
        learned = cls(
            tuple(head["names"]),
            tuple(head["units"]),
            head["token"],
            head["windows"],
            head["learned_ns"],
            head["stride"],
        )
        table = np.frombuffer(rows, "<f8").astype(np.float64)
        learned.rows = list(table.reshape(-1, len(learned.names)))
        return learned
