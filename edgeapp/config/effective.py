"""Every setting of a device as it counts in the end, and where it came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from edgeapp.config.device import DeviceReading
from edgeapp.core.secret import Secret
from edgeapp.document.render import clean_place
from edgeapp.document.tree import Entry, Plain, Scalar, Table, plain
from edgeapp.errors import Place

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a device configuration."""

    path: tuple[str, ...]
    value: Plain
    """None: not set. A secret is where it is to be found, never what it is."""
    origin: str
    """Where it stands, as people write it: "/etc/edgeapp/edgeapp.yaml:3"; or `DEFAULT`."""
    is_group: bool = False
    """The keys within follow; the value is empty."""


def settings_of(reading: DeviceReading) -> tuple[Setting, ...]:
    """All of them in the order of the device file's keys, each group before its keys."""
    config = reading.config
    worked_out: dict[tuple[str, ...], Plain] = {
        ("device",): config.device,
        ("data_dir",): str(config.data_dir),
        ("plugins",): str(config.plugins) if config.plugins else None,
    }
    if config.mqtt:
        worked_out["mqtt", "port"] = config.mqtt.port
    return tuple(_settings(reading.file, reading.said, (), worked_out))


def origin_of(place: Place) -> str:
    """A place in few words, without what a `--set` says there: that may be a secret."""
    if place.line:
        return f"{clean_place(place)}:{place.line}"
    return clean_place(Place(place.file.partition("=")[0]))


def _settings(
    model: BaseModel,
    said: Table,
    above: tuple[str, ...],
    worked_out: Mapping[tuple[str, ...], Plain],
) -> Iterator[Setting]:
    for name, field in type(model).model_fields.items():
        key = field.alias or name
        path = (*above, key)
        value = getattr(model, name)
        entry = said.get(key)
        origin = DEFAULT if entry is None else origin_of(entry.value.place)
        if isinstance(value, BaseModel):
            inner = entry.value if entry and isinstance(entry.value, Table) else _NOTHING
            yield Setting(path, None, origin, is_group=True)
            yield from _settings(value, inner, path, worked_out)
        else:
            yield Setting(path, worked_out.get(path, _plain(value, entry)), origin)


_NOTHING = Table((), Place(""))


def _plain(value: object, entry: Entry | None) -> Plain:
    if isinstance(value, Secret):  # it does not say itself where it is; the file did
        return entry.value.text if entry and isinstance(entry.value, Scalar) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, frozenset):
        return [*sorted(map(str, value))]
    if isinstance(value, tuple):
        return [_plain(one, None) for one in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return None if entry is None else plain(entry.value)
