"""Files of the kernel, read with care; and a tree of them in memory, for tests and simulations."""

import errno
import itertools
import os
import stat
import weakref
from collections.abc import Iterator, Mapping
from typing import Protocol

MOST_BYTES = 4096
"""Read of a file; what the kernel says in one value is shorter."""
MOST_NAMES = 4096
"""Taken from a folder."""

MOST_KEPT = 64
"""Files that are kept open."""

_KERNEL = ("/sys/", "/proc/pressure/", "/proc/stat", "/proc/meminfo")
"""Not the folders of processes, which come and go."""
_TAKEN_AWAY = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.ESTALE, errno.EBADF})

Content = bytes | str | OSError
"""What a file of a tree holds, or how reading it fails."""


class Files(Protocol):
    """How files are read. Called from one thread."""

    def read(self, path: str) -> bytes:
        """The beginning of a file, at most `MOST_BYTES`.

        Raises:
            OSError: it cannot be read, is not there, or is no file.
        """

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, at most `MOST_NAMES`, in any order.

        Raises:
            OSError: it cannot be read, is not there, or is no folder.
        """


class RealFiles:
    """The files of this device. Never waits for a writer of a pipe, never reads without end.

    What is read again and again of the kernel's own file systems is kept open: it says what is true
    now at each reading, and half of the cost is saved. What cannot be bounded from here is the time
    that a driver takes to answer.
    """

    def __init__(self) -> None:
        self._once: set[str] = set()
        self._kept: dict[str, int] = {}
        weakref.finalize(self, _close_all, self._kept)

    def read(self, path: str) -> bytes:
        """The beginning of a file, at most `MOST_BYTES`.

        Raises:
            OSError: it cannot be read, is not there, or is no regular file.
        """
        kept = self._kept.get(path)
        if kept is not None:
            try:
                return os.pread(kept, MOST_BYTES, 0)
            except OSError as error:
                if error.errno in _TAKEN_AWAY:
                    os.close(self._kept.pop(path))
                raise
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        keep = False
        try:
            # Without O_NONBLOCK the open itself would wait on a pipe; a device is not ours to read.
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            text = os.read(handle, MOST_BYTES)
            keep = self._worth_keeping(path)
        finally:
            if not keep:
                os.close(handle)
        if keep:
            self._kept[path] = handle
        return text

    def _worth_keeping(self, path: str) -> bool:
        if not path.startswith(_KERNEL) or len(self._kept) >= MOST_KEPT:
            return False
        if path in self._once:
            return True
        if len(self._once) < MOST_NAMES:
            self._once.add(path)
        return False

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, at most `MOST_NAMES`, in any order.

        Raises:
            OSError: it cannot be read, is not there, or is no folder.
        """
        with os.scandir(folder) as entries:
            return [entry.name for entry in itertools.islice(entries, MOST_NAMES)]


class TreeFiles:
    """A tree of files in memory: `tree["/sys/class/thermal/thermal_zone0/temp"] = "48200"`.

    Folders come and go with what lies in them. A file that holds an `OSError` raises it anew at each
    reading: `tree[path] = OSError(errno.EIO, "Input/output error")`.
    """

    def __init__(self, files: Mapping[str, Content] | None = None) -> None:
        self._files: dict[str, Content] = {}
        self._folders: dict[str, dict[str, int]] = {}
        """Of each folder the names in it, with how many files lie at or below them."""
        for path, content in (files or {}).items():
            self[path] = content

    def __setitem__(self, path: str, content: Content) -> None:
        """Write a file; folders are made as needed."""
        if path not in self._files:
            for folder, name in _ancestry(path):
                inside = self._folders.setdefault(folder, {})
                inside[name] = inside.get(name, 0) + 1
        self._files[path] = content

    def __delitem__(self, path: str) -> None:
        """Remove a file, and folders that are empty then.

        Raises:
            KeyError: there is no such file.
        """
        del self._files[path]
        for folder, name in _ancestry(path):
            inside = self._folders[folder]
            inside[name] -= 1
            if not inside[name]:
                del inside[name]
            if not inside:
                del self._folders[folder]

    def __contains__(self, path: object) -> bool:
        """Whether there is a file of that path."""
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        """The paths of all files."""
        return iter(self._files)

    def items(self) -> Iterator[tuple[str, Content]]:
        """All files with what they hold."""
        return iter(self._files.items())

    def read(self, path: str) -> bytes:
        """The beginning of a file, at most `MOST_BYTES`.

        Raises:
            OSError: it is not there, is a folder, or holds an error.
        """
        content = self._files.get(path)
        if content is None:
            code = errno.EISDIR if path in self._folders else errno.ENOENT
            raise OSError(code, os.strerror(code), path)
        if isinstance(content, OSError):
            raise OSError(content.errno, content.strerror, path)
        return (content.encode() if isinstance(content, str) else content)[:MOST_BYTES]

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, at most `MOST_NAMES`.

        Raises:
            OSError: it is not there, or is a file.
        """
        inside = self._folders.get(folder)
        if inside is None:
            code = errno.ENOTDIR if folder in self._files else errno.ENOENT
            raise OSError(code, os.strerror(code), folder)
        return list(itertools.islice(inside, MOST_NAMES))


def _close_all(handles: dict[str, int]) -> None:
    for handle in handles.values():
        os.close(handle)
    handles.clear()


def _ancestry(path: str) -> Iterator[tuple[str, str]]:
    """Each folder above a path, nearest first, with the name in it that leads to the path."""
    while True:
        folder, slash, name = path.rpartition("/")
        if not slash:
            return
        yield folder, name
        path = folder
