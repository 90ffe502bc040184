"""The recording file: what the sources of a pipeline gave, in frames that outlive a power cut.

    "edgerec1"  frame  frame  frame ...  trailer

A frame is its length (u32), the CRC-32 of what follows (u32), a letter and a body; numbers are
little-endian. `H`, first and once: the header, JSON. `P`: a packet, msgpack and the bytes of its
arrays. `E`, last and once: how the recording ended, JSON. The trailer is the length of that last
frame (u32) and "edgerec$". A file without its trailer was cut off: it is read up to its last whole
frame. docs/tools.md tells all of it.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import Hop, Packet
from edgeapp.core.whole_file import sync_folder
from edgeapp.service.recordings.codec import Packer, Stored, payload_of, taken_apart, unpack

VERSION = 1
"""Of the format. A reader refuses a newer one."""

_MAGIC = b"edgerec1"
_END = b"edgerec$"
_HEAD = struct.Struct("<IIc")
_TRAILER = struct.Struct("<I8s")
_U32 = struct.Struct("<I")
_ROOM_FOR_THE_END = 16_384
_MOST_FRAME_BYTES = (1 << 32) - 1


class RecordingError(Exception):
    """A file is no recording, or a damaged one; a sentence for the user."""


class Model(msgspec.Struct, frozen=True):
    """A model file that took part."""

    stage: str
    name: str
    """Of the variant."""
    file: str
    sha256: str


class Header(msgspec.Struct, frozen=True):
    """What was recorded, and by what."""

    version: int
    pipeline: str
    """Its name."""
    text: str
    """Of its file."""
    sets: tuple[str, ...]
    """What `--set` changed."""
    folder: str
    """Where that file was: relative paths in it start there."""
    seed: int
    """Of every stage's random numbers."""
    sources: dict[str, list[str]]
    """Id of each source, and the names of the payloads that it gives."""
    models: tuple[Model, ...]
    versions: dict[str, str]
    """Of edgeapp, Python and the libraries that compute."""
    masked: dict[str, int] = {}
    """Sources whose pictures were blacked out in parts before they were written: how many parts."""


class Ending(msgspec.Struct, frozen=True):
    """How a recording ended."""

    packets: int
    why: str
    """"finished", "stopped", "failed", or "full"."""
    missing: dict[str, int] = {}
    """By source: packets that came too fast to be written."""


