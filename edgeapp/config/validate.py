"""From a table of a file to a pydantic model, or to complaints with places.

YAML has said already what is a number and what is text, so `"15"` is no number and `true` is no 1,
which pydantic would take. Its strict mode refuses them; but it also refuses a list from a plugin's
own validator where a tuple is wanted. Therefore both modes are asked.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgeapp.config.words import Schema, at_path, describe, schema_of
from edgeapp.document.scalars import resolve
from edgeapp.document.spots import place_within
from edgeapp.document.tree import Listing, Node, Scalar, Table, plain, shortened
from edgeapp.document.words import did_you_mean
from edgeapp.errors import Complaint, Place
from edgeapp.rules.tree import RuleError

Model = TypeVar("Model", bound=BaseModel)
Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose options are checked, for the wording of complaints."""

    label: str
    """Before what is wrong with a value: "stage 'camera'". May be empty."""
    owner: str
    """Who has options: "source 'camera'"."""
    home: Place
    """Where a missing option belongs."""
    also: Sequence[str] = ()
    """Further keys that may stand in the same table, for near misses."""


@dataclass(slots=True)
class _Group:
    """The errors that pydantic found at one spot."""

    node: Node
    place: Place
    errors: list[ErrorDetails] = field(default_factory=list)


def validate(
    model: type[Model],
    table: Table,
    subject: Subject,
    *,
    found: list[Complaint],
    context: object = None,
) -> Model | None:
    """Build `model` from a table; on mistakes, add a complaint for each to `found`."""
    try:
        return _build(model, table, context)
    except _WrongError as error:
        details = error.details
    except OSError as error:
        label = f"{subject.label}: " if subject.label else ""
        problem = f"{label}a file that it names cannot be looked at: {error.strerror or error}"
        found.append(Complaint(subject.home, problem))
        return None
    except Exception as error:  # noqa: BLE001 - a plugin's validator may raise anything
        remedy = f"its author must make {model.__name__} raise ValueError for wrong values"
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        problem = f"{subject.owner} failed while checking its options: {said}"
        found.append(Complaint(subject.home, problem, remedy))
        return None
    groups: dict[Steps, _Group] = {}
    for detail in details:
        at_key = detail["type"] in {"missing", "extra_forbidden"}
        path, node, place = _locate(table, detail["loc"], subject.home, at_key=at_key)
        groups.setdefault(path, _Group(node, place)).errors.append(detail)
    schema = schema_of(model)
    found.extend(_complaint(path, group, subject, schema) for path, group in groups.items())
    return None


class _WrongError(Exception):
    """What pydantic found."""

    def __init__(self, details: list[ErrorDetails]) -> None:
        super().__init__(details)
        self.details = details


def _build(model: type[Model], table: Table, context: object) -> Model:
    text = json.dumps(plain(table))
    try:
        return model.model_validate_json(text, strict=True, context=context)
    except ValidationError as error:
        wrong = [e for e in error.errors(include_url=False) if _is_converted(e, table)]
    try:
        built = model.model_validate_json(text, strict=False, context=context)
    except ValidationError as error:
        raise _WrongError(error.errors(include_url=False) + wrong) from None
    if wrong:
        raise _WrongError(wrong)
    return built


def _is_converted(error: ErrorDetails, table: Table) -> bool:
    """Whether lax pydantic would turn text, or true, into a number, or either into true."""
    _, node, _ = _locate(table, error["loc"], table.place, at_key=False)
    if not isinstance(node, Scalar):
        return False
    if error["type"] == "bool_type":
        return not isinstance(node.value, bool)
    return error["type"] in {"int_type", "float_type"} and isinstance(node.value, bool | str)


def _locate(table: Table, loc: Steps, home: Place, *, at_key: bool) -> tuple[Steps, Node, Place]:
    """Where a pydantic location is in the file; the deepest node that exists.

    Pydantic's locations also name branches of unions; those are passed over. The last part of a
    missing key stays in the path.
    """
    node: Node = table
    place = key_place = home
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(node, Table) and isinstance(part, str):
            entry = node.get(part)
            if entry is not None:
                node, place, key_place = entry.value, entry.value.place, entry.place
                path.append(part)
            elif index == len(loc) - 1:
                path.append(part)
        elif isinstance(node, Listing) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            place = key_place = node.place
            path.append(part)
    of_key = at_key or loc[-1:] == ("[key]",)
    return tuple(path), node, key_place if of_key else place


