"""`--set stage.option=value`: changes to a pipeline file, from the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.document.reader import read
from edgeapp.document.tree import Entry, Node, Scalar, moved, shortened
from edgeapp.errors import Complaint, ConfigError, Place


@dataclass(frozen=True, slots=True)
class Change:
    """One option of one stage, given on the command line."""

    stage: str
    entry: Entry
    """Key and value, placed at the `--set` itself."""


def parse_sets(sets: Sequence[str], found: list[Complaint]) -> tuple[Change, ...]:
    """Parse what followed each `--set`; mistakes go to `found`."""
    return tuple(change for text in sets if (change := _parse(text, found)))


def _parse(text: str, found: list[Complaint]) -> Change | None:
    place = Place(f"--set {shortened(text)}")
    target, equals, value = text.partition("=")
    stage, dot, option = target.strip().partition(".")
    if not (equals and dot and stage and option):
        problem = "this does not say which option of which stage to set"
        found.append(Complaint(place, problem, "write --set stage.option=value"))
        return None
    node = _value(value, place, found)
    return Change(stage, Entry(option, place, node)) if node is not None else None


def _value(text: str, place: Place, found: list[Complaint]) -> Node | None:
    if not text.strip():
        return Scalar(None, "", place)
    try:
        return moved(read(text.encode("utf-8", "surrogateescape"), place.file), place)
    except ConfigError as error:
        found.extend(Complaint(place, c.problem, c.remedy) for c in error.complaints)
        return None
