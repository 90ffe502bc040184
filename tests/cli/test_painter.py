"""The painter against a small terminal that follows its control sequences."""

import io
import os
import re

import pytest

from edgeapp.cli.painter import Painter, fit, width

_TOKEN = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|(.|\n|\r)")


class Terminal(io.StringIO):
    """A screen without end: rows of text and a cursor."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [""]
        self.row = self.column = 0
        self.cursor_shown = True

    def write(self, text: str) -> int:
        for numbers, letter, char in _TOKEN.findall(text):
            self._obey(numbers, letter, char)
        return len(text)

    def _obey(self, numbers: str, letter: str, char: str) -> None:
        line = self.rows[self.row]
        if char == "\n":
            self.row, self.column = self.row + 1, 0
            self.rows += [""] * (self.row + 1 - len(self.rows))
        elif char == "\r":
            self.column = 0
        elif char:
            self.rows[self.row] = (
                line[: self.column].ljust(self.column) + char + line[self.column + 1 :]
            )
            self.column += 1
        elif letter == "A":
            self.row = max(0, self.row - int(numbers))
        elif letter == "K":
            self.rows[self.row] = line[: self.column]
        elif letter == "J":
            self.rows[self.row] = line[: self.column]
            del self.rows[self.row + 1 :]
        elif numbers == "?25":
            self.cursor_shown = letter == "h"


def test_a_frame_takes_the_place_of_the_one_before() -> None:
    terminal = Terminal()
    painter = Painter(terminal)
    painter.paint(["one", "two is long", "three"])
    painter.paint(["uno", "dos"])
    assert terminal.rows == ["uno", "dos"]


def test_what_is_written_above_stays_above() -> None:
    terminal = Terminal()
    painter = Painter(terminal)
    painter.paint(["frame 1", "-----"])
    painter.paint(["frame 2", "-----"], above="log a\nlog b\n")
    painter.paint(["frame 3", "-----"], above="log c\n")
    assert terminal.rows == ["log a", "log b", "log c", "frame 3", "-----"]


def test_closing_leaves_the_frame_and_the_cursor() -> None:
    terminal = Terminal()
    painter = Painter(terminal)
    painter.paint(["frame"])
    assert not terminal.cursor_shown
    painter.close()
    terminal.write("next")
    assert terminal.rows == ["frame", "next"]
    assert terminal.cursor_shown


def test_lines_that_a_narrower_terminal_wrapped_are_painted_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    painter = Painter(terminal)
    painter.paint(["above", "x" * 70])
    terminal.rows = ["above", "x" * 40, "x" * 30]  # what a terminal makes of it at 40 columns
    terminal.row, terminal.column = 2, 30
    monkeypatch.setattr(painter, "size", lambda: os.terminal_size((40, 24)))
    painter.paint(["new", "frame"])
    assert terminal.rows == ["new", "frame"]


def test_widths_count_columns_not_characters() -> None:
    assert width("\x1b[1mab\x1b[0m") == 2
    assert width("日本") == 4
    assert fit("日本語", 5) == "日本…"
    assert fit("ab", 4) == "ab  "
    assert fit("abcdef", 4) == "abc…"
    assert fit("abc", 0) == ""
