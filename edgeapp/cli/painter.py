"""Keeps a block of lines at the bottom of a terminal, and lets other text scroll by above it.

rich's Live with its tables does this too, but a frame of two pipelines was measured to cost more
than ten times the CPU, and it loses count of its rows when the terminal gets narrower.
"""

import os
import re
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len, set_cell_size

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Show all of it at once, where the terminal can."""
_CUT_LINES, _WRAP_LINES = "\x1b[?7l", "\x1b[?7h"
_TO_LINE_END, _TO_SCREEN_END = "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Painter:
    """Paints frames, each over the last one. For one thread.

    Every method may raise OSError once the terminal is gone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._widths: list[int] = []  # of the lines of the frame that is on the screen

    def size(self) -> os.terminal_size:
        """Columns and rows of the terminal now."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return os.terminal_size((80, 24))
        return size if size.columns and size.lines else os.terminal_size((80, 24))

    def paint(self, lines: Sequence[str], *, above: str = "") -> None:
        """Replace the frame by `lines`; `above`: whole lines of text that scroll by above it."""
        parts = [_BEGIN, _HIDE_CURSOR, self._to_top()]
        parts += [f"{line}{_TO_LINE_END}\n" for line in above.splitlines()]
        parts += [_CUT_LINES, f"{_TO_LINE_END}\n".join(lines), _WRAP_LINES]
        parts += [_TO_SCREEN_END, _END]
        self._stream.write("".join(parts))
        self._stream.flush()
        self._widths = [width(line) for line in lines]

    def close(self) -> None:
        """Leave the frame where it is and go on below it."""
        self._stream.write(("\n" if self._widths else "") + _SHOW_CURSOR)
        self._stream.flush()
        self._widths = []

    def _to_top(self) -> str:
        """From the end of the frame to its beginning.

        Terminals wrap what is on the screen when they get narrower, so that an old line may take
        several rows now.
        """
        columns = self.size().columns
        rows = sum(max(1, -(-width // columns)) for width in self._widths)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")


def width(text: str) -> int:
    """Columns that a text takes, styles left out."""
    return cell_len(_STYLE.sub("", text) if "\x1b" in text else text)


def fit(text: str, columns: int) -> str:
    """A text without styles in exactly so many columns: cut with an ellipsis, or padded."""
    if text.isascii():
        if len(text) <= columns:
            return text.ljust(columns)
    elif cell_len(text) <= columns:
        return set_cell_size(text, columns)
    return set_cell_size(text, max(0, columns - 1)) + "…" if columns > 0 else ""
