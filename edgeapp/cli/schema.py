"""`edgeapp schema`: what a pipeline file may say, and what messages say, as JSON Schema."""

from typing import TYPE_CHECKING, Any

from edgeapp.cli.arguments import Device, Flag

if TYPE_CHECKING:
    from edgeapp.core.plugin import Kind
    from edgeapp.plan.discover import Registry

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(*, messages: Flag = False, device: Device = None) -> None:
    """Print a JSON Schema.

    Args:
        messages: Print those of the messages instead, by name.
        device: The device file, whose drop-in plugins are then in the schema.
    """
    from json import dumps

    if messages:
        print(dumps(message_schemas(), indent=2))
        return
    from edgeapp.config.device import read_device
    from edgeapp.plan.discover import Registry

    print(dumps(pipeline_schema(Registry(read_device(device).plugins)), indent=2))


def message_schemas() -> dict[str, Any]:
    """The JSON Schema of each kind of message, by name."""
    from edgeapp.outputs.bodies import schemas
    from edgeapp.uplink.wire import message_schema

    return {name: message_schema(body) for name, body in schemas().items()}


def pipeline_schema(registry: "Registry") -> dict[str, Any]:
    """The JSON Schema of pipeline files, for editors: every plugin with its options.

    A plugin that cannot be imported is left out.
    """
    from edgeapp.config.names import MAX_NAME, NAME
    from edgeapp.errors import PluginError

    definitions: dict[str, Any] = {}
    stages = []
    for kind, name in registry.keys():  # noqa: SIM118 - it is no mapping
        try:
            stage = _stage(registry, kind, name, definitions)
        except PluginError:
            continue
        definitions[f"{kind}.{name}"] = stage
        stages.append({"$ref": f"#/$defs/{kind}.{name}"})
    names = {"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": MAX_NAME}
    return {
        "$schema": _DIALECT,
        "title": "edgeapp pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "stages"],
        "properties": {
            "name": {**names, "description": "Part of its topics and folders."},
            "about": {"type": "string", "description": "What it is for, in a sentence."},
            "stages": {
                "type": "object",
                "description": "Each reads the one above it unless it says `from`.",
                "minProperties": 1,
                "propertyNames": names,
                "additionalProperties": {"oneOf": stages},
            },
        },
        "$defs": definitions,
    }


def _stage(
    registry: "Registry", kind: "Kind", name: str, definitions: dict[str, Any]
) -> dict[str, Any]:
    """One stage: its plugin, the framework's keys, the plugin's options."""
    from edgeapp.config.pipeline import SETTINGS
    from edgeapp.config.words import schema_of

    plugin = registry.find(kind, name)
    framework = _inlined(dict(schema_of(SETTINGS[kind])), f"{kind}", definitions)
    options = _inlined(dict(schema_of(plugin.options)), f"{kind}.{name}", definitions)
    properties = {
        kind: {"const": name, "description": plugin.summary},
        **options.get("properties", {}),
        **framework.get("properties", {}),
    }
    required = [kind, *options.get("required", [])]
    if kind == "model":
        properties["variants"] = _variants(options.get("properties", {}))
        # What a decoder requires may be given with each variant instead.
        required = [kind, "variants"]
    return {
        "type": "object",
        "title": f"{kind} {name}",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _variants(options: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "type": "object",
        "additionalProperties": False,
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "description": "The model's file."},
            "name": {"type": "string", "description": "Its name; that of the file if not given."},
            **options,
        },
    }
    return {
        "type": "array",
        "minItems": 1,
        "description": "Model files, best first.",
        "items": {"anyOf": [{"type": "string"}, entry]},
    }


def _inlined(one: dict[str, Any], owner: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema whose own definitions have moved to the common ones, under the owner's name."""
    for name, definition in one.pop("$defs", {}).items():
        definitions[f"{owner}.{name}"] = _renamed(definition, owner)
    renamed: dict[str, Any] = _renamed(one, owner)
    return renamed


def _renamed(value: Any, owner: str) -> Any:
    if isinstance(value, dict):
        return {
            key: f"#/$defs/{owner}.{inner.removeprefix('#/$defs/')}"
            if key == "$ref" and isinstance(inner, str)
            else _renamed(inner, owner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, owner) for inner in value]
    return value
