"""Which slot a stage sits in."""

from edgeapp.core.plugin import Plugin
from edgeapp.runtime.burst_slot import BurstSlot
from edgeapp.runtime.event_slot import EventSlot, opens_events
from edgeapp.runtime.sink_slots import ActionSlot, OutputSlot
from edgeapp.runtime.slot import Slot
from edgeapp.runtime.transform_slot import TransformSlot


def slot_class(plugin: Plugin) -> type[Slot]:
    """The slot for a transform, an action or an output.

    Raises:
        TypeError: it is of another kind; sources and models have slots of their own.
    """
    if plugin.kind == "transform":
        if opens_events(plugin):
            return EventSlot
        return BurstSlot if hasattr(plugin.factory, "process_many") else TransformSlot
    if plugin.kind == "action":
        return ActionSlot
    if plugin.kind == "output":
        return OutputSlot
    raise TypeError(f"a {plugin.kind} has a slot of its own")
