"""`edgeapp plugins`: what a pipeline can be made of."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag
from edgeapp.cli.program import program

if TYPE_CHECKING:
    from edgeapp.core.plugin import Kind, Plugin
    from edgeapp.plan.discover import Registry

_LONGEST_DEFAULT = 40
_WIDE = 80
_WITHOUT_USE = {("source", "from"), ("model", "bundle")}
"""Keys that are the framework's, and that no stage of the kind can use."""
_BARE = re.compile(r"[\w./][\w./:+-]*")
"""Text that needs no quotes in YAML, also between brackets."""

app = App(
    name="plugins",
    help="Show the plugins that pipelines can use, or one of them with its options.",
    help_epilogue=f"Example:\n  {program()} plugins info camera",
)


@app.default
@app.command(name="list", help_epilogue=f"Example:\n  {program()} plugins list")
def list_(*, device: Device = None, json: Flag = False) -> None:
    """List every plugin, by kind.

    Args:
        device: The device file, which names the folder of drop-in plugins.
        json: Print a JSON array.
    """
    registry = _registry(device)
    rows = [_row(registry, kind, name) for kind, name in registry.keys()]  # noqa: SIM118 - no mapping
    if json:
        _print_json(rows)
        return
    kind = ""
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        if row["kind"] != kind:
            print(f"{chr(10) if kind else ''}{row['kind']}s")
            kind = row["kind"]
        where = "" if row["from"] in {"edgeapp", None} else f"  [{row['from']}]"
        print(f"  {row['name']:<{wide}}  {row['summary']}{where}")
    for sentence in registry.unreadable:
        print(f"\nnot readable: {sentence}")
    print(f"\n{program()} plugins info NAME shows the options of one.")


@app.command(help_epilogue=f"Example:\n  {program()} plugins info camera")
def info(
    name: Annotated[str, Parameter(metavar="NAME")],
    /,
    *,
    device: Device = None,
    json: Flag = False,
) -> int:
    """Show a plugin: what it takes and gives, its options, an example.

    Args:
        name: Its name, such as camera; or with its kind, such as source.camera.
        device: The device file, which names the folder of drop-in plugins.
        json: Print a JSON array, one entry for each plugin of that name.
    """
    registry = _registry(device)
    keys = [
        (kind, found)
        for kind, found in registry.keys()  # noqa: SIM118 - it is no mapping
        if name in {found, f"{kind}.{found}"}
    ]
    if not keys:
        from edgeapp.document.words import did_you_mean

        names = sorted({found for _, found in registry.keys()})  # noqa: SIM118 - no mapping
        remedy = did_you_mean(name, names, heading="Plugins")
        raise exits.Quit(exits.USAGE, f"there is no plugin '{name}'; {remedy}")
    found = [registry.find(*key) for key in keys]
    if json:
        _print_json([_facts(plugin) for plugin in found])
    else:
        print("\n\n".join("\n".join(_page(plugin)) for plugin in found))
    return exits.OK


def _registry(device: Device) -> "Registry":
    from edgeapp.config.device import read_device
    from edgeapp.plan.discover import Registry

    return Registry(read_device(device).plugins)


def _row(registry: "Registry", kind: "Kind", name: str) -> dict[str, Any]:
    from edgeapp.errors import PluginError

    try:
        plugin = registry.find(kind, name)
    except PluginError as error:
        return {"kind": kind, "name": name, "summary": f"broken: {error}", "from": None}
    return {"kind": kind, "name": name, "summary": plugin.summary, "from": _where(plugin)}


def _where(plugin: "Plugin") -> str:
    """Where it comes from: edgeapp itself, or the file that defines it."""
    inside = plugin.factory.__module__.startswith("edgeapp.")
    return "edgeapp" if inside else plugin.where


