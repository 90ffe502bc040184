"""Values that no file holds: of `--set`, and of environment variables."""

from edgeapp.document.reader import read
from edgeapp.document.tree import Node, Scalar, moved
from edgeapp.errors import Complaint, ConfigError, Place


def value_at(text: str, place: Place, found: list[Complaint]) -> Node | None:
    """What a value says that no file holds: YAML, all of it at one place; mistakes go to `found`."""
    if not text.strip():
        return Scalar(None, "", place)
    if text.lstrip().startswith("#"):
        problem = "what begins with '#' is a comment, which leaves no value"
        found.append(Complaint(place, problem, "put the value in quotes"))
        return None
    try:
        return moved(read(text.encode("utf-8", "surrogateescape"), place.file), place)
    except ConfigError as error:
        found.extend(Complaint(place, c.problem, c.remedy) for c in error.complaints)
        return None
