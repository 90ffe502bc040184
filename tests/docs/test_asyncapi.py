"""docs/asyncapi.yaml: current, of the shape that AsyncAPI 3.0 wants, and true to the code.

The shape is that of the specification's own JSON Schema, as far as the document uses it.
"""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgeapp.outputs.bodies import BODIES
from edgeapp.uplink.notices import NOTICES

REFERENCE = {
    "type": "object",
    "properties": {"$ref": {"type": "string"}},
    "required": ["$ref"],
    "additionalProperties": False,
}
TEXT = {"type": "string", "minLength": 1}
LOCATION = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "pattern": r"^\$message\.(header|payload)#(/[^/]+)+$"}
    },
    "required": ["location"],
    "additionalProperties": False,
}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def mapping(of: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z0-9._-]+$"},
        "additionalProperties": of,
    }


SERVER = closed(
    {"host": TEXT, "protocol": {"enum": ["mqtt", "secure-mqtt"]}},
    protocolVersion=TEXT,
    description=TEXT,
    variables=mapping(closed({"default": TEXT}, description=TEXT)),
    bindings=closed(
        {
            "mqtt": closed(
                {"bindingVersion": {"const": "0.2.0"}},
                clientId=TEXT,
                cleanSession={"type": "boolean"},
                lastWill=closed(
                    {"topic": TEXT, "qos": {"enum": [0, 1, 2]}},
                    message=TEXT,
                    retain={"type": "boolean"},
                ),
                keepAlive={"type": "integer"},
            )
        }
    ),
)
OPERATION = closed(
    {"action": {"enum": ["send", "receive"]}, "channel": REFERENCE},
    summary=TEXT,
    description=TEXT,
    bindings=closed(
        {
            "mqtt": closed(
                {"bindingVersion": {"const": "0.2.0"}},
                qos={"const": 1},
                retain={"type": "boolean"},
            )
        }
    ),
    reply=closed({"channel": REFERENCE}, address=LOCATION),
)
MESSAGE = closed(
    {"payload": {"type": "object"}},
    title=TEXT,
    description=TEXT,
    contentType={"type": "string", "pattern": "^[a-z]+/[a-z]+$"},
    headers={"type": "object", "properties": {"type": {"const": "object"}}, "required": ["type"]},
    correlationId=LOCATION,
)
SHAPE = closed(
    {
        "asyncapi": {"const": "3.0.0"},
        "info": closed({"title": TEXT, "version": TEXT}, description=TEXT),
        "servers": mapping(SERVER),
        "channels": mapping(
            closed(
                {"address": TEXT, "messages": mapping(REFERENCE)},
                description=TEXT,
                parameters=mapping(REFERENCE),
            )
        ),
        "operations": mapping(OPERATION),
        "components": closed(
            {
                "messages": mapping(MESSAGE),
                "parameters": mapping(closed({"description": TEXT}, default=TEXT)),
            }
        ),
    },
    defaultContentType=TEXT,
)


@pytest.fixture(scope="module")
def said(repo: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repo / "docs" / "asyncapi.yaml").read_text())
    return found


def resolved(said: dict[str, Any], reference: dict[str, str]) -> Any:
    node: Any = said
    assert reference["$ref"].startswith("#/")
    for name in reference["$ref"][2:].split("/"):
        node = node[name]
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_the_document_is_current(repo: Path) -> None:
    """`.venv/bin/python docs/generate_asyncapi.py` makes it so."""
    text: str = runpy.run_path(str(repo / "docs" / "generate_asyncapi.py"))["text"]()
    assert (repo / "docs" / "asyncapi.yaml").read_text(encoding="utf-8") == text


def test_it_has_the_shape_of_asyncapi_3(said: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SHAPE)
    jsonschema.validate(said, SHAPE)


def test_every_reference_leads_somewhere(repo: Path, said: dict[str, Any]) -> None:
    for reference in references(said):
        if reference.startswith("#/"):
            assert resolved(said, {"$ref": reference}), reference
        else:
            schema = json.loads((repo / "docs" / reference).read_text(encoding="utf-8"))
            jsonschema.Draft202012Validator.check_schema(schema)


def test_every_channel_has_the_parameters_of_its_address(said: dict[str, Any]) -> None:
    for channel in said["channels"].values():
        assert channel["address"].startswith(("{prefix}/{device}/", "{homeAssistant}/"))
        named = re.findall(r"\{(\w+)\}", channel["address"])
        assert sorted(channel["parameters"]) == sorted(named)
        for name, reference in channel["parameters"].items():
            assert reference == {"$ref": f"#/components/parameters/{name}"}


def test_addresses_are_told_apart(said: dict[str, Any]) -> None:
    addresses = [channel["address"] for channel in said["channels"].values()]
    assert len(set(addresses)) == len(addresses)


def test_every_channel_has_one_operation_and_every_message_a_channel(said: dict[str, Any]) -> None:
    used = [operation["channel"]["$ref"] for operation in said["operations"].values()]
    assert sorted(used) == sorted(f"#/channels/{name}" for name in said["channels"])
    carried = {name for channel in said["channels"].values() for name in channel["messages"]}
    assert carried == set(said["components"]["messages"])
    for channel in said["channels"].values():
        for name, reference in channel["messages"].items():
            assert reference == {"$ref": f"#/components/messages/{name}"}


def test_every_message_of_the_code_is_in_it(said: dict[str, Any]) -> None:
    """And the other way round, but for those that are not JSON, and for commands."""
    by_schema = {
        name: message["payload"]["schema"]["$ref"]
        for name, message in said["components"]["messages"].items()
        if "schema" in message["payload"]
    }
    assert by_schema == {name: f"./schemas/{name}.json" for name in (*BODIES, *NOTICES)}


def test_notices_say_themselves_whether_they_are_retained(said: dict[str, Any]) -> None:
    """In the docstrings that the schemas quote."""
    for operation in said["operations"].values():
        channel = resolved(said, operation["channel"])
        for name in channel["messages"]:
            if name in NOTICES and name != "reply":
                about = NOTICES[name].__doc__ or ""
                below = re.sub(r"\{(\w+)\}", r"<\1>", channel["address"].split("/", 2)[2])
                assert about.startswith(f"Topic `{below}`")
                assert (", retained:" in about) is operation["bindings"]["mqtt"]["retain"]


def test_commands_are_received_and_answered(said: dict[str, Any]) -> None:
    for name, operation in said["operations"].items():
        is_command = said["channels"][operation["channel"]["$ref"].split("/")[-1]][
            "address"
        ].endswith("/set")
        assert (operation["action"] == "receive") is (is_command or name == "homeAssistantStatus")
        if is_command:
            assert operation["reply"]["channel"] == {"$ref": "#/channels/reply"}
            assert "mqtt.commands" in operation["description"]
