"""The samples in a trace: what a device said of itself, a row for each moment."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from edgeapp.simulation.checked import Problems, Table, printable, shown

Cell = float | str | None
"""A number, the text of a file, or nothing: it could not be read."""

TIME = "t"
MEASURES: Mapping[str, tuple[float, float]] = {
    TIME: (0, 7 * 86_400.0),
    "own_cpu": (0, 4096),
    "total_cpu": (0, 4096),
    "cpu_pressure": (0, 1),
    "memory_pressure": (0, 1),
    "memory_available_mb": (0, 1e8),
}
"""Columns that are no files: seconds from the start; cores in use by edgeapp, and by all; shares of
time as of PSI; MB of 10^6 bytes. Every other column is a file of sysfs, as it was read."""
LONGEST_TEXT = 200
_MOST_ROWS = 1_000_000
_MOST_COLUMNS = 200
_MOST_CELLS = 8_000_000
_GREATEST = 1e18


@dataclass(frozen=True)
class Samples:
    """A recording. The first column is the time."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @cached_property
    def t_s(self) -> tuple[float, ...]:
        """When each row was taken, rising."""
        return tuple(row[0] for row in self.rows)  # type: ignore[misc]  # as was checked

    @property
    def files(self) -> tuple[str, ...]:
        """Columns that are files of sysfs."""
        return tuple(column for column in self.columns if column not in MEASURES)

    def at(self, t_s: float) -> dict[str, Cell]:
        """The newest row at a time; the first one before it."""
        row = self.rows[max(0, bisect_right(self.t_s, t_s) - 1)]
        return dict(zip(self.columns, row, strict=True))

    def column(self, name: str) -> list[float | None]:
        """The numbers of a column; nothing where there is none, or no such column."""
        if name not in self.columns:
            return [None] * len(self.rows)
        index = self.columns.index(name)
        return [None if isinstance(row[index], str) else row[index] for row in self.rows]  # type: ignore[misc]  # no text is left


def longest_gap_s(tick_s: float) -> float:
    """The longest time between two rows that is still one recording."""
    return max(10.0, 5 * tick_s)


def samples_of(top: Table, tick_s: float) -> Samples:
    """The `samples`."""
    known = top.problems.count
    with top.table("samples") as table:
        columns = _columns(table)
        where = table.path("rows")
        given = table.items("rows", most=_MOST_ROWS)
        if len(given) * len(columns) > _MOST_CELLS:
            many = f"has {len(given) * len(columns):,} values"
            table.problems.add(where, many, f"at most {_MOST_CELLS:,}: record less often")
            given = []
        rows = _rows(table.problems, where, columns, given) if columns else []
        _check_time(table.problems, where, given, tick_s)
        if len(rows) == 1:
            table.problems.add(where, "is a single sample", "record for longer")
        return Samples(columns, tuple(rows) if top.problems.count == known else ())


def _columns(table: Table) -> tuple[str, ...]:
    from edgeapp.simulation.trace_device import path_problem

    columns: list[str] = []
    where = table.path("columns")
    for position, column in enumerate(table.items("columns", most=_MOST_COLUMNS)):
        here = f"{where}[{position}]"
        if not isinstance(column, str):
            table.problems.add(here, f"is {shown(column)}", "write the name of a column")
        elif column in columns:
            table.problems.add(here, f"'{column}' is given twice", "leave one of them out")
        elif column not in MEASURES and ("/" not in column or path_problem(column)):
            known = f"it is one of {', '.join(MEASURES)}, or a path below the root of sysfs"
            table.problems.add(here, f"{shown(column)} is no column", known)
        columns.append(column if isinstance(column, str) else "")
    given = table.raw("columns")
    if isinstance(given, list):
        if columns[:1] != [TIME]:
            first = f"must begin with '{TIME}', the seconds from the start"
            what = f"begin with {shown(columns[0])}" if columns else "are none"
            table.problems.add(where, what, first)
        elif len(columns) == 1:
            table.problems.add(where, "are the time alone", "record at least one more value")
    return tuple(columns)


def _rows(
    problems: Problems, where: str, columns: tuple[str, ...], given: list[object]
) -> list[tuple[Cell, ...]]:
    ranges = [MEASURES.get(column, (-_GREATEST, _GREATEST)) for column in columns]
    texts = [column not in MEASURES for column in columns]
    rows: list[tuple[Cell, ...]] = []
    wide = len(columns)
    for position, row in enumerate(given):
        if not isinstance(row, list) or len(row) != wide:
            said = f"has {len(row)} values" if isinstance(row, list) else f"is {shown(row)}"
            problems.add(f"{where}[{position}]", said, f"give one for each of {wide} columns")
            continue
        fine = True
        for cell, (low, high), text in zip(row, ranges, texts, strict=True):
            kind = type(cell)
            if not (
                ((kind is float or kind is int) and low <= cell <= high)
                or cell is None
                or (text and kind is str and len(cell) <= LONGEST_TEXT)
            ):
                fine = False
        if fine and row[0] is not None:
            rows.append(tuple(row))
        else:
            _explain(problems, f"{where}[{position}]", columns, row)
    return rows


def _explain(problems: Problems, where: str, columns: tuple[str, ...], row: list[object]) -> None:
    """Say which values of a row are wrong."""
    for index, (column, cell) in enumerate(zip(columns, row, strict=True)):
        low, high = MEASURES.get(column, (-_GREATEST, _GREATEST))
        number = isinstance(cell, int | float) and not isinstance(cell, bool)
        if cell is None and column != TIME:
            continue
        if isinstance(cell, str) and column not in MEASURES and len(cell) <= LONGEST_TEXT:
            continue
        if number and low <= cell <= high:  # type: ignore[operator]  # a number
            continue
        remedy = (
            f"give seconds from 0 to {high:g}"
            if column == TIME
            else f"give a number from {low:g} to {high:g}, or null"
        )
        problems.add(f"{where}[{index}]", f"'{printable(column)}' is {shown(cell)}", remedy)


def _check_time(problems: Problems, where: str, given: list[object], tick_s: float) -> None:
    longest_s = longest_gap_s(tick_s)
    before: float | None = None
    for position, row in enumerate(given):
        t_s = row[0] if isinstance(row, list) and row else None
        if type(t_s) is not int and type(t_s) is not float:
            continue  # which was complained about
        here = f"{where}[{position}][0]"
        if before is not None and t_s <= before:
            back = f"time goes from {before:g} to {t_s:g} s"
            problems.add(here, back, "sort the samples by time, each time once")
        elif before is not None and t_s - before > longest_s:
            gap = f"a gap of {t_s - before:g} s after {before:g} s"
            problems.add(here, gap, f"cut the recording there; up to {longest_s:g} s are bridged")
        before = t_s
