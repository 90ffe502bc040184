"""Recordings of plain binary numbers: WAV and NPY files."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgeapp.sources.vibration_readers import (
    Block,
    Channels,
    Reader,
    Recording,
    as_float32,
    choose,
    finite,
    numbered,
)

Decode = Callable[[bytes], NDArray[np.float32]]

_WAV_PCM, _WAV_FLOAT, _WAV_EXTENSIBLE = 1, 3, 0xFFFE
_EXTENSIBLE_BYTES = 26  # up to the first two bytes of the sub-format, which say what it is
_MOST_DIMENSIONS = 2
_BAD_HEADER = (LookupError, SyntaxError, TokenError, TypeError, ValueError)
"""What numpy raises for a damaged NPY header, which is a Python literal."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the numbers lie in a file."""

    path: Path
    offset: int
    total: int
    """Samples of each channel."""
    columns: int
    width: int
    """Bytes of one number."""
    decode: Decode
    by_time: bool
    """Whether the channels of one sample lie together, rather than the samples of one channel."""


class RawReader:
    """Blocks of an open file."""

    def __init__(self, file: BinaryIO, layout: Layout, chosen: tuple[int, ...]) -> None:
        self._file = file
        self._layout = layout
        self._chosen = list(chosen)
        self._next = 0

    def read_block(self, count: int) -> Block | None:
        """The next samples; ends where the file does, should it have become shorter."""
        layout, first = self._layout, self._next
        count = min(count, layout.total - first)
        if count <= 0:
            return None
        if layout.by_time:
            numbers = self._read(first * layout.columns, count * layout.columns)
            rows = len(numbers) // layout.columns
            samples = numbers[: rows * layout.columns].reshape(rows, -1)[:, self._chosen].T
        else:
            each = [self._read(c * layout.total + first, count) for c in self._chosen]
            rows = min(len(numbers) for numbers in each)
            samples = np.stack([numbers[:rows] for numbers in each])
        if not rows:
            return None
        self._next += rows
        return finite(np.ascontiguousarray(samples), first + 1)

    def _read(self, first: int, count: int) -> NDArray[np.float32]:
        width = self._layout.width
        self._file.seek(self._layout.offset + first * width)
        data = self._file.read(count * width)
        return self._layout.decode(data[: len(data) // width * width])


@contextmanager
def _open(layout: Layout, chosen: tuple[int, ...]) -> Iterator[Reader]:
    with layout.path.open("rb") as file:
        yield RawReader(file, layout, chosen)


def _decode_as(dtype: np.dtype[np.generic], full_scale: float, data: bytes) -> NDArray[np.float32]:
    numbers = np.frombuffer(data, dtype)
    if full_scale == 1:
        return as_float32(numbers)
    return as_float32(numbers / full_scale)


def _decode_u8(data: bytes) -> NDArray[np.float32]:
    return ((np.frombuffer(data, np.uint8) - 128.0) / 128).astype(np.float32)


def _decode_s24(data: bytes) -> NDArray[np.float32]:
    triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
    padded = np.zeros((len(triples), 4), np.uint8)
    padded[:, 1:] = triples
    return (padded.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def npy_recording(path: Path, rate_hz: float, channels: Channels) -> Recording:
    """A `.npy` array of real numbers, 1-D or 2-D; the longer axis is time. Never unpickles.

    Raises:
        ValueError: it is no such array, is cut short, or has no such channels.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(file)
        except _BAD_HEADER as error:
            raise ValueError(f"'{path}' is not an NPY file: {error}") from None
        offset = file.tell()
    if dtype.kind not in "iuf":
        raise ValueError(f"'{path}' holds {dtype}, not real numbers")
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or 0 in shape:
        raise ValueError(f"'{path}' has the shape {shape}: needed is (samples, channels) or 1-D")
    grid = shape if len(shape) == _MOST_DIMENSIONS else (shape[0], 1)
    total, columns = max(grid), min(grid)
    rows_are_samples = grid[0] == total
    _check_length(path, offset, total * columns * dtype.itemsize)
    names, chosen = choose(channels, numbered(columns), named=False)
    decode = partial(_decode_as, dtype, 1.0)
    by_time = rows_are_samples != (fortran and columns > 1)
    layout = Layout(path, offset, total, columns, dtype.itemsize, decode, by_time)
    return Recording(rate_hz, names, "", partial(_open, layout, chosen))


def _check_length(path: Path, offset: int, needed: int) -> None:
    there = path.stat().st_size - offset
    if there < needed:
        raise ValueError(f"'{path}' is cut short: {there} of {needed} bytes of samples are there")


def wav_recording(path: Path, channels: Channels) -> Recording:
    """A WAV file: PCM of 8, 16, 24 or 32 bits or IEEE floats; -1..1 is full scale.

    One that was cut short is read as far as it goes.

    Raises:
        ValueError: it is no such file, is empty, or has no such channels.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        kind, columns, rate_hz, bits, offset, size = _wav_header(path, file)
    decode = _wav_decode(kind, bits)
    if decode is None:
        raise ValueError(
            f"'{path}' holds {bits}-bit samples of kind {kind}: needed is PCM of 8, 16, 24 or 32 "
            "bits, or floats"
        )
    if not rate_hz or not columns:
        raise ValueError(f"'{path}' claims {columns} channels at {rate_hz} Hz")
    there = path.stat().st_size - offset
    # A recorder that was cut off leaves 0 or the largest number there is as the size.
    whole = size if 0 < size < 0xFFFFFFFF - 64 else there
    width = bits // 8
    total = min(whole, there) // (width * columns)
    if not total:
        raise ValueError(f"'{path}' holds no samples")
    problem = f"{there} of {whole} bytes of samples are there" if there < whole else ""
    names, chosen = choose(channels, numbered(columns), named=False)
    layout = Layout(path, offset, total, columns, width, decode, by_time=True)
    return Recording(float(rate_hz), names, problem, partial(_open, layout, chosen))


def _wav_decode(kind: int, bits: int) -> Decode | None:
    decoders: dict[tuple[int, int], Decode] = {
        (_WAV_PCM, 8): _decode_u8,
        (_WAV_PCM, 16): partial(_decode_as, np.dtype("<i2"), 2.0**15),
        (_WAV_PCM, 24): _decode_s24,
        (_WAV_PCM, 32): partial(_decode_as, np.dtype("<i4"), 2.0**31),
        (_WAV_FLOAT, 32): partial(_decode_as, np.dtype("<f4"), 1.0),
        (_WAV_FLOAT, 64): partial(_decode_as, np.dtype("<f8"), 1.0),
    }
    return decoders.get((kind, bits))


def _wav_header(path: Path, file: BinaryIO) -> tuple[int, int, int, int, int, int]:
    """Kind, channels, rate, bits, offset of the samples and their size, as the header says."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError(f"'{path}' is not a WAV file")
    form: tuple[int, int, int, int] | None = None
    while len(chunk := file.read(8)) == 8:  # noqa: PLR2004 - a name and a size, four bytes each
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            if form is None:
                break
            return *form, file.tell(), size
        body = file.read(min(size, 64)) if name == b"fmt " else b""
        if name == b"fmt " and len(body) >= 16:  # noqa: PLR2004 - the fields of plain PCM
            kind, columns, rate_hz, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if kind == _WAV_EXTENSIBLE and len(body) >= _EXTENSIBLE_BYTES:
                kind = struct.unpack_from("<H", body, 24)[0]
            form = (kind, columns, rate_hz, bits)
        file.seek(size - len(body) + size % 2, 1)
    raise ValueError(f"'{path}' is a WAV file without samples: its header ends early")
