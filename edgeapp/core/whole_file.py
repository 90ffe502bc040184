"""Small files of our own: written whole or not at all, power cut or not, and read with care."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def read_start(path: Path, most_bytes: int, *, inside: Path | None = None) -> bytes:
    """The beginning of a file; never waits for a writer of a pipe.

    `inside`: a folder that somebody else writes to. What links in it lead out of it is not read:
    else they would decide which of our files we read out.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    handle = os.open(path, flags if inside is None else flags | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        if inside is not None:
            # Of what is open now: a path that was checked before may lead elsewhere meanwhile.
            there = Path(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115  of bytes there is no need
            if not there.is_relative_to(inside.resolve()):
                raise OSError(errno.ELOOP, "It lies elsewhere", str(path))
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        return file.read(most_bytes)


def write_whole(path: Path, text: bytes | memoryview, *, draft: Path | None = None) -> None:
    """Write the file, making its folder; what was there before stays until all is on the disk.

    `draft`: its name until it is whole, in the same folder; `<name>.tmp` if not given.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft or path.with_name(f"{path.name}.tmp")
    try:
        with suppress(FileNotFoundError):
            draft.unlink()  # a pipe there would never be opened, and a link lead elsewhere
        with draft.open("xb") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()  # on a full disk it would take what little is left
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: those of new files, and those that are gone.

    Raises:
        OSError: it cannot be done.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
