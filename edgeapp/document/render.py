"""Complaints as people read them: where, the line itself, what is wrong, what to do.

porch.yaml:9:5: source 'camera' has no option 'rate_hx'
   |
 9 |     rate_hx: 15
   |     ^^^^^^^
   = did you mean 'rate_hz'? Options: device, size, rate_hz
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgeapp.core import revealed
from edgeapp.document.reader import LINE_BREAK, MAX_BYTES
from edgeapp.errors import Complaint, Place

MAX_COLUMNS = 100
"""Of a source line; longer ones are cut around the place."""
MOST_SHOWN = 50
"""Complaints; who has more has one mistake many times."""
_NEAR = 1_000
"""Characters of a line before a place that are looked at, and twice as many from there on."""
_TAB = 4

_LOGIN = re.compile(r"(?::/{1,2}|/(?=[^/\s@:]+:))(?P<login>[^/\s@]*)@")
"""With one slash in what was taken for a path; in one that is no address, with a name and a colon."""
_SECRETS = re.compile(
    rf"{_LOGIN.pattern}"
    r"|(?<![^\s{,\"'])(?P<pair>[^\s/:@{,\"']+:[^\s/:@\"']+)@"
    r"|(?i:user_?name|password|passwd|passphrase|secret|token|api_?key)[\w.-]*[\"']?\s*[:=]\s*[\"']?"
    r"(?P<value>(?!cred:|env:)[^\s\"'][^\"',}]*)"
)

_RED, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


def render_all(
    complaints: Iterable[Complaint],
    *,
    color: bool = False,
    texts: Mapping[str, str] | None = None,
) -> str:
    """The first `MOST_SHOWN` complaints, a blank line between them, and how many more there are.

    Files are read again for their lines.

    `texts`: contents of files by the name that places give them, to be used instead of reading.
    """
    known: dict[str, list[str]] = {n: LINE_BREAK.split(t) for n, t in (texts or {}).items()}
    rendered = []
    every = list(complaints)
    for complaint in every[:MOST_SHOWN]:
        place = complaint.place
        lines: list[str] = []
        if place is not None and place.line:
            if place.file not in known:
                known[place.file] = _lines_of(place.file)
            lines = known[place.file]
        rendered.append(_render(complaint, lines, color=color))
    if len(every) > MOST_SHOWN:
        rendered.append(f"{len(every) - MOST_SHOWN} more mistakes are not shown")
    return "\n\n".join(rendered)


def render(complaint: Complaint, *, color: bool = False, text: str | None = None) -> str:
    """One complaint; `text` is the content of its file, read again if not given."""
    texts = {complaint.place.file: text} if complaint.place and text is not None else None
    return render_all([complaint], color=color, texts=texts)


def _lines_of(file: str) -> list[str]:
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_BYTES + 1).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return []
    return LINE_BREAK.split(text)


def _render(complaint: Complaint, lines: list[str], *, color: bool) -> str:
    red, blue, bold, plain = (_RED, _BLUE, _BOLD, _PLAIN) if color else ("",) * 4
    place = complaint.place
    head = f"{bold}{clean(complaint.problem)}{plain}"
    if place is not None:
        file = clean_place(place)
        where = f"{file}:{place.line}:{place.column}" if place.line else file
        head = f"{where}: {head}"
    out = [head]
    margin = 3
    if place is not None and 0 < place.line <= len(lines):
        number = str(place.line)
        margin = len(number) + 2
        shown, carets = _excerpt(lines[place.line - 1], place)
        bar = f"{blue}|{plain}"
        out.append(f"{'':{margin}}{bar}")
        out.append(f" {blue}{number}{plain} {bar} {shown}")
        out.append(f"{'':{margin}}{bar} {red}{carets}{plain}")
    if complaint.remedy:
        out.append(f"{'':{margin}}{blue}={plain} {clean(complaint.remedy)}")
    return "\n".join(line.rstrip() for line in out)


def _excerpt(line: str, place: Place) -> tuple[str, str]:
    """The part of a line around a place, and the carets below it."""
    begin = max(0, place.column - 1 - _NEAR)
    cells = _cells(line, begin, begin + 3 * _NEAR)
    start = min(place.column - 1 - begin, len(cells))
    stop = min(start + max(1, place.width), len(cells))
    first = 0
    if sum(width for _, width in cells) > MAX_COLUMNS:
        first = _cut(cells, start)
    kept: list[str] = []
    used = 0
    last = first
    while last < len(cells) and used + cells[last][1] <= MAX_COLUMNS:
        kept.append(cells[last][0])
        used += cells[last][1]
        last += 1
    before = "…" if begin + first else ""
    shown = before + "".join(kept) + ("…" if begin + last < len(line) else "")
    indent = len(before) + sum(width for _, width in cells[first:start])
    underlined = sum(width for _, width in cells[start : min(stop, last)])
    return shown, " " * indent + "^" * max(1, underlined)


def _cut(cells: list[tuple[str, int]], start: int) -> int:
    """The first cell to show, so that what is at `start` has context on both sides."""
    first, room = start, MAX_COLUMNS // 3
    while first > 0 and room >= cells[first - 1][1]:
        first -= 1
        room -= cells[first][1]
    return first


def _cells(line: str, begin: int, end: int) -> list[tuple[str, int]]:
    """For each character from `begin` what to print for it, and how many columns that takes."""
    cells = []
    hidden = _hidden(line, _SECRETS)
    column = 0
    for index, char in enumerate(line[begin:end], begin):
        if index in hidden:
            cell = (hidden[index], len(hidden[index]))
        elif char == "\t":
            width = _TAB - column % _TAB
            cell = (" " * width, width)
        elif unicodedata.category(char)[0] == "C":
            cell = ("\N{REPLACEMENT CHARACTER}", 1)
        elif unicodedata.combining(char):
            cell = (char, 0)
        else:
            cell = (char, 2 if unicodedata.east_asian_width(char) in "WF" else 1)
        cells.append(cell)
        column += cell[1]
    return cells


def _hidden(line: str, secrets: re.Pattern[str]) -> dict[int, str]:
    """What stands instead of each character of a secret: three stars, then nothing."""
    hidden = {}
    for match in secrets.finditer(line):
        start, stop = match.span(match.lastgroup or 0)
        hidden.update({index: "***" if index == start else "" for index in range(start, stop)})
    return hidden


def clean(text: str, secrets: re.Pattern[str] = _LOGIN) -> str:
    """Text for a terminal or a log: control characters as escapes, secrets as stars."""
    text = revealed.hidden(text)
    hidden = _hidden(text, secrets)
    return "".join(hidden[i] if i in hidden else _visible(char) for i, char in enumerate(text))


def redacted(text: str) -> str:
    """Text of unknown origin as `clean` gives it, without what follows words such as `password`."""
    return clean(text, _SECRETS)


def clean_place(place: Place) -> str:
    """The file of a place, or the `--set` that it is, whose value may be a secret."""
    return clean(place.file, _SECRETS)


def _visible(char: str) -> str:
    if char == "\n":
        return " "
    printable = unicodedata.category(char)[0] != "C" and char not in "\u2028\u2029"
    return char if printable else char.encode("unicode_escape").decode()
