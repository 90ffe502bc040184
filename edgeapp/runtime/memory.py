"""What goes over from a pipeline to the one that takes its place: what its stages remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeapp.core.answers import Event
from edgeapp.core.link import AnyPacket
from edgeapp.core.payload import Payload, View
from edgeapp.core.plugin import live_options
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.plan.payloads import after

_DEEPEST = 16
_SINGLE = (type(None), bool, int, float, str, bytes, Payload, View)


@dataclass(frozen=True, slots=True)
class Memory:
    """What one stage remembered, and what its slot did."""

    known: Any
    """What the stage's `remember` gave."""
    newest: AnyPacket | None = None
    """The newest packet that it took, without its payload."""
    parts_of: tuple[str, int, int] | None = None
    parts: int = 0
    """The next number that is free among the answers to that packet."""
    open: Mapping[str, Event] = field(default_factory=dict)
    """Events that it knows of and will end."""
    forgotten: Mapping[str, Event] = field(default_factory=dict)
    """Events that it knows nothing of any more, and that have not been ended yet."""


def check_plain(known: object, depth: int = 0) -> None:
    """See that something is plain data: live objects never go over to another stage.

    Plain are None, numbers, text, bytes, payloads and numpy arrays of numbers or text, and tuples,
    lists, sets and dicts of such.

    Raises:
        TypeError: it is not.
    """
    import numpy as np

    if isinstance(known, (*_SINGLE, np.ndarray, np.generic)):
        if isinstance(known, np.ndarray) and known.dtype.hasobject:
            raise TypeError("an array of objects is no plain data")
        return
    if depth > _DEEPEST:
        raise TypeError(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(known, dict):
        for key, value in known.items():
            check_plain(key, depth + 1)
            check_plain(value, depth + 1)
    elif isinstance(known, tuple | list | set | frozenset):
        for value in known:
            check_plain(value, depth + 1)
    else:
        raise TypeError(f"a {type(known).__name__} is no plain data")


def remembering(before: Plan, coming: Plan) -> frozenset[str]:
    """Ids of the stages that can recall, in the plan that comes, what they knew in the one before.

    Those of which id, plugin, options and the types of what they read are the same; options that
    can be changed live may differ.
    """
    return frozenset(
        id_
        for id_, stage in before.stages.items()
        if id_ in coming.stages and _same(before, stage, coming, coming.stages[id_])
    )


def _same(before: Plan, old: StagePlan, coming: Plan, new: StagePlan) -> bool:
    factory = old.plugin.factory
    return (
        factory is new.plugin.factory
        and hasattr(factory, "remember")
        and hasattr(factory, "recall")
        and _fixed(old) == _fixed(new)
        and _incoming(before, old) == _incoming(coming, new)
    )


def _fixed(stage: StagePlan) -> dict[str, Any]:
    """The options that cannot be changed while the stage runs."""
    live = live_options(stage.plugin.options).values()
    return {name: value for name, value in stage.options if name not in live}


def _incoming(plan: Plan, stage: StagePlan) -> tuple[Any, ...]:
    """The payload types that a stage reads."""
    return tuple(_given(plan, plan.stages[read]) for read in stage.reads)


def _given(plan: Plan, stage: StagePlan) -> Any:
    """What a stage gives, whatever goes through it unchanged."""
    incoming = _incoming(plan, stage)
    return (
        after(stage.plugin.takes, stage.plugin.gives, incoming[0])
        if incoming
        else (stage.plugin.gives)
    )
