"""A disk that can lose its power, fill up and become read-only: ext4 in a file, by a loop device."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN: EXT4_IOC_SHUTDOWN of Linux's fs/ext4/ext4.h."""
_NO_LOG_FLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what is in the page cache or in the open transaction is lost."""
_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of linux/fs.h."""
_NEEDED = (("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("umount", "mount"))
_SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class DisksMissingError(Exception):
    """This machine lets nobody mount a file as a disk."""


class Disk:
    """An ext4 file system, mounted at `folder` from the start.

    What was synced survives `cut_power`, nothing else does: it drops the page cache, though not
    what a disk that lies about its own cache would lose. Whatever becomes of the process that
    made it, nothing stays mounted.
    """

    def __init__(self, place: Path, *, size_mb: int = 64) -> None:
        """Make it, in the folder `place`.

        Raises:
            DisksMissingError: that cannot be done here; says what is missing.
        """
        if os.geteuid() != 0:
            raise DisksMissingError("mounting a disk needs root: use a privileged container")
        self.folder = place / "disk"
        self.folder.mkdir()
        self._image = place / "disk.img"
        self._copies = 0
        with self._image.open("wb") as image:
            image.truncate(size_mb * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        # Ends when its input does, which is at the latest when this process is gone.
        self._janitor = subprocess.Popen(
            ["sh", "-c", 'read -r _; fsfreeze -u "$0"; umount -l "$0"', str(self.folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": _SBIN},
        )
        try:
            self.mount()
        except DisksMissingError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def mount(self) -> None:
        """Mount it; ext4 recovers what its journal holds.

        Who made a mount namespace meanwhile, as each machine of other tests does, still has it
        mounted, with its power cut. Then it is a copy of what was on it that is mounted.
        """
        if _is_attached(self._image):
            held = self._image
            self._copies += 1
            self._image = held.with_name(f"disk-{self._copies}.img")
            _run("cp", "--sparse=always", str(held), str(self._image))
            held.unlink()
        _run("mount", "-o", "loop", str(self._image), str(self.folder))

    def unmount(self) -> None:
        """Unmount it; nobody may have a file on it open."""
        _run("umount", str(self.folder))

    def replace_with(self, other: "Disk") -> None:
        """Mount another one in its place, whoever has files on this one open."""
        _run("umount", "-l", str(self.folder))
        _run("umount", str(other.folder))
        _run("mount", "-o", "loop", str(other._image), str(self.folder))

    def cut_power(self) -> None:
        """Lose what is not synced; every call that touches the disk fails from now on (EIO)."""
        self._ioctl(_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing be written within the block: whoever tries waits for its end."""
        self._ioctl(_FREEZE)
        try:
            yield
        finally:
            self._ioctl(_THAW)

    def become_read_only(self) -> None:
        """Refuse writes from now on (EROFS), as ext4 does once its device has failed it."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def free_bytes(self) -> int:
        """What an unprivileged process could still write."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Write a file, `ballast`, so large that nothing else fits."""
        with (self.folder / "ballast").open("ab", 0) as ballast, suppress(OSError):
            while (room := self.free_bytes() - leave_bytes) > 0:
                ballast.write(bytes(min(room, 1 << 20)))

    def empty(self) -> None:
        """Remove that file."""
        (self.folder / "ballast").unlink()

    def _ioctl(self, request: int, argument: bytes = bytes(4)) -> None:
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, request, argument)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Unmount it, also where files on it are open."""
        self._janitor.communicate()


def _is_attached(image: Path) -> bool:
    """Whether a loop device has it open."""
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # it is let go just now
            if file.read_text().strip() == str(image.resolve()):
                return True
    return False


def _run(program: str, *arguments: str) -> None:
    try:
        subprocess.run(
            [program, *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": _SBIN, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        package = dict(_NEEDED)[program]
        raise DisksMissingError(
            f"'{program}' is not installed: sudo apt install {package}"
        ) from None
    except subprocess.CalledProcessError as error:
        raise DisksMissingError(f"{program} fails here: {error.stderr.strip()}") from error
