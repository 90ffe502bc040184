"""The thread that writes clips, so that neither the encoder nor a slow disk holds up the hands."""

import errno
import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeapp.actions._clip_file import ClipFile, Codec, failures
from edgeapp.actions._clip_options import MB
from edgeapp.actions._numbered import NumberedFiles
from edgeapp.actions._ring import Shot
from edgeapp.api import BadPacket, Log

_LOOK_BYTES = 2 * MB
"""How much a clip grows between two looks at the room on the disk."""
_MOST_WAITING = 64
"""Clips that may wait, begun and ended, while the disk is slow; their bytes are bounded apart."""
_MOST_PROBLEMS = 8
_IDLE_S = 10.0
"""A clip that gets no picture for so long is completed: the camera may be gone for days."""
_NICE = 5
"""The writer gives way to inference, which gets three times its share of a busy core."""
_UNHURRIED_S = 60.0
"""For completing clips when a stream ends, and nobody waits..."""
_STOP_S = 4.0
"""... and when the pipeline stops: less than what it has to drain."""
_LOOK_S = 0.05
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a folder's disk clips may take, in bytes."""

    folder: Path
    quota: int
    keep_free: int

    def free(self) -> int:
        """What programs may still write there."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize


@dataclass(slots=True, eq=False)
class Recording:
    """A clip as it was asked for. Its file begins with the first picture that comes for it."""

    about: Mapping[str, Any]
    """Why it was begun, for the MP4's comment."""
    skipped: int = 0
    """Pictures left out, because writing could not keep up."""
    ended: bool = False
    cancelled: bool = False


