"""Every message that the tests publish is checked against the contract in `docs/schemas`.

What is sealed in this process is seen as it leaves `Sealer.seal`; what other processes publish, as
it comes to a `Listener`. Each message is decoded strictly by the structs that the contract is made
of, and the first of each shape is checked by its JSON Schema too, so that this costs microseconds.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import jsonschema
import msgspec
import yaml

from edgeapp.core.message import Message
from edgeapp.outputs.bodies import BODIES
from edgeapp.uplink.notices import NOTICES
from edgeapp.uplink.wire import Envelope, Sealer

SCHEMAS = Path(__file__).resolve().parent.parent / "docs" / "schemas"

STATUSES = frozenset({"", "online", "stopped", "offline"})
"""What `status` can say; empty: somebody removed it."""

OF_TESTS = frozenset({frozenset({"n"})})
"""Fields of bodies that tests make themselves, instead of an output."""

_AT_MOST = 5


class Contract:
    """Finds what is wrong with messages."""

    def __init__(self) -> None:
        self.checked = 0
        self._wrong: list[str] = []
        self._shapes: set[tuple[object, ...]] = set()

    def payload(self, sealed: bytes | str, *, topic: str, retain: bool | None = None) -> None:
        """Look at a sealed message that is no binary one; `topic` is below the device's.

        `retain`: None: that cannot be known.
        """
        self.checked += 1
        try:
            problem = self._problem(sealed) or _misplaced(sealed, topic, retain)
        except (ValueError, msgspec.MsgspecError) as error:
            problem = str(error)
        if problem and len(self._wrong) < _AT_MOST:
            self._wrong.append(f"{topic}: {problem}: {sealed[:600]!r}")

    def arrival(self, topic: str, payload: str) -> None:
        """Look at what came to a topic below `edgeapp/`; commands and pictures are let be."""
        levels = topic.split("/")
        if levels[0] != "edgeapp" or levels[-1] in {"set", "snapshot"}:
            return
        if levels[2:] == ["status"]:
            if payload not in STATUSES:
                self._wrong.append(f"{topic}: no status: {payload[:100]!r}")
        elif payload and not payload.startswith(_PICTURE):
            self.payload(payload, topic="/".join(levels[2:]))

    def wrong(self) -> list[str]:
        """What was found since the last time."""
        found, self._wrong = self._wrong, []
        return found

    def _problem(self, sealed: bytes | str) -> str:
        said = msgspec.json.decode(sealed)
        if not isinstance(said, dict):
            return "no JSON object"
        name = said.get("schema")
        if name is None and frozenset(said) - _ENVELOPE in OF_TESTS:
            msgspec.convert({key: said[key] for key in said if key in _ENVELOPE}, Envelope)
            return ""
        if name not in messages():
            return f"no schema of the contract: {name!r}"
        msgspec.convert(said, messages()[name])
        shape = (name, said["clock"], *said)
        if shape not in self._shapes:
            self._shapes.add(shape)
            return "; ".join(error.message for error in validators()[name].iter_errors(said))
        return ""


_PICTURE = "\ufffd" * 3
"""How a JPEG begins for whoever takes it for text."""
_ENVELOPE = frozenset(field.name for field in msgspec.structs.fields(Envelope))


@cache
def messages() -> dict[str, type[msgspec.Struct]]:
    """The sealed message of each schema, as a struct."""
    return {
        f"edgeapp/{name}/1": msgspec.defstruct(
            f"Sealed{body.__name__}",
            [
                (field.name, field.type)
                if field.required
                else (field.name, field.type, field.default)
                for part in (Envelope, body)
                for field in msgspec.structs.fields(part)
            ],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        for name, body in {**BODIES, **NOTICES}.items()
    }


def _misplaced(sealed: bytes | str, topic: str, retain: bool | None) -> str:
    """What is wrong with the topic of a notice, or its being retained."""
    place = places().get(msgspec.json.decode(sealed).get("schema"))
    if place is None:
        return ""
    if not place.topic.fullmatch(topic):
        return "this belongs to another topic"
    return "" if retain in {None, place.retain} else f"retained: {retain}"


class Place(NamedTuple):
    """Where a notice belongs."""

    topic: re.Pattern[str]
    """Below the device's."""
    retain: bool


@cache
def places() -> dict[str, Place]:
    """The place of each notice by its schema, from docs/asyncapi.yaml. Replies go anywhere."""
    said = yaml.safe_load((SCHEMAS.parent / "asyncapi.yaml").read_text(encoding="utf-8"))
    found = {}
    for operation in said["operations"].values():
        channel = said["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]
        for name in channel["messages"]:
            if name in NOTICES and name != "reply":
                below = re.sub(r"\{\w+\}", "[^/]+", channel["address"].split("/", 2)[2])
                retain = operation["bindings"]["mqtt"]["retain"]
                found[f"edgeapp/{name}/1"] = Place(re.compile(below), retain)
    return found


@cache
def validators() -> dict[str, jsonschema.Draft202012Validator]:
    """The published schemas, by what a message calls them."""
    return {
        f"edgeapp/{path.stem}/1": jsonschema.Draft202012Validator(json.loads(path.read_text()))
        for path in SCHEMAS.glob("*.json")
    }


def problems(message: dict[str, Any]) -> list[str]:
    """What a message does wrong by the schema that it claims."""
    return [error.message for error in validators()[message["schema"]].iter_errors(message)]


SUITE = Contract()
"""Sees what all tests publish."""


@contextmanager
def watched(contract: Contract) -> Iterator[None]:
    """Look at everything that is sealed in this process."""
    seal = Sealer.seal

    def seen(sealer: Sealer, message: Message, *args: Any, **more: Any) -> bytes:
        sealed = seal(sealer, message, *args, **more)
        if not message.binary:
            contract.payload(sealed, topic=message.topic, retain=message.retain)
        return sealed

    with patch.object(Sealer, "seal", seen):
        yield
