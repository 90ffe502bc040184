"""Which payloads arrive at each stage of a plan."""

from collections.abc import Mapping
from typing import Any

from edgeapp.plan.graph import Plan
from edgeapp.plan.payloads import after, classes_of


def arriving(plan: Plan) -> Mapping[str, tuple[type, ...]]:
    """By id of each stage that reads: the classes of all that it reads, without repetition."""
    gives: dict[str, Any] = {}
    comes: dict[str, tuple[type, ...]] = {}
    for stage in plan.stages.values():
        plugin = stage.plugin
        if not stage.reads:
            gives[stage.id] = plugin.gives
            continue
        classes = [one for read in stage.reads for one in classes_of(gives[read])]
        comes[stage.id] = tuple(dict.fromkeys(classes))
        if plugin.gives is not None:
            gives[stage.id] = after(plugin.takes, plugin.gives, gives[stage.reads[0]])
    return comes