def _options(plugin: "Plugin") -> list[dict[str, Any]]:
    """Its options: what each wants, its default, what it is for."""
    from edgeapp.config.words import at_path, describe, schema_of
    from edgeapp.core.plugin import live_options

    schema, live = schema_of(plugin.options), live_options(plugin.options)
    rows = []
    for name, field in plugin.options.model_fields.items():
        key = field.alias or name
        at = at_path(schema, (key,))
        row = {
            "name": key,
            "wants": describe(at, schema) or "see its description",
            "required": field.is_required(),
            "live": key in live,
            "description": field.description or "",
        }
        given = schema.get("properties", {}).get(key, {})
        if not field.is_required():
            row["default"] = given.get("default")
        rows.append(row)
    return rows


def _facts(plugin: "Plugin") -> dict[str, Any]:
    from edgeapp.plan.payloads import name_of

    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "summary": plugin.summary,
        "from": _where(plugin),
        "takes": None if plugin.takes is None else name_of(plugin.takes),
        "gives": None if plugin.gives is None else name_of(plugin.gives),
        "options": _options(plugin),
        "example": _example(plugin),
    }


def _page(plugin: "Plugin") -> list[str]:
    import inspect
    import textwrap

    from edgeapp.config.pipeline import keys_of

    facts = _facts(plugin)
    lines = [f"{plugin.kind} {plugin.name}", ""]
    lines += _prose(inspect.getdoc(plugin.factory) or "")
    lines.append("")
    for key, said in (
        ("takes", facts["takes"]),
        ("gives", facts["gives"]),
        ("from", facts["from"]),
    ):
        if said:
            lines.append(f"  {key:<6} {said}")
    lines += ["", "Options"]
    for row in facts["options"]:
        head = f"{row['name']}: {row['wants']}; {_default(row)}{'; live' if row['live'] else ''}"
        lines += textwrap.wrap(
            head, _WIDE, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
        lines += textwrap.wrap(
            row["description"], _WIDE, initial_indent="      ", subsequent_indent="      "
        )
    if not facts["options"]:
        lines.append("  none")
    if any(row["live"] for row in facts["options"]):
        lines += [
            "",
            f"Live options change while it runs: {program()} tune my_{plugin.name} OPTION VALUE",
        ]
    own = [key for key in keys_of(plugin.kind) if (plugin.kind, key) not in _WITHOUT_USE]
    keys = f"Keys of every {plugin.kind}: {', '.join(own)}"
    lines += ["", *textwrap.wrap(keys, _WIDE, subsequent_indent="  ")]
    return [*lines, "", "Example", *textwrap.indent(facts["example"], "  ").splitlines()]


def _prose(text: str) -> Iterator[str]:
    """Paragraphs and lists, as wide as a terminal."""
    import textwrap

    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        for item in re.split(r"\n(?=- )", paragraph):
            hang = "    " if item.startswith("- ") else "  "
            said = " ".join(item.split())
            yield from textwrap.wrap(
                said, _WIDE, initial_indent="  ", subsequent_indent=hang, break_on_hyphens=False
            )


def _example(plugin: "Plugin") -> str:
    """A stage in YAML, with the options that must be given, or that nobody leaves out."""
    lines = [f"my_{plugin.name}:", f"  {plugin.kind}: {plugin.name}"]
    if plugin.kind == "model":
        lines += ["  variants:", "    - file: model.onnx"]
    for name, field in plugin.options.model_fields.items():
        if field.is_required() or field.examples:
            example = field.examples[0] if field.examples else "..."
            lines.append(f"  {field.alias or name}: {_yaml(example)}")
    return "\n".join(lines)


def _default(row: dict[str, Any]) -> str:
    if row["required"]:
        return "required"
    if row["default"] is None:  # what happens then is in its description
        return "optional"
    text = _yaml(row["default"])
    return "default " + (text if len(text) <= _LONGEST_DEFAULT else f"{text[:_LONGEST_DEFAULT]}…")


def _yaml(value: object) -> str:
    """A value on one line, as YAML has it."""
    from json import dumps

    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_yaml(key)}: {_yaml(each)}' for key, each in value.items())}}}"
    return dumps(value, ensure_ascii=False)


def _print_json(value: object) -> None:
    from json import dumps

    print(dumps(value, indent=2, ensure_ascii=False))
