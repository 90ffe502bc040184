"""Settings of the device from outside of files: environment variables and `--set`."""

from collections.abc import Iterator, Mapping, Sequence

from edgeapp.config.device_file import DeviceFile
from edgeapp.config.values import value_at
from edgeapp.config.words import at_path, schema_of
from edgeapp.document.scalars import resolve
from edgeapp.document.tree import Entry, Node, Scalar, Table, shortened
from edgeapp.errors import Complaint, Place

KEYS = tuple(DeviceFile.model_fields)
"""Of the device file, at its top."""
PREFIX = "EDGEAPP_"
MOST_VARIABLES = 200
_DEEPEST = 8
_BETWEEN = "__"


def variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The environment variables that are settings, the outer before what is inside of it.

    Those with `__` between two names, and those that are a key of the device file: EDGEAPP_DEVICE,
    EDGEAPP_MQTT__HOST. All others, such as EDGEAPP_LOG, have a meaning of their own.
    """
    found = [
        name
        for name in environment
        if name.startswith(PREFIX)
        and (_BETWEEN in name or name.removeprefix(PREFIX).lower() in KEYS)
    ]
    return tuple(sorted(found, key=lambda name: (name.count(_BETWEEN), name)))


def environment_layers(environment: Mapping[str, str], found: list[Complaint]) -> Iterator[Table]:
    """What each variable sets; mistakes go to `found`."""
    names = variables(environment)
    if len(names) > MOST_VARIABLES:
        problem = f"{len(names)} environment variables begin with {PREFIX} and hold '{_BETWEEN}'"
        found.append(Complaint(None, problem, f"at most {MOST_VARIABLES} are read"))
    for name in names[:MOST_VARIABLES]:
        place = Place(f"environment variable {shortened(name)}")
        path = name.removeprefix(PREFIX).lower().split(_BETWEEN)
        if not _names_something(path):
            remedy = f"write it as in {PREFIX}MQTT{_BETWEEN}HOST"
            found.append(Complaint(place, "this does not name a setting", remedy))
        elif layer := _layer(path, environment[name], place, found):
            yield layer


def set_layers(sets: Sequence[str], found: list[Complaint]) -> Iterator[Table]:
    """What each `--set` of the device sets, as `mqtt.host=broker`; mistakes go to `found`."""
    for text in sets:
        target, _, value = text.partition("=")
        place = Place(f"--set {shortened(text)}")
        path = target.strip().split(".")
        if not _names_something(path):
            problem = "this does not say which option to set"
            found.append(Complaint(place, problem, "write --set mqtt.host=value"))
        elif layer := _layer(path, value, place, found):
            yield layer


def _names_something(path: list[str]) -> bool:
    return len(path) <= _DEEPEST and all(key and key.isprintable() for key in path)


def _layer(path: list[str], text: str, place: Place, found: list[Complaint]) -> Table | None:
    node: Node | None
    if resolve(text.strip()) is not None and _is_secret(path):
        node = Scalar(text, text, place)  # whatever it is, it is not looked into, and not repeated
    else:
        node = value_at(text, place, found)
    if node is None:
        return None
    for key in reversed(path):
        node = Table((Entry(key, place, node),), place)
    assert isinstance(node, Table)
    return node


def _is_secret(path: list[str]) -> bool:
    return at_path(schema_of(DeviceFile), tuple(path)).get("format") == "secret"
