"""Reads YAML into a tree of places, refusing what a config has no use for.

The pure-Python parser of PyYAML gives events; the tree is built from them without recursion, so
that depth, size and count are bounded before they can hurt. Never the C parser: its places are
less exact, and it was seen to crash on hostile input.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from edgeapp.document.scalars import resolve
from edgeapp.document.syntax import explain, is_before
from edgeapp.document.tree import Entry, Listing, Node, Scalar, Table
from edgeapp.errors import Complaint, ConfigError, Place

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000
_LET_READ = "let the user that runs this read it; for a service 'sudo edgeapp doctor' says how"

LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Where PyYAML sees a new line."""
# Told by what is in it, which is little: Python takes 5 ms for the same as [^...] of what is not.
UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)


class _Mark(Protocol):
    """A spot that the parser tells, counted from 0."""

    line: int
    column: int


class _Events(Reader, Scanner, Parser):
    """PyYAML's pure-Python parser, without its composers and constructors."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def __iter__(self) -> Iterator[Event]:
        while self.check_event():
            event = self.get_event()  # type: ignore[no-untyped-call]  # so in types-PyYAML
            assert event is not None
            yield event


def read_file(path: Path, *, empty: Node | None = None) -> Node:
    """Read and parse a file. `empty`: what one says that holds nothing; a mistake if not given.

    Raises:
        ConfigError: it cannot be read, or is not YAML as configs use it; every mistake found.
    """
    return read(read_bytes(path), str(path), empty=empty)


def read_bytes(path: Path) -> bytes:
    """The content of a config file, at most one byte more than is allowed.

    A pipe that nobody has opened for writing is empty; it is not waited for.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            os.set_blocking(file.fileno(), True)
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _whole(str(path), _missing(path)) from None
    except IsADirectoryError:
        raise _whole(str(path), "this is a folder, not a file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        remedy = _LET_READ if isinstance(error, PermissionError) else ""
        raise _whole(str(path), f"it cannot be read: {reason}", remedy) from None


def read(data: bytes, file: str, *, empty: Node | None = None) -> Node:
    """Parse the bytes of a file; `file` is what complaints call it, `empty` as in `read_file`.

    Raises:
        ConfigError: not YAML as configs use it; every mistake found.
    """
    if len(data) > MAX_BYTES:
        raise _whole(file, f"it is larger than {MAX_BYTES // 1024} KiB, too large for a config")
    text = _decode(data, file)
    builder = _Builder(file, text)
    try:
        for event in _Events(text):
            builder.take(event)
    except MarkedYAMLError as error:
        marks = [error.problem_mark, error.context_mark]
        mark = next(filter(None, reversed(marks) if is_before(error) else marks), None)
        place = builder.place(mark, mark)
        builder.complaints.append(Complaint(place, *explain(error)))
    except (ValueError, OverflowError, IndexError):
        # PyYAML lets these through on escapes and directives with absurd numbers.
        place = builder.place(builder.reached, builder.reached)
        builder.complaints.append(Complaint(place, "this is not YAML from here on"))
    except _TooMuchError:
        pass
    if builder.complaints:
        raise ConfigError(builder.complaints)
    root = builder.root or empty
    if root is None:
        raise _whole(file, "the file is empty")
    return root


class _TooMuchError(Exception):
    """A limit was passed; the complaint is made already."""


@dataclass(slots=True)
class _Frame:
    """A list or table that is still open."""

    start: _Mark | None
    is_table: bool
    nodes: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Place] | None = None
    wants_key: bool = True