class ClipWriter:
    """Writes recordings one after the other, on a thread of its own, in bounded memory.

    `begin`, `add` and `end` never wait for the disk: they are for the stage's thread. What went
    wrong is to be fetched with `problem` afterwards.
    """

    def __init__(
        self,
        name: str,
        files: NumberedFiles,
        codec: Codec,
        *,
        room: Room,
        max_bytes: int,
        log: Log,
    ) -> None:
        self._files = files
        self._codec = codec
        self._room = room
        self._max_bytes = max_bytes
        self._log = log
        self._changed = threading.Condition()
        self._queue: deque[tuple[Recording, Shot | Literal["end"]]] = deque()
        self._queued_bytes = 0
        self._waiting = 0  # recordings begun and not completed
        self._closing = self._hurry = self._left_behind = False
        self._problems: deque[BaseException] = deque(maxlen=_MOST_PROBLEMS)
        self._clip: ClipFile | None = None
        self._recording = Recording({})  # what the open clip belongs to
        self._given_up: Recording | None = None
        self._looked_at = 0  # size of the clip when there was room for it last
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- for the stage's thread -------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self, about: Mapping[str, Any]) -> Recording:
        """Begin a recording; where too many wait already, nothing of it will be kept."""
        recording = Recording(about)
        with self._changed:
            if self._waiting < _MOST_WAITING:
                self._waiting += 1
            else:
                recording.ended = True
                problem = "a clip was left out: those before it are still being written"
                self._problems.append(BadPacket(problem, reason="slow_disk"))
        return recording

    def add(self, recording: Recording, shot: Shot) -> None:
        """Hand over a picture, later than those before; left out where too much waits already."""
        with self._changed:
            if recording.ended:
                return
            if self._queued_bytes + len(shot.jpeg) > self._max_bytes:
                recording.skipped += 1
                return
            self._queue.append((recording, shot))
            self._queued_bytes += len(shot.jpeg)
            self._changed.notify()

    def end(self, recording: Recording) -> None:
        """Nothing more comes for it: complete it."""
        with self._changed:
            if not recording.ended:
                recording.ended = True
                self._queue.append((recording, "end"))
                self._changed.notify()

    def cancel(self, recording: Recording) -> None:
        """Nothing of it is to be kept."""
        recording.cancelled = True
        self.end(recording)

    def problem(self) -> BaseException | None:
        """What went wrong first and was not fetched yet."""
        return self._problems.popleft() if self._problems else None

    def close(self, stopping: threading.Event) -> bool:
        """Complete what was ended; False when that takes too long, and the rest is left behind.

        Once the pipeline stops, pictures that still wait are left out after a while.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        for _ in range(round(_UNHURRIED_S / _LOOK_S)):
            if stopping.is_set() or not self._thread.is_alive():
                break
            self._thread.join(_LOOK_S)
        self._thread.join(_STOP_S * 2 / 3)
        self._hurry = True
        self._thread.join(_STOP_S / 3)
        with self._changed:
            self._left_behind = self._thread.is_alive()
        return not self._left_behind

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # of this thread
        known: tuple[type[Exception], ...] = (BadPacket, *failures())
        try:
            while (item := self._next()) is not None:
                recording, what = item
                try:
                    if isinstance(what, Shot):
                        self._write(recording, what)
                    elif self._clip is not None:
                        self._complete(self._clip, recording)
                except known as error:
                    self._give_up(recording, error)
                if what == "end":
                    with self._changed:
                        self._waiting -= 1
        except BaseException as error:  # noqa: BLE001 - a bug; the stage raises it again
            self._problems.append(error)

    def _next(self) -> tuple[Recording, Shot | Literal["end", "idle"]] | None:
        """What to do next; None once all is done and nothing more will come."""
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                if not self._changed.wait(_IDLE_S if self._clip else None) and self._clip:
                    return self._recording, "idle"
            item = self._queue.popleft()
            if isinstance(item[1], Shot):
                self._queued_bytes -= len(item[1].jpeg)
            return item

    def _write(self, recording: Recording, shot: Shot) -> None:
        if recording is self._given_up or recording.cancelled:
            return
        if self._hurry:
            recording.skipped += 1
            return
        if self._clip is None:
            self._make_room(len(shot.jpeg))
            self._looked_at = 0
            self._recording = recording
            about = json.dumps({**recording.about, "first_t_ns": shot.t_ns}, ensure_ascii=False)
            self._clip = ClipFile(self._files.next(), self._codec, about, shot)
        else:
            self._clip.add(shot)
        if self._clip.bytes - self._looked_at >= _LOOK_BYTES:
            self._make_room(self._clip.bytes)
            self._looked_at = self._clip.bytes

    def _complete(self, clip: ClipFile, recording: Recording) -> None:
        if recording.cancelled:
            self._clip = None
            clip.discard()
            return
        self._make_room(clip.bytes)
        clip.complete()
        with self._changed:
            if self._left_behind:  # its name may be another one's by now
                raise BadPacket("a clip came too late for the end", reason="slow_disk")
            clip.publish()
        self._clip = None
        self._files.keep(clip.bytes)
        facts = {
            "file": clip.file.name,
            "length_s": round((clip.last_ns - clip.first_ns) / 1e9, 2),
            "pictures": clip.shots,
            "bytes": clip.bytes,
        }
        if recording.skipped:
            self._log.warning("clip saved with gaps", skipped=recording.skipped, **facts)
        else:
            self._log.info("clip saved", **facts)

    def _make_room(self, size: int) -> None:
        """Delete the oldest clips until one of this size may be there, too.

        Raises:
            BadPacket: all clips are gone, and there is still no room.
        """
        room, files = self._room, self._files
        while files.bytes + size > room.quota or room.free() < room.keep_free:
            if len(files):
                files.delete_oldest()
            elif size > room.quota:
                problem = f"a clip was not saved: alone it is over the quota of {_mb(room.quota)}"
                raise BadPacket(problem, reason="quota")
            else:
                problem = (
                    f"a clip was not saved: the disk has {_mb(room.free())} free, and "
                    f"{_mb(room.keep_free)} are to stay free"
                )
                raise BadPacket(problem, reason="disk_full")

    def _give_up(self, recording: Recording, error: BaseException) -> None:
        self._given_up = recording
        clip, self._clip = self._clip, None
        if clip is not None:
            with suppress(OSError):  # the next start cleans up
                clip.discard()
        if not isinstance(error, BadPacket):
            number = error.errno if isinstance(error, OSError) else None
            said = getattr(error, "strerror", None) or error
            reason = "disk_full" if number in _FULL else "not_written"
            error = BadPacket(f"a clip was not saved: {said}", reason=reason)
        self._problems.append(error)


def _mb(size: int) -> str:
    return f"{size / MB:.0f} MB"
