"""The frames that a serial sensor sends: finding them among bytes, and reading them.

The protocol is written down in docs/serial-protocol.md.
"""

import struct
from binascii import crc_hqx
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

SYNC = b"\xa5\x5a"
VERSION = 1
FORMAT, SAMPLES = 1, 2
MOST_PAYLOAD = 4096
CRC_START = 0xFFFF

UNITS = ("1", "m/s2", "g", "V", "mV")
"""By their codes."""

_HEAD = struct.Struct("<2sBBH")
_CRC = struct.Struct("<H")
_FORMAT_HEAD = struct.Struct("<IBB")
_CHANNEL = struct.Struct("<8sBf")
_SAMPLES_HEAD = struct.Struct("<I")
_MOST_CHANNELS = 64
_MOST_RATE_HZ = 1_000_000.0


class FrameError(Exception):
    """A frame whose checksum is right says what cannot be: the sender is wrong."""


@dataclass(frozen=True, slots=True)
class Format:
    """What the samples mean: a frame of kind 1."""

    rate_hz: float
    sample_bytes: int
    """2 or 3."""
    channels: tuple[str, ...]
    units: tuple[str, ...]
    scales: tuple[float, ...]
    """What a sample is multiplied with, for each channel."""

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a frame's payload.

        Raises:
            FrameError: it says what cannot be.
        """
        if len(payload) < _FORMAT_HEAD.size:
            raise FrameError("a format frame is too short")
        rate_mhz, count, sample_bytes = _FORMAT_HEAD.unpack_from(payload)
        if not 1 <= count <= _MOST_CHANNELS or len(payload) != (
            _FORMAT_HEAD.size + count * _CHANNEL.size
        ):
            raise FrameError(f"a format frame of {len(payload)} bytes names {count} channels")
        if sample_bytes not in {2, 3}:
            raise FrameError(f"samples of {sample_bytes} bytes are not read, only of 2 and 3")
        if not 0 < rate_mhz / 1000 <= _MOST_RATE_HZ:
            raise FrameError(f"a rate of {rate_mhz / 1000:g} Hz is not possible")
        names: list[str] = []
        units: list[str] = []
        scales: list[float] = []
        for name, unit, scale in _CHANNEL.iter_unpack(payload[_FORMAT_HEAD.size :]):
            names.append(name.rstrip(b"\0").decode("ascii", "replace") or f"ch{len(names) + 1}")
            if unit >= len(UNITS) or not np.isfinite(scale) or not scale:
                raise FrameError(f"channel '{names[-1]}' has unit {unit} and scale {scale:g}")
            units.append(UNITS[unit])
            scales.append(scale)
        if len(set(names)) < count:
            raise FrameError(f"two channels have one name: {', '.join(names)}")
        return cls(rate_mhz / 1000, sample_bytes, tuple(names), tuple(units), tuple(scales))

    def samples(self, payload: bytes) -> tuple[int, NDArray[np.int32]]:
        """The number of the first sample, and (channels, samples), of a frame of kind 2.

        Raises:
            FrameError: it does not hold whole samples.
        """
        scan_bytes = self.sample_bytes * len(self.channels)
        if len(payload) < _SAMPLES_HEAD.size or (len(payload) - _SAMPLES_HEAD.size) % scan_bytes:
            raise FrameError(
                f"a sample frame of {len(payload)} bytes does not hold whole samples of "
                f"{scan_bytes} bytes"
            )
        (first,) = _SAMPLES_HEAD.unpack_from(payload)
        stored = np.frombuffer(payload, np.uint8, offset=_SAMPLES_HEAD.size)
        words = stored.reshape(-1, len(self.channels), self.sample_bytes)
        wide = np.zeros((*words.shape[:2], 4), np.uint8)
        wide[..., 4 - self.sample_bytes :] = words  # at the top, so that the shift extends the sign
        numbers = wide.view("<i4")[..., 0] >> (8 * (4 - self.sample_bytes))
        return first, numbers.T.astype(np.int32)


class FrameFinder:
    """Finds intact frames in a stream of bytes, whatever lies between them.

    Feed it bytes as they come. Memory is bounded by one frame and what is fed at once.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.broken = 0
        """Frames whose checksum, version or length was wrong; bytes that look like the beginning
        of a frame count too."""
        self.skipped = 0
        """Bytes that belonged to no frame."""

    def feed(self, more: bytes) -> list[tuple[int, bytes]]:
        """Kind and payload of each frame that is complete now, in order."""
        stored = self._bytes
        stored += more
        found = []
        at = 0
        while True:
            sync = stored.find(SYNC, at)
            if sync < 0:  # its first byte may be the last that has come
                end = len(stored) - 1 if stored.endswith(SYNC[:1]) else len(stored)
                end = max(at, end)
                self.skipped += end - at
                at = end
                break
            self.skipped += sync - at
            at = sync
            if len(stored) - at < _HEAD.size:
                break
            _, version, kind, length = _HEAD.unpack_from(stored, at)
            if version != VERSION or length > MOST_PAYLOAD:
                at = self._pass_over(at)
                continue
            end = at + _HEAD.size + length + _CRC.size
            if len(stored) < end:
                break
            body = bytes(stored[at + len(SYNC) : end - _CRC.size])
            if crc_hqx(body, CRC_START) != _CRC.unpack_from(stored, end - _CRC.size)[0]:
                at = self._pass_over(at)
                continue
            found.append((kind, body[_HEAD.size - len(SYNC) :]))
            at = end
        del stored[:at]
        return found

    def _pass_over(self, at: int) -> int:
        """Look for the next frame right behind this false beginning: it may lie inside."""
        self.broken += 1
        self.skipped += 1
        return at + 1
