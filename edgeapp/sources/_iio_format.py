"""How a buffered IIO device lays its samples out in memory, and reading them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_TYPE = re.compile(r"(be|le):([su])(\d+)/(\d+)(?:X(\d+))?>>(\d+)")
_STORAGE_BITS = (8, 16, 32, 64)

Frames = NDArray[np.void]
"""(frames,) of the layout's structured dtype."""


@dataclass(frozen=True, slots=True)
class Element:
    """One channel of a scan, as `scan_elements/*_type` and `*_index` describe it."""

    name: str
    """As the kernel calls it, without `in_`: "accel_x", "timestamp"."""
    index: int
    """Its place in the scan."""
    endian: str
    """"<" or ">", as numpy has it."""
    signed: bool
    bits: int
    """How many of the stored bits are the number."""
    storage_bits: int
    shift: int
    """How many bits lie below it."""

    @classmethod
    def parse(cls, name: str, index: int, text: str) -> Self:
        """From the text of a `*_type` file, such as "le:s20/32>>12".

        Raises:
            ValueError: it is no such text, or a layout that is not read here; says which.
        """
        match = _TYPE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"the type '{text.strip()}' of channel '{name}' is not understood")
        endian, sign, bits, storage, repeat, shift = match.groups()
        element = cls(
            name,
            index,
            "<" if endian == "le" else ">",
            sign == "s",
            int(bits),
            int(storage),
            int(shift),
        )
        if (
            element.storage_bits not in _STORAGE_BITS
            or not 1 <= element.bits <= element.storage_bits - element.shift
            or int(repeat or 1) != 1
        ):
            raise ValueError(f"channel '{name}' is stored as '{text.strip()}', which is not read")
        return element

    @property
    def stored(self) -> np.dtype[Any]:
        """The storage word."""
        return np.dtype(f"{self.endian}{'i' if self.signed else 'u'}{self.storage_bits // 8}")

    def numbers(self, words: NDArray[Any]) -> NDArray[Any]:
        """The numbers in storage words, in the machine's byte order: shifted, sign extended."""
        words = words.astype(words.dtype.newbyteorder("="))
        if self.bits < self.storage_bits:
            words = words << (self.storage_bits - self.shift - self.bits)
            words = words >> (self.storage_bits - self.bits)
        return words


@dataclass(frozen=True, slots=True)
class Layout:
    """A scan: which elements are in it, and where.

    Elements lie in the order of their indices, each aligned to its own size, the whole padded to
    the size of the largest (Documentation/driver-api/iio/buffers.rst of the Linux kernel).
    """

    elements: tuple[Element, ...]
    frames: np.dtype[Any]

    @classmethod
    def of(cls, elements: Sequence[Element]) -> Self:
        """The layout of the enabled elements; at least one."""
        ordered = tuple(sorted(elements, key=lambda element: element.index))
        offsets, end = [], 0
        for element in ordered:
            size = element.stored.itemsize
            offsets.append(-(-end // size) * size)
            end = offsets[-1] + size
        largest = max(element.stored.itemsize for element in ordered)
        return cls(
            ordered,
            np.dtype(
                {
                    "names": [element.name for element in ordered],
                    "formats": [element.stored for element in ordered],
                    "offsets": offsets,
                    "itemsize": -(-end // largest) * largest,
                }
            ),
        )

    def numbers(self, name: str, frames: Frames) -> NDArray[Any]:
        """(frames,) of the element of that name."""
        element = next(element for element in self.elements if element.name == name)
        return element.numbers(frames[name])
