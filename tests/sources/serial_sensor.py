"""A sensor on a serial line: the reference encoder of the protocol, and a pseudo-terminal."""

import os
import struct
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import pytest


def crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
            value &= 0xFFFF
    return value


def frame(kind: int, payload: bytes, version: int = 1) -> bytes:
    body = struct.pack("<BBH", version, kind, len(payload)) + payload
    return b"\xa5\x5a" + body + struct.pack("<H", crc(body))


def format_frame(
    rate_hz: float,
    names: Sequence[str] = ("x", "y"),
    *,
    width: int = 2,
    unit: int = 1,
    scale: float = 0.5,
) -> bytes:
    head = struct.pack("<IBB", round(rate_hz * 1000), len(names), width)
    return frame(1, head + b"".join(struct.pack("<8sBf", n.encode(), unit, scale) for n in names))


def samples_frame(first: int, scans: Sequence[Sequence[int]], *, width: int = 2) -> bytes:
    numbers = b"".join(n.to_bytes(width, "little", signed=True) for scan in scans for n in scan)
    return frame(2, struct.pack("<I", first % (1 << 32)) + numbers)


class Line:
    """A pseudo-terminal; `path` is the end that a program opens."""

    def __init__(self) -> None:
        try:
            self._ours, self._theirs = os.openpty()
        except OSError as error:
            pytest.skip(f"there are no pseudo-terminals here: {error}")
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._ours, data) :]

    def unplug(self) -> None:
        for fd in (self._ours, self._theirs):
            with suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
