"""Where a character of a value stands in its file, whatever its quotes, escapes and folds.

All styles of YAML keep what is not white space, in its order. So the n-th such character of the
text is the n-th of what the file holds, once quotes, escapes and a block's header are seen through.
"""

import re
from collections.abc import Iterator

from edgeapp.document.reader import LINE_BREAK
from edgeapp.document.tree import Scalar
from edgeapp.errors import Place

_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<one>[\s\S]))"
)
_WHITE = frozenset("tnvfrN_LP \t\r\n\x85\u2028\u2029")
"""What stands behind a backslash for white space, or for nothing."""


def place_within(scalar: Scalar, offset: int, width: int) -> Place:
    """The place of `width` characters of a value, from `offset` on; to the end of their line.

    The scalar's own place where no file holds it.
    """
    place = scalar.place
    if not scalar.raw or not place.line:
        return place
    before = sum(not char.isspace() for char in scalar.text[:offset])
    spots = list(_spots(scalar.raw))
    if not spots:
        return place
    first = spots[before] if before < len(spots) else spots[-1] + 1
    inside = sum(not char.isspace() for char in scalar.text[offset : offset + width])
    last = spots[min(before + inside, len(spots)) - 1] if inside else first
    breaks = list(LINE_BREAK.finditer(scalar.raw, 0, first))
    start = breaks[-1].end() if breaks else 1 - place.column
    end = LINE_BREAK.search(scalar.raw, first)
    until = min(last + 1, end.start() if end else len(scalar.raw))
    return Place(place.file, place.line + len(breaks), first - start + 1, max(1, until - first))


def _spots(raw: str) -> Iterator[int]:
    """Offsets of the characters that a value keeps and that are not white space."""
    at, end = 0, len(raw)
    style = raw[0]
    if style in "\"'":
        at, end = 1, end - 1
    elif style in "|>":
        header = LINE_BREAK.search(raw)
        at = header.end() if header else end
    while at < end:
        step = 1
        kept = not raw[at].isspace()
        if style == '"' and (match := _ESCAPE.match(raw, at)):
            step = match.end() - at
            code = match["x"] or match["u"] or match["U"]
            kept = not chr(int(code, 16)).isspace() if code else match["one"] not in _WHITE
        elif style == "'" and raw[at] == "'":
            step = 2
        if kept:
            yield at
        at += step
