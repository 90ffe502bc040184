"""The last good text of each configuration file, for when the file itself is wrong."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from edgeapp.core.whole_file import read_start, write_whole
from edgeapp.document.reader import MAX_BYTES

MOST = 256
"""Of so many files the text is kept; of more, the one that is longest unsaid is forgotten."""
_SCHEMA = "edgeapp/good/1"
_HEADER_BYTES = 16 * 1024


class GoodFiles:
    """Keeps in `<data>/good` what was read when all was well; one file of its own for each.

    A text goes by the absolute path that it was read from, and whatever it names starts beside
    that path. What is damaged counts as not kept. Any thread; blocking.
    """

    def __init__(self, data_dir: Path) -> None:
        """Prepare; nothing is read or made yet."""
        self.folder = data_dir / "good"

    def keep(self, original: Path, text: bytes) -> None:
        """Remember the text of a file, in place of what was remembered of it before.

        What is kept already is not written again: it wears no flash.

        Raises:
            OSError: it cannot be written; what was kept before still is.
            ValueError: no configuration file is that large.
        """
        if len(text) > MAX_BYTES:
            raise ValueError(f"'{original.name}' is larger than {MAX_BYTES // 1024} KiB")
        if self.text_of(original) == text:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        header = {
            "schema": _SCHEMA,
            "path": str(original.absolute()),
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        write_whole(self._file(original), json.dumps(header).encode() + b"\n" + text)
        self._bound()

    def text_of(self, original: Path) -> bytes | None:
        """What was kept of a file; None: nothing, or nothing that is whole."""
        kept = _read(self._file(original))
        return None if kept is None or kept[0] != original.absolute() else kept[1]

    def originals(self) -> tuple[Path, ...]:
        """The files of which a text is kept, by their absolute paths, sorted."""
        found = (_read(file) for file in self._kept())
        return tuple(sorted(kept[0] for kept in found if kept is not None))

    def forget(self, original: Path) -> None:
        """Keep nothing of a file any more.

        Raises:
            OSError: it cannot be removed.
        """
        self._file(original).unlink(missing_ok=True)

    def _file(self, original: Path) -> Path:
        name = hashlib.sha256(str(original.absolute()).encode(errors="surrogateescape"))
        return self.folder / f"{name.hexdigest()[:32]}.good"

    def _kept(self) -> list[Path]:
        try:
            return sorted(self.folder.glob("*.good"))
        except OSError:
            return []

    def _bound(self) -> None:
        ages = []
        for file in self._kept():
            with suppress(OSError):
                ages.append((file.stat().st_mtime_ns, file))
        for _, file in sorted(ages)[: max(0, len(ages) - MOST)]:
            with suppress(OSError):
                file.unlink()


def _read(file: Path) -> tuple[Path, bytes] | None:
    """From where, and what; None where it is not there or not whole."""
    try:
        head, newline, text = read_start(file, _HEADER_BYTES + MAX_BYTES + 1).partition(b"\n")
        header = json.loads(head) if newline else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("schema") != _SCHEMA:
        return None
    path = header.get("path")
    if not isinstance(path, str) or header.get("sha256") != hashlib.sha256(text).hexdigest():
        return None
    return Path(path), text
