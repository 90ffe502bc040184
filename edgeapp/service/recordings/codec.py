"""Payloads as plain data and raw arrays, without loss, and back.

A payload becomes a tree that msgpack can hold. What is no plain value is a list that begins with a
letter: `["t", ...]` a tuple, `["m", {}]` a mapping, `["o", name, {}]` a payload or a view,
`["a", n]` the n-th array, `["n", n]` a numpy number that stands in the n-th array. Nothing in a
file names code: classes come from a closed table.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeapp.core.answers import Event, Labels, Mask, Pose
from edgeapp.core.payload import (
    Bands,
    Detections,
    Features,
    Image,
    Payload,
    Score,
    Signal,
    Spectrogram,
    Tracks,
    View,
)

AnyArray = NDArray[Any]

CLASSES: Mapping[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Bands,
        Detections,
        Event,
        Features,
        Image,
        Labels,
        Mask,
        Pose,
        Score,
        Signal,
        Spectrogram,
        Tracks,
        View,
    )
}
"""What a recording can hold, by name."""

MOST_ARRAY_BYTES = 1 << 30
_NUMBERS = "biuf"
_DEEPEST = 8
_WORTH_IT = 0.9
"""An array is stored smaller only if it shrinks at least to this part of its size."""
_QUICK = 1
"""zlib's level: the writer has to keep up with a camera."""


class Stored(NamedTuple):
    """One array as a frame holds it."""

    dtype: str
    """As numpy writes it, byte order included: "<f4"."""
    shape: tuple[int, ...]
    coding: str
    """"raw", "zlib", or "steps": zlib over the differences between neighbouring pixels."""
    size: int
    """Bytes in the frame."""


def taken_apart(value: Any, arrays: list[AnyArray]) -> Any:
    """The tree of a value; its arrays are added to `arrays`.

    Raises:
        TypeError: it is, or holds, what a recording cannot hold.
    """
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in _NUMBERS:
            raise TypeError(f"an array of {array.dtype} cannot be recorded")
        arrays.append(array)
        return ["a" if isinstance(value, np.ndarray) else "n", len(arrays) - 1]
    if isinstance(value, tuple | list):
        return ["t", *(taken_apart(item, arrays) for item in value)]
    if isinstance(value, Mapping):
        return ["m", {str(key): taken_apart(item, arrays) for key, item in value.items()}]
    name = type(value).__name__
    if CLASSES.get(name) is not type(value):
        raise TypeError(f"a {name} cannot be recorded")
    parts = {f.name: taken_apart(getattr(value, f.name), arrays) for f in fields(value)}
    return ["o", name, parts]


def put_together(tree: Any, arrays: Sequence[AnyArray], depth: int = 0) -> Any:
    """The value that `taken_apart` was given.

    Raises:
        ValueError, TypeError, LookupError: this is no such tree.
    """
    if not isinstance(tree, list):
        if isinstance(tree, dict | bytes):
            raise ValueError("a value is damaged")  # noqa: TRY004 - of a file, not of a caller
        return tree
    if depth > _DEEPEST:
        raise ValueError("a value is nested too deeply")
    letter, *rest = tree
    if letter == "t":
        return tuple(put_together(item, arrays, depth + 1) for item in rest)
    if letter == "m":
        return {key: put_together(item, arrays, depth + 1) for key, item in rest[0].items()}
    if letter == "a":
        return arrays[rest[0]]
    if letter == "n":
        return arrays[rest[0]][()]
    if letter == "o":
        name, parts = rest
        return CLASSES[name](**{k: put_together(v, arrays, depth + 1) for k, v in parts.items()})
    raise ValueError("a value is damaged")


def payload_of(tree: Any, arrays: Sequence[AnyArray]) -> Payload:
    """The payload that `taken_apart` was given.

    Raises:
        ValueError: this is no payload's tree.
    """
    try:
        value = put_together(tree, arrays)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"a value cannot be read: {error}") from None
    if not isinstance(value, Payload):
        raise ValueError("a value is no payload")  # noqa: TRY004 - of a file, not of a caller
    return value


class Packer:
    """Turns arrays into bytes, smaller where that pays. For the packets of one source."""

    def __init__(self) -> None:
        self._idle = 0  # how many packets are still stored raw before the next try
        self._rest = 0

    def pack(self, arrays: Sequence[AnyArray]) -> tuple[list[Stored], list[bytes]]:
        """How each array is stored, and its bytes.

        What did not shrink, such as the noise of a sensor, is tried more and more rarely.
        """
        stored, blobs = [], []
        trying = self._idle == 0
        paid = False
        for array in arrays:
            raw = array.tobytes()
            coding = "raw"
            if trying and raw:
                smaller_coding = "steps" if _is_picture(array) else "zlib"
                smaller = zlib.compress(_steps(array) if _is_picture(array) else raw, _QUICK)
                if len(smaller) <= _WORTH_IT * len(raw):
                    raw, coding, paid = smaller, smaller_coding, True
            stored.append(Stored(array.dtype.str, array.shape, coding, len(raw)))
            blobs.append(raw)
        if not trying:
            self._idle -= 1
        elif paid:
            self._rest = 0
        else:
            self._rest = self._idle = min(63, 2 * self._rest + 1)
        return stored, blobs


def unpack(stored: Stored, blob: bytes) -> AnyArray:
    """The array again.

    Raises:
        ValueError: the bytes are not those of such an array.
    """
    try:
        dtype = np.dtype(stored.dtype)
    except TypeError as error:
        raise ValueError(f"an array has a strange type: {error}") from None
    count = prod(stored.shape)
    if dtype.kind not in _NUMBERS or min(stored.shape, default=0) < 0:
        raise ValueError(f"an array is damaged: {dtype} {stored.shape}")
    size = count * dtype.itemsize
    if size > MOST_ARRAY_BYTES:
        raise ValueError(f"an array of {size:,} bytes is too large")
    raw = blob if stored.coding == "raw" else _inflated(blob, size)
    if len(raw) != size:
        raise ValueError(f"an array of {size:,} bytes has {len(raw):,}")
    array: AnyArray = np.frombuffer(raw, dtype).reshape(stored.shape)
    if stored.coding == "steps":
        array = np.cumsum(array, axis=_across(array.shape), dtype=dtype)
    return array


def _inflated(blob: bytes, size: int) -> bytes:
    machine = zlib.decompressobj()
    try:
        raw = machine.decompress(blob, size + 1)
    except zlib.error as error:
        raise ValueError(f"an array is damaged: {error}") from None
    return raw


def _is_picture(array: AnyArray) -> bool:
    return array.dtype == np.uint8 and array.ndim in {2, 3}


def _across(shape: tuple[int, ...]) -> int:
    """The axis along which neighbouring pixels lie."""
    return 1 if len(shape) == 2 or shape[-1] == 3 else len(shape) - 1  # noqa: PLR2004


def _steps(pixels: AnyArray) -> bytes:
    """Each pixel less its neighbour on the left, modulo 256."""
    rows = np.moveaxis(pixels, _across(pixels.shape), 0)
    steps = rows.copy()
    steps[1:] -= rows[:-1]
    return np.moveaxis(steps, 0, _across(pixels.shape)).tobytes()
