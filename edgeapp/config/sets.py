"""`--set stage.option=value`: changes to pipeline files, from the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeapp.config.values import value_at
from edgeapp.document.tree import Entry, shortened
from edgeapp.errors import Complaint, Place

_STAGES = "stages."


@dataclass(frozen=True, slots=True)
class Change:
    """One option of one stage, given on the command line."""

    stage: str
    entry: Entry
    """Key and value, placed at the `--set` itself."""


def parse_sets(sets: Sequence[str], found: list[Complaint]) -> tuple[Change, ...]:
    """Parse what followed each `--set`; mistakes go to `found`."""
    return tuple(change for text in sets if (change := _parse(text, found)))


def in_stages(target: str) -> str:
    """What is to be set, from the stage on: `stages.camera.rate_hz`, as in the file, is said too."""
    target = target.strip()
    return target.removeprefix(_STAGES) if target.count(".") > 1 else target


def _parse(text: str, found: list[Complaint]) -> Change | None:
    place = Place(f"--set {shortened(text)}")
    target, equals, value = text.partition("=")
    stage, dot, option = in_stages(target).partition(".")
    if not (equals and dot and stage and option):
        problem = "this does not say which option of which stage to set"
        found.append(Complaint(place, problem, "write --set stage.option=value"))
        return None
    node = value_at(value, place, found)
    return Change(stage, Entry(option, place, node)) if node is not None else None
