"""What the `vibration` source reads blocks of samples from."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

LARGEST = float(np.finfo(np.float32).max)

Channels = tuple[str, ...] | dict[str, str | int] | None
"""As in the options: names, or name -> column (its name in the header, or 1, 2, ...)."""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that lie one after the other."""

    count: int
    """How many there should be."""
    samples: Samples | None
    """(channels, count) as the recording has them, without any scale; None when unusable."""
    problem: str = ""
    """Why they are unusable, and where."""
    missing: int = 0
    """Samples that the device lost just before these."""


class Reader(Protocol):
    """An open recording or device. One thread."""

    def read_block(self, count: int) -> Block | None:
        """The next `count` samples, fewer at the end; None when there are no more."""


class Device(Protocol):
    """An open device. One thread."""

    def read_block(self, count: int) -> Block:
        """Wait for the next `count` samples; fewer where samples are missing behind them.

        Raises:
            Unavailable: the device is gone or silent.
            Stopping: the pipeline stops.
        """

    @property
    def rate_hz(self) -> float:
        """Samples per second of each channel."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def units(self) -> tuple[str, ...]:
        """Of each channel, as `unit` of the options spells them."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a recording before it is read."""

    rate_hz: float
    channels: tuple[str, ...]
    problem: str
    """What is wrong with it, although it can be read: cut short. "" when nothing is."""
    open: Callable[[], AbstractContextManager[Reader]]
    """Opens it at its beginning; raises OSError when it is gone."""


def numbered(columns: int) -> tuple[str, ...]:
    """The names of channels that have none."""
    return tuple(f"ch{n}" for n in range(1, columns + 1))


def choose(
    channels: Channels, columns: tuple[str, ...], *, named: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the chosen channels, and the index of the column that each is in.

    `columns`: what the recording has; `named`: whether these names are its own.

    Raises:
        ValueError: there is no such column; names those that there are.
    """
    if channels is None:
        return columns, tuple(range(len(columns)))
    if isinstance(channels, tuple):
        if not named:
            if len(channels) != len(columns):
                raise ValueError(
                    f"channels gives {len(channels)} names, the recording has {len(columns)} "
                    "channels without names; choose some by number: channels: {x: 1, y: 2}"
                )
            return channels, tuple(range(len(columns)))
        channels = {name: name for name in channels}
    there = ", ".join(column for column in columns if column)
    chosen = []
    for column in channels.values():
        if isinstance(column, int) and 1 <= column <= len(columns):
            chosen.append(column - 1)
        elif isinstance(column, str) and column in columns:
            chosen.append(columns.index(column))
        else:
            raise ValueError(f"there is no column {column!r}; there are: {there}")
    return tuple(channels), tuple(chosen)


def as_float32(numbers: NDArray[np.generic]) -> Samples:
    """A contiguous copy; what is too large for float32 becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float32, order="C")


def finite(samples: Samples, first: int) -> Block:
    """A block of these samples, unusable if one is NaN or infinite. `first`: number of the first."""
    good = np.isfinite(samples)
    if good.all():
        return Block(samples.shape[1], samples)
    channel, at = np.argwhere(~good)[0]
    return Block(
        samples.shape[1],
        None,
        f"sample {first + int(at)} is {samples[channel, at]} in channel {int(channel) + 1}",
    )