class _Builder:
    """Takes parser events, one by one, and holds the tree and the complaints in the end."""

    def __init__(self, file: str, text: str) -> None:
        self.complaints: list[Complaint] = []
        self.root: Node | None = None
        self.reached: _Mark | None = None
        self._file = file
        self._text = text
        self._lines = LINE_BREAK.split(text)
        self._open: list[_Frame] = []
        self._nodes = 0
        self._documents = 0

    def place(self, start: _Mark | None, end: _Mark | None) -> Place:
        """The place of what stands between two marks: the first line of it."""
        if start is None or end is None:  # the parser always knows; its types say maybe
            return Place(self._file)
        line = self._lines[start.line] if start.line < len(self._lines) else ""
        until = end.column if end.line == start.line else len(line)
        return Place(self._file, start.line + 1, start.column + 1, max(1, until - start.column))

    def take(self, event: Event) -> None:
        """Continue the tree.

        Raises:
            _TooMuchError: deeper or larger than is allowed.
        """
        self.reached = event.start_mark
        if isinstance(event, DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, NodeEvent):
            self._take_node(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            frame = self._open.pop()
            place = self.place(frame.start, event.end_mark if self._is_flow(frame) else frame.start)
            if frame.is_table:
                self._put(Table(tuple(frame.entries.values()), place))
            else:
                self._put(Listing(tuple(frame.nodes), place))
        elif isinstance(event, StreamEndEvent):
            self.reached = event.end_mark

    def _is_flow(self, frame: _Frame) -> bool:
        if frame.start is None:
            return False
        line = self._lines[frame.start.line]
        return line[frame.start.column : frame.start.column + 1] in {"{", "["}

    def _start_document(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._complain(event, "a second document starts here", "put each into its own file")
            raise _TooMuchError
        if event.tags:
            self._complain(event, "tags ('%TAG') are not used in configs", "remove this line")

    def _take_node(self, event: NodeEvent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._complain(event, f"the file holds more than {MAX_NODES} values", "")
            raise _TooMuchError
        if isinstance(event, AliasEvent):
            self._complain(
                event, f"references ('*{event.anchor}') are not used in configs", "repeat the value"
            )
            self._put(Scalar(None, "", self.place(event.start_mark, event.end_mark)))
            return
        if event.anchor:
            self._complain(
                event, f"anchors ('&{event.anchor}') are not used in configs", "remove it"
            )
        if getattr(event, "tag", None):
            self._complain(
                event,
                "tags ('!...') are not used in configs",
                "remove it; quote text that starts with '!'",
            )
        if isinstance(event, ScalarEvent):
            self._put(self._scalar(event))
            return
        if len(self._open) >= MAX_DEPTH:
            self._complain(event, f"nested more than {MAX_DEPTH} levels deep", "")
            raise _TooMuchError
        self._open.append(_Frame(event.start_mark, isinstance(event, MappingStartEvent)))

    def _scalar(self, event: ScalarEvent) -> Scalar:
        place = self.place(event.start_mark, event.end_mark)
        text = event.value
        if match := UNPRINTABLE.search(text):  # by an escape, such as "\0"
            self.complaints.append(
                Complaint(place, f"this text holds the control character U+{ord(match[0]):04X}")
            )
            text = ""
        start, end = event.start_mark, event.end_mark
        raw = self._text[start.index : end.index] if start and end else ""
        return Scalar(resolve(text) if event.style is None else text, text, place, raw)

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        frame = self._open[-1]
        if not frame.is_table:
            frame.nodes.append(node)
        elif frame.wants_key:
            frame.key = self._key(node)
            frame.wants_key = False
        else:
            frame.wants_key = True
            if frame.key is not None:
                self._enter(frame.entries, *frame.key, node)

    def _key(self, node: Node) -> tuple[str, Place] | None:
        if not isinstance(node, Scalar) or not node.text:
            self.complaints.append(Complaint(node.place, "a key must be a word before the ':'"))
            return None
        if node.text == "<<":
            self.complaints.append(
                Complaint(node.place, "merging ('<<') is not used in configs", "repeat the keys")
            )
            return None
        return node.text, node.place

    def _enter(self, entries: dict[str, Entry], key: str, place: Place, node: Node) -> None:
        if key in entries:
            first = entries[key].place.line
            self.complaints.append(
                Complaint(
                    place,
                    f"'{key}' stands here a second time; the first is in line {first}",
                    "remove one, or rename it",
                )
            )
            return
        entries[key] = Entry(key, place, node)

    def _complain(self, event: Event, problem: str, remedy: str) -> None:
        place = self.place(event.start_mark, event.end_mark)
        self.complaints.append(Complaint(place, problem, remedy))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _missing(path: Path) -> str:
    try:
        return f"this is a link to '{path.readlink()}', which is not there"
    except OSError:
        return "there is no such file"


def _decode(data: bytes, file: str) -> str:
    """The text of a file, without its byte-order mark."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = LINE_BREAK.split(data[: error.start].decode("utf-8-sig", errors="replace"))
        place = Place(file, len(before), len(before[-1]) + 1)
        raise ConfigError(
            [Complaint(place, "from here on the file is not UTF-8 text", "save it as UTF-8")]
        ) from None
    if match := UNPRINTABLE.search(text):
        before = LINE_BREAK.split(text[: match.start()])
        place = Place(file, len(before), len(before[-1]) + 1)
        problem = f"here is the control character U+{ord(match[0]):04X}"
        raise ConfigError([Complaint(place, problem, "delete it")])
    return text


def _whole(file: str, problem: str, remedy: str = "") -> ConfigError:
    return ConfigError([Complaint(Place(file), problem, remedy)])
