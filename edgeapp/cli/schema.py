"""`edgeapp schema`: what a pipeline file may say, and what messages say, as JSON Schema."""

from typing import Any

from edgeapp.cli.arguments import Device, Flag


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
    from edgeapp.plan.schema import pipeline_schema

    print(dumps(pipeline_schema(Registry(read_device(device).plugins)), indent=2))


def message_schemas() -> dict[str, Any]:
    """The JSON Schema of each kind of message, by name."""
    from edgeapp.outputs.bodies import BODIES
    from edgeapp.uplink import wire
    from edgeapp.uplink.notices import NOTICES

    return wire.message_schemas({**BODIES, **NOTICES})
