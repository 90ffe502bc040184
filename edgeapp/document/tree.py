"""What a YAML file says, each piece with its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edgeapp.errors import Place


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, resolved by the YAML 1.2 core rules."""

    value: str | int | float | bool | None
    text: str
    """As written, without its quotes."""
    place: Place
    raw: str = ""
    """As it stands in the file, quotes and all; empty where no file holds it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value. Keys are text, however they are written."""

    key: str
    place: Place
    """Of the key."""
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """Keys and values, in the order of the file; no key twice."""

    entries: tuple[Entry, ...]
    place: Place

    def get(self, key: str) -> Entry | None:
        """The entry of that key, if there is one."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def merged(self, changes: Sequence[Entry]) -> "Table":
        """This table with `changes` put in place of, or after, its own entries."""
        entries = {entry.key: entry for entry in self.entries}
        entries.update((entry.key, entry) for entry in changes)
        return Table(tuple(entries.values()), self.place)

    def only(self, keys: frozenset[str]) -> "Table":
        """The entries with these keys."""
        return Table(tuple(e for e in self.entries if e.key in keys), self.place)

    def without(self, keys: frozenset[str]) -> "Table":
        """The entries with other keys than these."""
        return Table(tuple(e for e in self.entries if e.key not in keys), self.place)


Node: TypeAlias = Scalar | Listing | Table
Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None


def plain(node: Node) -> Plain:
    """The same as lists and dictionaries."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {entry.key: plain(entry.value) for entry in node.entries}


def moved(node: Node, place: Place) -> Node:
    """The same tree, all of it at one place: for values that no file holds."""
    if isinstance(node, Scalar):
        return Scalar(node.value, node.text, place)
    if isinstance(node, Listing):
        return Listing(tuple(moved(item, place) for item in node.items), place)
    return Table(
        tuple(Entry(e.key, place, moved(e.value, place)) for e in node.entries),
        place,
    )


def kind_of(node: Node) -> str:
    """What a node is, in words for people."""
    if isinstance(node, Listing):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Table):
        return "a group of keys" if node.entries else "an empty group of keys"
    if node.value is None:
        return "empty"
    if isinstance(node.value, bool):
        return f"the switch value {node.text}"
    if isinstance(node.value, int | float):
        return f"the number {shortened(node.text)}"
    return f"'{shortened(node.text)}'"


def shortened(text: str, limit: int = 60) -> str:
    """`text`, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
