"""The JSON Schema (draft-07) of pipeline files, for editors: all installed plugins included.

It says what can be said without looking at the world. `load` knows more: wiring, payloads, files.
"""

from collections.abc import Mapping
from typing import Any

from edgeapp.config.names import MAX_NAME, NAME, RESERVED
from edgeapp.config.pipeline import SETTINGS, PipelineSettings, VariantSettings
from edgeapp.config.words import schema_of
from edgeapp.core.plugin import KINDS, Plugin
from edgeapp.errors import PluginError
from edgeapp.plan.discover import Registry

Json = dict[str, Any]

_DIALECT = "http://json-schema.org/draft-07/schema#"
_NAME: Json = {
    "type": "string",
    "pattern": f"^{NAME.pattern}$",
    "maxLength": MAX_NAME,
    "not": {"enum": sorted(RESERVED)},
}


def pipeline_schema(registry: Registry) -> Json:
    """The schema of pipeline files that use the plugins of a registry.

    Imports every plugin; those that cannot be used are left out.
    """
    definitions: Json = {}
    stages = []
    for kind, name in registry.keys():  # noqa: SIM118 - not a mapping
        try:
            plugin = registry.find(kind, name)
        except PluginError:
            continue
        stages.append(_stage(plugin, definitions))
    return {
        "$schema": _DIALECT,
        "title": "edgeapp pipeline",
        "type": "object",
        "required": ["name", "stages"],
        "additionalProperties": False,
        "properties": {
            "name": {**_NAME, "description": "Name of the pipeline; part of its MQTT topics."},
            "about": {"type": "string", "description": "What it is for, in a sentence."},
            **_draft_07(schema_of(PipelineSettings), "")["properties"],
            "stages": {
                "type": "object",
                "description": "Stages by id. Each reads the one above it unless it says 'from'.",
                "minProperties": 1,
                "propertyNames": _NAME,
                "additionalProperties": {
                    "type": "object",
                    "oneOf": [{"required": [kind]} for kind in KINDS],
                    "anyOf": stages,
                },
            },
        },
        "definitions": definitions,
    }


def _stage(plugin: Plugin, definitions: Json) -> Json:
    """The schema of a stage that uses a plugin."""
    prefix = f"{plugin.kind}.{plugin.name}"
    options = _draft_07(schema_of(plugin.options), prefix)
    definitions.update({f"{prefix}.{k}": v for k, v in options.pop("$defs", {}).items()})
    own: Json = options.get("properties", {})
    settings: Json = _draft_07(schema_of(SETTINGS[plugin.kind]), prefix)["properties"]
    if plugin.kind == "source":
        settings = {key: value for key, value in settings.items() if key not in {"from", "lane"}}
    properties = {
        plugin.kind: {"const": plugin.name, "description": plugin.summary},
        **own,
        **settings,
    }
    required = [plugin.kind, *options.get("required", [])]
    if plugin.kind == "model":
        properties["variants"] = _variants(own)
        required = [plugin.kind, "variants"]  # each variant may bring the decoder's options
    return {
        "type": "object",
        "description": plugin.summary,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _variants(options: Json) -> Json:
    file: Json = {"type": "string", "minLength": 1, "description": "Model file (ONNX)."}
    name: Json = {"type": "string", "minLength": 1, "description": "If not given, the file's."}
    own = _draft_07(schema_of(VariantSettings), "")["properties"]
    full = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": file, "name": name, **own, **options},
    }
    return {
        "type": "array",
        "minItems": 1,
        "description": "Model files, best first; options beside a file are for that file alone.",
        "items": {"anyOf": [file, full]},
    }


def _draft_07(schema: Any, prefix: str) -> Any:
    """Pydantic's schema (2020-12) in the words of draft-07, without its made-up titles."""
    if isinstance(schema, list):
        return [_draft_07(item, prefix) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    out: Json = {}
    for key, value in schema.items():
        if key == "prefixItems":
            out["items"] = _draft_07(value, prefix)
            out["additionalItems"] = False
        elif key == "$ref":
            out["$ref"] = value.replace("#/$defs/", f"#/definitions/{prefix}.")
        elif key != "title" or not isinstance(value, str):
            out[key] = _draft_07(value, prefix)
    return out
