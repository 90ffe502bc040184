"""JSON of others, looked at value by value: every mistake with where it is and what to do."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeapp.document.words import nearest

_SHOWN = 40
"""Characters of a wrong value that are repeated."""
_MOST_PROBLEMS = 50


class TraceError(Exception):
    """A trace cannot be used: a sentence for each mistake, with file, place and remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Problems:
    """The mistakes of one file; bounded, for a file may be wrong in every line."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.told: list[str] = []
        """Sentences; `count` may be more."""
        self.count = 0

    def add(self, where: str, problem: str, remedy: str) -> None:
        """Note a mistake; the remedy is a clause such as "give seconds from 0 on"."""
        self.count += 1
        if self.count <= _MOST_PROBLEMS:
            place = f"{self._file}: {where}: " if where else f"{self._file}: "
            self.told.append(printable(f"{place}{problem}; {remedy}"))

    def end(self) -> None:
        """Say all that was found.

        Raises:
            TraceError: there is something.
        """
        if self.count:
            left = self.count - len(self.told)
            more = [f"{self._file}: {left:,} more mistakes like these"] if left else []
            raise TraceError([*self.told, *more])


class Table:
    """An object of the JSON. Whatever was not asked for when its block ends is a mistake.

    A value that is missing or wrong is noted, and one that is allowed is given in its place: so all
    mistakes are found together. What was built of them is thrown away by `Problems.end`.
    """

    def __init__(
        self, problems: Problems, where: str, value: object, *, known: bool = True
    ) -> None:
        self.problems = problems
        self.where = where
        self._values: dict[str, object] = {}
        self._asked: dict[str, None] = {}  # a set that keeps the order
        self._known = known and isinstance(value, dict)
        if isinstance(value, dict):
            self._values = value
            for key in getattr(value, "twice", ()):
                problems.add(self.path(key), "is given twice", "leave one of them out")
        elif known:
            problems.add(where, f"is {shown(value)}", "write an object, as in {...}")

    def __enter__(self) -> Self:
        """The table itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Note what nobody asked for."""
        if kind is None:
            for key in self._values:
                if key not in self._asked:
                    near = nearest(key, self._asked)
                    known = f"known are {', '.join(self._asked)}"
                    remedy = f"did you mean '{near}'? {known}" if near else known
                    self.problems.add(self.path(key), "is no such key", remedy)

    def path(self, key: str) -> str:
        """Where the value of a key is, as in `plant.nodes[0].tau_s`."""
        name = shown(key) if not key.isidentifier() else key
        return f"{self.where}.{name}" if self.where else name

    def has(self, key: str) -> bool:
        """Whether a key is given, and not as null."""
        self._asked[key] = None
        return self._values.get(key) is not None

    def keys(self) -> Iterator[str]:
        """All keys, for a table whose keys are names."""
        self._asked |= dict.fromkeys(self._values)
        yield from self._values

    def raw(self, key: str) -> object:
        """The value as it is; None where there is none."""
        self._asked[key] = None
        return self._values.get(key)

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = -1e9,
        high: float = 1e9,
        above: bool = False,
    ) -> float:
        """A finite number from `low` (`above` it) to `high`; required where there is no default."""
        value = self._get(key, default, f"give a number from {low:g} to {high:g}")
        return number(self.problems, self.path(key), value, low=low, high=high, above=above)

    def whole(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = 1 << 31
    ) -> int:
        """A whole number from `low` to `high`."""
        value = self._get(key, default, f"give a whole number from {low} to {high}")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._wrong(key, value, f"give a whole number from {low} to {high}")
            return low
        return value

    def maybe(self, key: str, *, low: float, high: float, above: bool = False) -> float | None:
        """A number as of `number`; None where there is none."""
        return self.number(key, low=low, high=high, above=above) if self.has(key) else None

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default, "")
        if not isinstance(value, bool):
            self._wrong(key, value, "write true or false")
            return default
        return value

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        among: Sequence[str] = (),
        longest: int = 200,
        empty: bool = False,
    ) -> str:
        """Text without control characters; one of `among` where that is given."""
        remedy = f"write one of {', '.join(among)}" if among else f"write 1 to {longest} characters"
        value = self._get(key, default, remedy)
        if (
            not isinstance(value, str)
            or (among and value not in among)
            or len(value) > longest
            or not (value or empty)
            or not value.isprintable()
        ):
            near = nearest(value, among) if isinstance(value, str) else None
            self._wrong(key, value, f"did you mean '{near}'? {remedy}" if near else remedy)
            return default or (among[0] if among else "")
        return value

    def items(self, key: str, *, required: bool = True, most: int = 10_000) -> list[object]:
        """The elements of a list; none where it is missing or wrong."""
        remedy = f"write a list of at most {most:,} elements, as in [...]"
        value = self._get(key, None if required else [], remedy)
        if not isinstance(value, list) or len(value) > most:
            self._wrong(key, value, remedy)
            return []
        return value

    def table(self, key: str) -> "Table":
        """The object of a key; an empty one where it is missing or wrong."""
        value = self._get(key, {}, "")
        return Table(self.problems, self.path(key), value, known=self._known)

    def _get(self, key: str, default: object, remedy: str) -> object:
        self._asked[key] = None
        value = self._values.get(key)
        if value is not None:
            return value
        if default is None and key in self._values:
            return None
        if default is None:
            if self._known:  # else that it is no object says it all
                self.problems.add(self.path(key), "is missing", remedy)
            return _MISSING
        return default

    def _wrong(self, key: str, value: object, remedy: str) -> None:
        if value is not _MISSING:
            self.problems.add(self.path(key), f"is {shown(value)}", remedy)


_MISSING = object()


def number(
    problems: Problems,
    where: str,
    value: object,
    *,
    low: float = -1e9,
    high: float = 1e9,
    above: bool = False,
) -> float:
    """A finite number from `low` (`above` it) to `high`; a wrong one is noted, and `high` given."""
    if type(value) in {int, float}:
        found: float = value  # type: ignore[assignment]  # as was just asked; isinstance takes bool
        if low <= found <= high and not (above and found == low):
            return float(found)
    if value is not _MISSING:
        span = f"above {low:g}, at most {high:g}" if above else f"from {low:g} to {high:g}"
        problems.add(where, f"is {shown(value)}", f"give a number {span}")
    return high


def shown(value: object) -> str:
    """A value as it is repeated in a complaint: short, and harmless for a terminal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite" if not math.isnan(value) else "NaN"
    text = repr(value)
    return printable(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")


def printable(text: str) -> str:
    """Text that neither steers a terminal nor fails to be printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class _Object(dict[str, object]):
    """An object of the JSON that knows which of its keys are given twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.twice: tuple[str, ...] = ()
        if len(self) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.twice = tuple(key for key, count in counts.items() if count > 1)


def read_json(path: Path, *, most_bytes: int) -> object:
    """The JSON of a file. `NaN` and `Infinity` come through, to be complained about in place.

    Raises:
        TraceError: it cannot be read, is too large or no JSON.
    """
    try:
        with path.open("rb") as handle:
            text = handle.read(most_bytes + 1)
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        raise _refused(path, "", why, "name a file that is there") from None
    if len(text) > most_bytes:
        larger = f"is larger than {most_bytes >> 20} MB"
        raise _refused(path, "", larger, "record for less long, or less often")
    try:
        return json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _refused(path, where, f"is no JSON: {error.msg}", "mend it there") from None
    except UnicodeDecodeError as error:
        where = f"byte {error.start}"
        raise _refused(path, where, "is no UTF-8", "write the file as UTF-8") from None
    except RecursionError:
        deep = "is nested too deeply"
        raise _refused(path, "", deep, "write it as docs/watchdog.md shows") from None
    except ValueError as error:  # such as a number of 5,000 digits
        raise _refused(path, "", f"is no JSON: {error}", "mend it") from None


def _refused(path: Path, where: str, problem: str, remedy: str) -> TraceError:
    problems = Problems(str(path))
    problems.add(where, problem, remedy)
    return TraceError(problems.told)
