"""A file for whoever helps: all that tells what is wrong with a device, and none of its secrets."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edgeapp.core.whole_file import sync_folder
from edgeapp.service.redaction import Redaction

MOST_BYTES = 10_000_000
"""Of all parts together, before they are packed."""
MOST_PART_BYTES = 2_000_000
"""Of one of them; of a longer one the end is kept, where the newest is."""
_MARGIN = 10_000


class Part(NamedTuple):
    """One file of the bundle, made when its turn comes."""

    name: str
    make: Callable[[], str]
    """Gives the text, with secrets and all. May raise whatever it likes."""


class LeakError(Exception):
    """The bundle would have held a secret; nothing of it is left."""


def write_bundle(
    file: Path, parts: Iterator[Part], redaction: Redaction, *, top: str, made_s: float
) -> dict[str, str]:
    """Write the bundle, for its owner alone; returns what was left out, and why.

    `top`: the folder in it; `made_s`: seconds since 1970. It is read again before it gets its name.

    Raises:
        FileExistsError: there is such a file already.
        LeakError: a secret was found in it; it was deleted.
        OSError: it cannot be written; nothing of it is left.
    """
    if os.path.lexists(file):
        raise FileExistsError(file)
    draft = file.with_name(f".{file.name}.part")
    with suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(
        draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz") as archive:
                left_out = _fill(archive, parts, redaction, top, made_s)
            stream.flush()
            os.fsync(stream.fileno())
        _search(draft, redaction)
        os.link(draft, file)  # unlike a rename it replaces nothing that came meanwhile
    finally:
        with suppress(OSError):
            draft.unlink()
    sync_folder(file.absolute().parent)
    return left_out


def _fill(
    archive: tarfile.TarFile, parts: Iterator[Part], redaction: Redaction, top: str, made_s: float
) -> dict[str, str]:
    left_out: dict[str, str] = {}
    room = MOST_BYTES
    for part in parts:
        try:
            # What cleaning makes longer is cut again; never within a line, as half a secret is not
            # known. Names of files need not be text.
            cleaned = redaction.clean(_end_of(part.make(), MOST_PART_BYTES + _MARGIN))
            data = _end_of(cleaned, MOST_PART_BYTES).encode("utf-8", "replace")
        except Exception as error:  # noqa: BLE001  one part that cannot be had ends no bundle
            left_out[part.name] = redaction.clean(f"{type(error).__name__}: {error}")
            continue
        if len(data) > room:
            left_out[part.name] = f"there was no room left for its {len(data):,} bytes"
            continue
        room -= len(data)
        _add(archive, f"{top}/{part.name}", data, made_s)
    _add(archive, f"{top}/left_out.json", json.dumps(left_out, indent=1).encode(), made_s)
    return left_out


def _end_of(text: str, most: int) -> str:
    """As much of the end of a text as there may be, from the beginning of a line on."""
    if len(text) <= most:
        return text
    return f"[what was before is left out]\n{text[-most:].partition(chr(10))[2]}"


def _add(archive: tarfile.TarFile, name: str, data: bytes, made_s: float) -> None:
    facts = tarfile.TarInfo(name)
    facts.size, facts.mtime, facts.mode = len(data), int(made_s), 0o600
    archive.addfile(facts, io.BytesIO(data))


def _search(draft: Path, redaction: Redaction) -> None:
    """Read all of it again, as whoever gets it will."""
    with tarfile.open(draft, "r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            text = stream.read().decode("utf-8", "replace") if stream else ""
            name = member.name.partition("/")[2]
            if redaction.leaks(text) or redaction.leaks(name):
                raise LeakError(f"a secret was found in its part '{redaction.clean(name)}'")
