"""The numbered files of one stage in a folder: their names, sizes, and how the oldest go."""

import re
from collections import deque
from pathlib import Path

from edgeapp.api import Context
from edgeapp.core.whole_file import write_whole


class NumberedFiles:
    """Files called `<pipeline>-<stage>-00000001.jpg` and so on, so that names sort by their time.

    Numbers go on after a restart, even when someone took the files away. Files of others, and
    those of other stages, are never touched. A file is written as `part_of(file)`, which is
    hidden, and renamed once it is whole. For one thread; every method may raise OSError.
    """

    def __init__(self, folder: Path, suffix: str, context: Context) -> None:
        self._folder = folder
        self._suffix = suffix
        self._prefix = f"{context.pipeline}-{context.id}"
        self._own = re.compile(rf"{re.escape(self._prefix)}-(\d{{8,}}){re.escape(suffix)}")
        self._memory = context.state_dir / "last_number"
        self._kept: deque[tuple[int, int]] = deque()  # (number, bytes), oldest first
        self._last = 0
        self.bytes = 0
        """Of all files that are kept."""

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def open(self) -> None:
        """Find the files of earlier runs; clean up what a kill or a power cut left half done."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for rest in self._folder.glob(f".{self._prefix}-*{self._suffix}.part"):
            if self._own.fullmatch(rest.name[1 : -len(".part")]):
                rest.unlink(missing_ok=True)
        named = ((self._own.fullmatch(path.name), path) for path in self._folder.iterdir())
        found = sorted((int(name[1]), path.stat().st_size) for name, path in named if name)
        self._kept = deque(found)
        self._last = max([self._remembered(), *(number for number, _ in found[-1:])])
        self.bytes = sum(size for _, size in found)

    def next(self) -> Path:
        """Where the next file goes. The number is used up by `keep` alone."""
        return self._file(self._last + 1)

    @staticmethod
    def part_of(file: Path) -> Path:
        """The hidden name of a file that is not whole yet."""
        return file.with_name(f".{file.name}.part")

    def keep(self, size: int) -> None:
        """The file that `next` named is there now, with so many bytes."""
        self._last += 1
        self._kept.append((self._last, size))
        self.bytes += size
        write_whole(self._memory, b"%d\n" % self._last)

    def delete_oldest(self) -> None:
        """Delete the oldest file, if it is there still."""
        number, size = self._kept[0]
        self._file(number).unlink(missing_ok=True)
        self._kept.popleft()
        self.bytes -= size

    def _file(self, number: int) -> Path:
        return self._folder / f"{self._prefix}-{number:08}{self._suffix}"

    def _remembered(self) -> int:
        try:
            return int(self._memory.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0  # the files in the folder tell too