class RecordingWriter:
    """Writes a recording under `<file>.part`, and renames it once it is whole. One thread.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, file: Path, header: Header, *, max_bytes: int) -> None:
        self.file = file
        self.draft = file.with_name(f"{file.name}.part")
        self.packets = 0
        self._most = max_bytes - _ROOM_FOR_THE_END
        self._packers = {source: Packer() for source in header.sources}
        self._encoder = msgspec.msgpack.Encoder()
        self._fd = os.open(self.draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = 0
        try:
            self._write([_MAGIC])
            self._write(_frame(b"H", [msgspec.json.encode(header)]))
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        """Nothing more to open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; without `finish` it stays behind as a draft, unless it is empty."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if not self.packets:
                self.draft.unlink(missing_ok=True)

    def add(self, packet: AnyPacket, *, missing: int = 0) -> bool:
        """Write one packet; False, and nothing written, when that would be more than there may be.

        `missing`: packets of its source before it that could not be written.

        Raises:
            TypeError: its value cannot be recorded.
        """
        arrays: list[Any] = []
        tree = taken_apart(packet.value, arrays)
        stored, blobs = self._packers[packet.origin].pack(arrays)
        facts = self._encoder.encode(
            (
                packet.origin,
                packet.epoch,
                packet.seq,
                packet.part,
                packet.t_ns,
                packet.span_ns,
                packet.lost,
                packet.trail,
                missing,
                tree,
                stored,
            )
        )
        frame = _frame(b"P", [_U32.pack(len(facts)), facts, *blobs])
        if self._size + sum(map(len, frame)) > self._most:
            return False
        self._write(frame)
        self.packets += 1
        return True

    def sync(self) -> None:
        """Bring what is written to the disk."""
        os.fdatasync(self._fd)

    def finish(self, ending: Ending) -> None:
        """Write the end, bring it all to the disk, and give the file its name."""
        frame = _frame(b"E", [msgspec.json.encode(ending)])
        self._write([*frame, _TRAILER.pack(sum(map(len, frame)), _END)])
        os.fsync(self._fd)
        self.draft.replace(self.file)
        sync_folder(self.file.absolute().parent)

    def _write(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        written = 0
        while written < len(data):  # a disk that is about to be full takes a part
            written += os.write(self._fd, memoryview(data)[written:])
        self._size += len(data)


def _frame(letter: bytes, body: list[bytes]) -> list[bytes]:
    checksum = zlib.crc32(letter)
    for piece in body:
        checksum = zlib.crc32(piece, checksum)
    return [_HEAD.pack(sum(map(len, body)), checksum, letter), *body]


class Recording:
    """A recording to read. All of it is checked before the first packet is given."""

    def __init__(self, file: Path) -> None:
        """Look through the file.

        Raises:
            RecordingError: it is no recording, or a damaged one.
            OSError: it cannot be read.
        """
        self.file = file
        self._frames: list[tuple[int, int]] = []  # where the body of each packet is, and its length
        self.ending: Ending | None = None
        """None: it was cut off, and what is whole can be read."""
        self.unread_bytes = 0
        """Behind the last whole frame of a recording that was cut off."""
        with open(file, "rb", opener=_without_waiting) as handle:
            status = os.fstat(handle.fileno())
            self._size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                raise RecordingError(f"'{file}' is no recording: it is no file")
            if handle.read(len(_MAGIC)) != _MAGIC:
                raise RecordingError(f"'{file}' is no recording, or one of another version")
            self.header = self._read_header(handle)
            self._look_through(handle)

    def __len__(self) -> int:
        """How many packets it holds."""
        return len(self._frames)

    def packets(self) -> Iterator[AnyPacket]:
        """What the sources gave, in the order in which it was taken, bit for bit.

        `taken_ns` is 0. What is missing before a packet counts as `lost`, too.

        Raises:
            RecordingError: a packet is not what a recording can hold.
            OSError: the file cannot be read.
        """
        with self.file.open("rb") as handle:
            for number, (start, length) in enumerate(self._frames):
                handle.seek(start)
                try:
                    packet = _packet_of(handle.read(length))
                except (ValueError, RecursionError, msgspec.MsgspecError) as error:
                    problem = f"packet {number} of '{self.file}' is damaged: {error}"
                    raise RecordingError(problem) from None
                if packet.origin not in self.header.sources:
                    raise RecordingError(
                        f"packet {number} of '{self.file}' is damaged: it is of no source"
                    )
                yield packet

    def _read_header(self, handle: Any) -> Header:
        frame = self._next(handle)
        if frame is None or frame[0] != b"H":
            raise RecordingError(f"'{self.file}' has no whole header: nothing of it can be used")
        try:
            header = msgspec.json.decode(frame[1], type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingError(f"the header of '{self.file}' is damaged: {error}") from None
        if header.version > VERSION:
            raise RecordingError(
                f"'{self.file}' was made by a newer edgeapp ({header.versions.get('edgeapp', '?')})"
            )
        return header

    def _look_through(self, handle: Any) -> None:
        whole = self._has_trailer(handle)
        while True:
            start = handle.tell()
            frame = self._next(handle)
            if frame is None or frame[0] not in {b"P", b"E"}:
                if whole:
                    raise RecordingError(f"'{self.file}' is damaged at byte {start:,}")
                self.unread_bytes = self._size - start
                return
            letter, body = frame
            if letter == b"E":
                self._end(body, handle, whole=whole)
                return
            self._frames.append((start + _HEAD.size, len(body)))

    def _end(self, body: bytes, handle: Any, *, whole: bool) -> None:
        try:
            ending = msgspec.json.decode(body, type=Ending)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingError(f"the end of '{self.file}' is damaged: {error}") from None
        trailer = handle.read(_TRAILER.size + 1)
        right = _TRAILER.pack(_HEAD.size + len(body), _END)
        if trailer == right and ending.packets == len(self):
            self.ending = ending
        elif whole or len(trailer) >= _TRAILER.size or ending.packets != len(self):
            raise RecordingError(f"the end of '{self.file}' is damaged")

    def _has_trailer(self, handle: Any) -> bool:
        here = handle.tell()
        handle.seek(max(0, self._size - _TRAILER.size))
        tail = handle.read(_TRAILER.size)
        handle.seek(here)
        return len(tail) == _TRAILER.size and tail.endswith(_END)

    def _next(self, handle: Any) -> tuple[bytes, bytes] | None:
        """The next whole frame: its letter and its body."""
        head = handle.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, checksum, letter = _HEAD.unpack(head)
        if length > self._size - handle.tell():
            return None
        body = handle.read(length)
        if len(body) < length or zlib.crc32(body, zlib.crc32(letter)) != checksum:
            return None
        return letter, body


class _Facts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The front of a packet's frame."""

    origin: str
    epoch: int
    seq: int
    part: int
    t_ns: int
    span_ns: int
    lost: int
    trail: tuple[Hop, ...]
    missing: int
    tree: Any
    stored: tuple[Stored, ...]


def _packet_of(body: bytes) -> AnyPacket:
    if len(body) < _U32.size:
        raise ValueError("it is too short")
    start = _U32.size + _U32.unpack_from(body)[0]
    facts = msgspec.msgpack.decode(body[_U32.size : start], type=_Facts)
    arrays = []
    for stored in facts.stored:
        if not 0 <= stored.size <= len(body) - start:
            raise ValueError("an array is cut off")
        arrays.append(unpack(stored, body[start : start + stored.size]))
        start += stored.size
    return Packet(
        payload_of(facts.tree, arrays),
        facts.origin,
        facts.epoch,
        facts.seq,
        facts.part,
        facts.t_ns,
        0,
        facts.span_ns,
        facts.lost + facts.missing,
        facts.trail,
    )


def _without_waiting(path: str, flags: int) -> int:
    """A pipe would have us wait for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK)
