"""The `jsonl` output: results to a file, one JSON object a line."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeapp.api import Context, Field, Message, Options, OutputPath, Packet, Unavailable, output
from edgeapp.outputs.encoder import BodyEncoder, Result


class JsonlOptions(Options):
    """Options of the `jsonl` output."""

    file: OutputPath = Field(
        examples=["results.jsonl"],
        description="File to append to; its folder is made. Relative to the data directory.",
    )
    max_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=4096,
        description="Size in bytes at which a new file is begun; the full one is renamed to .1.",
    )
    keep_files: int = Field(
        default=4, ge=0, le=1000, description="How many full files to keep; the oldest is removed."
    )


@output("jsonl")
class Jsonl:
    """Write results to a file, one JSON object a line."""

    def __init__(self, options: JsonlOptions, context: Context) -> None:
        self._file = options.file
        self._max_bytes = options.max_bytes
        self._keep_files = options.keep_files
        self._topic = f"{context.pipeline}/{context.id}"
        self._bodies = BodyEncoder(context.pipeline, context.id)
        self._fd = -1
        self._size = 0

    def __enter__(self) -> Self:
        """Open the file and end a line that a crash or a full disk left torn.

        Raises:
            Unavailable: the file cannot be written.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            self._close()
            raise Unavailable(f"'{self._file}' cannot be opened: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._close()

    def encode(self, packet: Packet[Result]) -> Message:
        """The line for a packet, not yet sealed."""
        return Message(self._topic, self._bodies.encode(packet), packet.taken_ns)

    def deliver(self, sealed: bytes) -> None:
        """Append one line, in one write. It is in the file, though not yet on the disk, then.

        Raises:
            Unavailable: the file cannot be written, as when the disk is full.
        """
        line = sealed + b"\n"
        try:
            if self._size and self._size + len(line) > self._max_bytes:
                self._rotate()
            written = os.write(self._fd, line)
            self._size += written
            while written < len(line):  # only where the disk is about to be full
                count = os.write(self._fd, line[written:])
                written += count
                self._size += count
        except OSError as error:
            raise Unavailable(f"'{self._file}' cannot be written: {error.strerror}") from error

    def _open(self) -> None:
        self._fd = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotate(self) -> None:
        self._close()
        names = [self._file, *(self._numbered(n) for n in range(1, self._keep_files + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        self._open()

    def _numbered(self, n: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{n}")
