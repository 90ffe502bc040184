"""What an option wants, in words for people, from its JSON Schema."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

Schema: TypeAlias = Mapping[str, Any]


class _Quiet(GenerateJsonSchema):
    """A default that JSON cannot hold is left out, without a warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as pydantic has it
        "skipped-choice",
        "non-serializable-default",
    }


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON Schema of a model; empty where pydantic cannot say."""
    try:
        return model.model_json_schema(schema_generator=_Quiet)
    except PydanticUserError:
        return {}


def at_path(schema: Schema, path: tuple[str | int, ...]) -> Schema:
    """The schema of what stands at `path`; empty where it says nothing."""
    root = schema
    for part in path:
        inner: Schema = {}
        for option in _alternatives(schema, root):
            inner = _step(option, part)
            if inner:
                break
        schema = inner
    schema = _resolved(schema, root)
    options = _alternatives(schema, root)
    # Of «x or nothing», what says most is x; the description stands outside.
    if len(options) == 1:
        return {**schema, **options[0]}
    # A group that has a short form too is still a group, with its keys.
    groups = [option for option in options if "properties" in option]
    return {**schema, "properties": groups[0]["properties"]} if len(groups) == 1 else schema


def describe(schema: Schema, root: Schema) -> str:
    """What a schema wants: "a number greater than 0". Empty where it says nothing."""
    options = _alternatives(schema, root)
    choices = [choice for option in options for choice in _choices(option)]
    wanted = [one_of(choices)] if choices else []
    others = [option for option in options if not _choices(option)]
    others.sort(key=lambda option: _READ_LAST.get(option.get("type", ""), 0))
    wanted += [_describe_one(option, root) for option in others]
    return " or ".join(dict.fromkeys(word for word in wanted if word))


_READ_LAST = {"object": 1, "array": 2}
"""«text or a list, each text»: what is long comes last, so that its end is clear."""


def _choices(schema: Schema) -> list[Any]:
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    schema = _resolved(schema, root)
    if isinstance(schema.get("type"), list):  # draft-07's way of saying «or»
        schema = {"anyOf": [{**schema, "type": type_} for type_ in schema["type"]]}
    if "anyOf" not in schema:
        return [schema] if schema.get("type") != "null" else []
    return [inner for option in schema["anyOf"] for inner in _alternatives(option, root)]


def _resolved(schema: Schema, root: Schema) -> Schema:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Schema = root.get("$defs", {}).get(name, {}) if name else schema
    return found


def _step(schema: Schema, part: str | int) -> Schema:
    if isinstance(part, str):
        found = schema.get("properties", {}).get(part, schema.get("additionalProperties", {}))
    else:
        each = schema.get("prefixItems", [])
        found = each[part] if part < len(each) else schema.get("items", {})
    return found if isinstance(found, Mapping) else {}


def _describe_one(schema: Schema, root: Schema) -> str:
    say = _WORDS.get(schema.get("type", ""))
    return say(schema, root) if say else ""


def one_of(choices: list[Any]) -> str:
    """The words to choose from: "'wait', 'drop_oldest' or 'drop_newest'"."""
    quoted = [f"'{choice}'" if isinstance(choice, str) else str(choice) for choice in choices]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _bounded(noun: str, schema: Schema) -> str:
    low, over = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, under = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{noun} from {_short(low)} to {_short(high)}"
    limits = [
        f"{words} {_short(limit)}"
        for words, limit in (
            ("not less than", low),
            ("greater than", over),
            ("not greater than", high),
            ("less than", under),
        )
        if limit is not None
    ]
    return " ".join(filter(None, [noun, " and ".join(limits)]))


def _short(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def _text(schema: Schema) -> str:
    if schema.get("format") == "secret":
        return "a reference to a secret, such as 'cred:name' or 'env:NAME'"
    if schema.get("format") == "rule":
        return "a rule, such as 'score > 0.6'"
    if "path" in schema.get("format", ""):
        return "a path"
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    if schema.get("minLength"):
        return "text that is not empty"
    return "text"


def _list(schema: Schema, root: Schema) -> str:
    fixed = [describe(each, root) for each in schema.get("prefixItems", [])]
    each = describe(schema.get("items", {}), root)
    low, high = schema.get("minItems"), schema.get("maxItems")
    if fixed:
        inner = f"each {fixed[0]}" if len(set(fixed)) == 1 else ", ".join(fixed)
        return f"a list of {len(fixed)} values: {inner}"
    count = f" of {low} values" if low is not None and low == high else ""
    if low and high is None:
        count = f" of at least {low} value{'s' if low > 1 else ''}"
    return f"a list{count}" + (f", each {each}" if each else "")


_WORDS: Mapping[str, Callable[[Schema, Schema], str]] = {
    "number": lambda schema, _root: _bounded("a number", schema),
    "integer": lambda schema, _root: _bounded("a whole number", schema),
    "boolean": lambda _schema, _root: "true or false",
    "string": lambda schema, _root: _text(schema),
    "array": _list,
    "object": lambda _schema, _root: "a group of keys",
}
