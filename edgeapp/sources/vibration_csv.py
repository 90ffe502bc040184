"""Recordings as text: one line for each sample, one column for each channel."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from edgeapp.sources.vibration_readers import (
    LARGEST,
    Block,
    Channels,
    Reader,
    Recording,
    as_float32,
    choose,
    finite,
    numbered,
)

_LONGEST_LINE = 1 << 16
_NOT_CHANNELS = frozenset({"date", "datetime", "time", "timestamp"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file separates and writes its numbers."""

    delimiter: str
    comma: bool
    """Whether the decimal mark is a comma; never where commas separate columns."""
    columns: int
    has_header: bool

    def cells(self, line: str) -> list[str]:
        """The cells of a line, without quotes and surrounding space."""
        return [cell.strip().strip('"').strip() for cell in line.split(self.delimiter)]

    def number(self, cell: str) -> float | None:
        """The number in a cell; None if it holds none. NaN and infinity are numbers here."""
        try:
            return float(cell.replace(",", ".") if self.comma else cell)
        except ValueError:
            return None


def csv_recording(path: Path, rate_hz: float, channels: Channels) -> Recording:
    """Comma-, semicolon- or tab-separated text, UTF-8, with or without a line of column names.

    The first line with no number in it is the header. Where semicolons or tabs separate, decimal
    commas are understood. Without `channels`, every column that has a name, holds a number in the
    first line and is not called time or date is one.

    Raises:
        ValueError: it is not such a file, has no samples, or no such columns.
        OSError: it cannot be read.
    """
    with _text(path) as file:
        lines = _lines(file)
        _, first = next(lines, (0, ""))
        if "\0" in first or len(first) >= _LONGEST_LINE:
            raise ValueError(f"'{path}' is not text with one line for each sample")
        dialect = _dialect(first)
        _, row = next(lines, (0, "")) if dialect.has_header else (1, first)
    if not row.strip():
        raise ValueError(f"'{path}' holds no samples")
    header = dialect.cells(first) if dialect.has_header else list(numbered(dialect.columns))
    cells = dialect.cells(row)
    usable = {
        name: n
        for n, name in enumerate(header, start=1)
        if name
        and name.lower() not in _NOT_CHANNELS
        and n <= len(cells)
        and dialect.number(cells[n - 1]) is not None
    }
    if channels is None:
        if not usable:
            raise ValueError(f"'{path}' has no column of numbers: {', '.join(header)}")
        channels = dict(usable)
    names, chosen = choose(channels, tuple(header), named=dialect.has_header)
    return Recording(rate_hz, names, "", partial(_open, path, dialect, chosen))


def _text(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="replace")


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1 on, without the blank ones before and after all others.

    A line is blank when it holds separators at most. One between others is a missing sample, and
    comes as "".
    """
    number = blank = 0
    begun = False
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if line.strip(" ,;\t\r\n"):
            for missing in range(number - blank, number):
                yield missing, ""
            blank, begun = 0, True
            yield number, line.rstrip("\r\n")
        elif begun:
            blank += 1


def _dialect(line: str) -> Dialect:
    delimiter = next((mark for mark in ";\t" if mark in line), ",")
    columns = line.count(delimiter) + 1
    dialect = Dialect(delimiter, delimiter != ",", columns, has_header=False)
    if any(dialect.number(cell) is not None for cell in dialect.cells(line)):
        return dialect
    return Dialect(delimiter, delimiter != ",", columns, has_header=True)


@contextmanager
def _open(path: Path, dialect: Dialect, chosen: tuple[int, ...]) -> Iterator[Reader]:
    with _text(path) as file:
        yield CsvReader(file, dialect, chosen)


class CsvReader:
    """Blocks of an open text file; a block with a line that does not parse is unusable."""

    def __init__(self, file: TextIO, dialect: Dialect, chosen: tuple[int, ...]) -> None:
        self._lines = _lines(file)
        self._dialect = dialect
        self._chosen = chosen
        if dialect.has_header:
            next(self._lines, None)

    def read_block(self, count: int) -> Block | None:
        """The next lines."""
        numbered_lines = list(islice(self._lines, count))
        if not numbered_lines:
            return None
        dialect = self._dialect
        lines = [line for _, line in numbered_lines]
        if all(line.count(dialect.delimiter) == dialect.columns - 1 for line in lines):
            try:
                table = np.loadtxt(
                    [line.replace(",", ".") for line in lines] if dialect.comma else lines,
                    delimiter=dialect.delimiter,
                    usecols=self._chosen,
                    comments=None,
                    quotechar='"',
                    ndmin=2,
                )
            except ValueError:
                pass
            else:
                block = finite(as_float32(table.T), 1)
                if table.shape[0] == len(lines) and block.samples is not None:
                    return block
        return Block(len(lines), None, self._problem(numbered_lines))

    def _problem(self, numbered_lines: list[tuple[int, str]]) -> str:
        """The first thing that is wrong with these lines."""
        dialect = self._dialect
        for number, line in numbered_lines:
            if not line:
                return f"line {number} is empty"
            cells = dialect.cells(line)
            if len(cells) != dialect.columns:
                return f"line {number} has {len(cells)} columns instead of {dialect.columns}"
            for column in self._chosen:
                value = dialect.number(cells[column])
                if value is None or not abs(value) <= LARGEST:
                    return f"line {number} has {cells[column]!r} in column {column + 1}"
        return f"lines {numbered_lines[0][0]} to {numbered_lines[-1][0]} do not parse"
