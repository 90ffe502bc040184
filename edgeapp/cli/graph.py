"""`edgeapp graph`: how a pipeline is wired, as a tree, as Mermaid or as JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from edgeapp.cli.arguments import Device, Sets, existing

if TYPE_CHECKING:
    from edgeapp.core.link import LinkSettings
    from edgeapp.plan.graph import Plan, StagePlan

Form = Literal["text", "mermaid", "json"]


def graph(
    file: Annotated[Path, Parameter(metavar="FILE")],
    /,
    *,
    sets: Sets = (),
    device: Device = None,
    form: Annotated[Form, Parameter(name="--format")] = "text",
) -> None:
    """Show how a pipeline is wired.

    Args:
        file: The pipeline file.
        sets: Change an option first, such as belt.rate_hz=30. Can be given several times.
        device: The device file.
        form: A tree for people, a Mermaid flow chart for documents, JSON for programs.
    """
    chosen = existing([file])
    from edgeapp.cli.installed import configured, installation_of
    from edgeapp.plan.load import load

    config, changes = configured(device or installation_of(chosen), sets, chosen)
    [plan] = load(chosen, sets=changes, device=config, open_models=False)
    if form == "json":
        from json import dumps

        print(dumps(as_json(plan), indent=2))
    else:
        print("\n".join(as_tree(plan) if form == "text" else as_mermaid(plan)))


def payloads(plan: "Plan") -> dict[str, str]:
    """The type that each stage hands on, in words; empty for sinks."""
    from edgeapp.plan.payloads import after, name_of

    types: dict[str, Any] = {}
    for stage in plan.stages.values():
        plugin = stage.plugin
        if plugin.gives is None:
            types[stage.id] = None
        elif stage.upstream is None:
            types[stage.id] = plugin.gives
        else:
            types[stage.id] = after(plugin.takes, plugin.gives, types[stage.upstream])
    return {id_: name_of(one) if one is not None else "" for id_, one in types.items()}


def link_before(plan: "Plan", stage: "StagePlan", read: str) -> "LinkSettings | None":
    """The queue in which a stage's packets wait that come from `read`; None for a direct call."""
    if stage.link is not None:
        return stage.link
    above = plan.stages[read]
    return above.link if above.live else None


def thread_of(plan: "Plan", stage: "StagePlan") -> str:
    """Name of the thread that a stage runs on."""
    if stage.upstream is None:
        return f"{plan.name}/{stage.id}/source"
    if stage.cut == "hands":
        return f"{plan.name}/hands"
    if stage.cut == "lane":
        return f"{plan.name}/{stage.id}"
    above = plan.stages[stage.upstream]
    if above.upstream is None and above.live:
        return f"{plan.name}/{above.id}"
    return thread_of(plan, above)


def as_tree(plan: "Plan") -> list[str]:
    """The pipeline as a tree of text."""
    lines = [f"{plan.name}: {plan.about}".rstrip(": "), ""]
    types = payloads(plan)
    for source in plan.sources:
        lines.append(f"{_title(source, types)}  [thread {thread_of(plan, source)}]")
        lines += _branches(plan, source, types, "")
    lines += ["", "─ a direct call; ═ a queue to another thread"]
    return lines


def _branches(
    plan: "Plan", stage: "StagePlan", types: Mapping[str, str], indent: str
) -> Iterator[str]:
    for position, id_ in enumerate(stage.consumers):
        below = plan.stages[id_]
        last = position == len(stage.consumers) - 1
        link = link_before(plan, below, stage.id)
        branch = ("╘═ " if last else "╞═ ") if link else ("└─ " if last else "├─ ")
        line = f"{indent}{branch}{_title(below, types)}"
        if link:
            line += f"  [queue {link.depth}, {link.when_full}; thread {thread_of(plan, below)}]"
        yield line
        yield from _branches(plan, below, types, indent + ("   " if last else "│  "))


def _title(stage: "StagePlan", types: Mapping[str, str]) -> str:
    what = f"{stage.plugin.kind} {stage.plugin.name}"
    if stage.variants:
        what += f": {', '.join(variant.name for variant in stage.variants)}"
    gives = f" → {types[stage.id]}" if types[stage.id] else ""
    return f"{stage.id} ({what}){gives}"


def as_mermaid(plan: "Plan") -> Iterator[str]:
    """The pipeline as a Mermaid flow chart, one box around each thread."""
    yield "flowchart LR"
    types = payloads(plan)
    threads: dict[str, list[StagePlan]] = {}
    for stage in plan.stages.values():
        threads.setdefault(thread_of(plan, stage), []).append(stage)
    for number, (thread, stages) in enumerate(threads.items()):
        yield f'  subgraph thread{number}["{thread}"]'
        for stage in stages:
            yield f'    {_node(stage.id)}["{stage.id}<br/>{stage.plugin.kind} {stage.plugin.name}"]'
        yield "  end"
    for stage in plan.stages.values():
        for read in stage.reads:
            link = link_before(plan, stage, read)
            label = types[read]
            if link:
                label += f", queue {link.depth} {link.when_full}"
            arrow = "==>" if link else "-->"
            yield f'  {_node(read)} {arrow}|"{label}"| {_node(stage.id)}'


def _node(stage_id: str) -> str:
    """An id that means nothing to Mermaid, which has reserved words such as `end`."""
    return f"stage_{stage_id}"


def as_json(plan: "Plan") -> dict[str, Any]:
    """The pipeline as plain data."""
    types = payloads(plan)
    stages = []
    for stage in plan.stages.values():
        link = link_before(plan, stage, stage.reads[0]) if stage.reads else None
        stages.append(
            {
                "id": stage.id,
                "kind": stage.plugin.kind,
                "plugin": stage.plugin.name,
                "from": list(stage.reads),
                "gives": types[stage.id] or None,
                "thread": thread_of(plan, stage),
                "queue": {"depth": link.depth, "when_full": link.when_full} if link else None,
                "variants": [variant.name for variant in stage.variants],
            }
        )
    return {"name": plan.name, "about": plan.about, "stages": stages}
