"""A Unix socket at a path: taken over from a process that is gone, never from one that lives."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def bound(path: Path, mode: int) -> Iterator[socket.socket]:
    """A socket at `path` that does not listen yet, in place of one that nobody listens on.

    It is closed and removed with the block.

    Args:
        path: Of any length; its folder is made.
        mode: Who may connect. Nobody can before it listens.

    Raises:
        OSError: not there; `strerror` says why.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with short(path) as name:
            if path.exists() or path.is_symlink():
                if not stat.S_ISSOCK(path.lstat().st_mode):
                    raise FileExistsError(errno.EEXIST, "there is something else in its place")
                if is_listened_on(name):
                    raise FileExistsError(errno.EEXIST, "another process listens there")
                path.unlink()
            listener.bind(name)
        try:
            path.chmod(mode)
            yield listener
        finally:
            with suppress(OSError):
                path.unlink()


def is_listened_on(name: str) -> bool:
    """Whether a process holds a socket open, also one that hangs and takes no connection any more."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(name)
        except BlockingIOError:  # as many wait for it as may
            return True
        except OSError:
            return False
        return True


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name of at most 108 bytes for a socket, which is all that the system takes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