def _complaint(path: Steps, group: _Group, subject: Subject, schema: Schema) -> Complaint:
    kinds = {error["type"] for error in group.errors}
    if "extra_forbidden" in kinds:
        return _unknown(path, group.place, subject, schema)
    if "missing" in kinds and isinstance(group.node, Table):
        return _missing(path, group.place, subject, schema)
    label = f"{subject.label}: " if subject.label else ""
    for error in group.errors:
        if error["type"] in {"value_error", "assertion_error"}:
            before = f"{label}{_name(path)}: " if path else label
            return _raised(error, group, before)
    at = at_path(schema, path)
    wanted = describe(at, schema)
    if group.errors[0]["loc"][-1:] == ("[key]",):
        problem = f"{label}'{path[-1]}' cannot be a key of {_name(path[:-1])}"
        return Complaint(group.place, problem, group.errors[0]["msg"])
    if not wanted:
        return Complaint(group.place, f"{label}{_name(path)}: {group.errors[0]['msg']}")
    secret = at.get("format") == "secret"
    problem = f"{label}{_name(path)} must be {wanted}{_but(group.node, secret=secret)}"
    return Complaint(group.place, problem, _remedy(group.node, at))


def _raised(error: ErrorDetails, group: _Group, before: str) -> Complaint:
    """What a validator said; of a rule, at the spot within it."""
    said = error.get("ctx", {}).get("error", error["msg"])
    if isinstance(said, RuleError):
        return rule_complaint(said, group.node, before)
    return Complaint(group.place, f"{before}{said}")


def rule_complaint(error: RuleError, node: Node, before: str) -> Complaint:
    """What is wrong with a rule, at its spot in the file; `before` goes before it."""
    if isinstance(node, Scalar) and node.raw and node.place.line:
        place = place_within(node, error.offset, error.width)
        return Complaint(place, f"{before}{error.problem}", error.remedy)
    problem = f"{before}{error.problem} (character {error.offset + 1} of the rule)"
    return Complaint(node.place, problem, error.remedy)


def _unknown(path: Steps, place: Place, subject: Subject, schema: Schema) -> Complaint:
    key = str(path[-1])
    known = at_path(schema, path[:-1]).get("properties", {})
    owner, also = subject.owner, subject.also
    if len(path) > 1:
        owner, also = f"{_name(path[:-1])} of {owner}", ()
    remedy = did_you_mean(key, known, heading="Options", also=also)
    return Complaint(place, f"{owner} has no option '{key}'", remedy)


def _missing(path: Steps, place: Place, subject: Subject, schema: Schema) -> Complaint:
    at = at_path(schema, path)
    key = str(path[-1])
    wanted = describe(at, schema)
    meaning = str(at.get("description", ""))
    remedy = f"add '{key}: ...'" + (f", {wanted}" if wanted else "")
    owner = subject.owner if len(path) == 1 else f"{_name(path[:-1])} of {subject.owner}"
    return Complaint(place, f"{owner} needs the option '{key}'", f"{remedy}. {meaning}".strip())


def _name(path: Steps) -> str:
    """An option as people call it: "size", "item 2 of size", "tls.ca"."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name = f"item {part + 1} of {name}"
        else:
            name = f"{name}.{part}" if name else part
    return name


def _but(node: Node, *, secret: bool) -> str:
    """The end of a sentence "size must be a number greater than 0": what it is instead."""
    if isinstance(node, Listing):
        return f", not a list of {len(node.items)}" if node.items else ", not an empty list"
    if isinstance(node, Table):
        return ", not a group of keys"
    if node.value is None:
        return ", but it is empty"
    if secret:
        return ""
    text = shortened(node.text)
    return f", not '{text}'" if isinstance(node.value, str) else f", not {text}"


def _remedy(node: Node, schema: Schema) -> str:
    if not isinstance(node, Scalar):
        return ""
    text = shortened(node.text)
    choices: list[Any] = [c for c in schema.get("enum", []) if isinstance(c, str)]
    if isinstance(node.value, str) and choices:
        near = did_you_mean(text, choices, heading="Choices")
        return near.partition("? ")[0] + "?" if near.startswith("did") else ""
    if node.value is not None and not isinstance(node.value, str) and _is_text(schema):
        return f'put it in quotes: "{text}"'
    if isinstance(node.value, str):
        return _instead_of_text(text, schema.get("type"))
    return ""


def _instead_of_text(text: str, wanted: object) -> str:
    """What to write where text stands and no text is wanted."""
    if isinstance(resolve(text), float | int):
        return "remove the quotes"
    if wanted == "boolean":
        return _SWITCHES.get(text.lower(), "")
    if wanted in {"number", "integer"} and _MEASURE.fullmatch(text):
        return "write the number alone, in the unit that the option's name ends in"
    return ""


_MEASURE = re.compile(r"[-+]?[0-9.]+ ?[A-Za-z°µ/]+")
"""A number with its unit, such as '10s' or '12 kHz'."""

_SWITCHES = dict.fromkeys(("yes", "on"), "write true") | dict.fromkeys(("no", "off"), "write false")
"""What YAML 1.1 took for true and false."""


def _is_text(schema: Schema) -> bool:
    return schema.get("type") == "string" and not schema.get("format") and "enum" not in schema
