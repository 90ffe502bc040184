"""One table laid over another: what the upper one says wins, and each piece keeps its place."""

from collections.abc import Callable

from edgeapp.document.tree import Entry, Node, Scalar, Table

Path = tuple[str, ...]
"""Keys, the outermost first."""


def merged(lower: Table, upper: Table) -> Table:
    """`lower`, changed by `upper`: groups of keys merge, lists and values replace, null removes.

    A null with nothing below it stays, for whoever knows whether that was meant: see `cleared`.
    Each value has the place of the layer that it is from, a group that of the lowest that has it.
    """
    entries = {entry.key: entry for entry in lower.entries}
    for entry in upper.entries:
        below = entries.get(entry.key)
        if below is None or is_null(below.value):
            entries[entry.key] = entry
        elif is_null(entry.value):
            del entries[entry.key]
        elif isinstance(entry.value, Table) and isinstance(below.value, Table):
            group = merged(below.value, entry.value)
            entries[entry.key] = Entry(entry.key, below.place, group)
        else:
            entries[entry.key] = entry
    return Table(tuple(entries.values()), lower.place)


def cleared(table: Table, known: Callable[[Path], bool], above: Path = ()) -> Table:
    """`table` without the nulls of keys that are `known`: a key left empty is as if not given.

    Those of other keys are mistakes, and stay to be found.
    """
    kept = []
    for entry in table.entries:
        path = (*above, entry.key)
        if isinstance(entry.value, Table):
            kept.append(Entry(entry.key, entry.place, cleared(entry.value, known, path)))
        elif not (is_null(entry.value) and known(path)):
            kept.append(entry)
    return Table(tuple(kept), table.place)


def is_null(node: Node) -> bool:
    """Whether a key stands there without a value."""
    return isinstance(node, Scalar) and node.value is None
