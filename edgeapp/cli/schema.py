"""`edgeapp schema`: what files may say, and what messages say, as JSON Schema."""

from typing import Any

from edgeapp.cli.arguments import Device, Flag


def schema(*, device_file: Flag = False, messages: Flag = False, device: Device = None) -> None:
    """Print a JSON Schema.

    Args:
        device_file: Print that of the device file, and of the files in conf.d, instead.
        messages: Print those of the messages instead, by name.
        device: The device file, whose drop-in plugins are then in the schema.
    """
    from json import dumps

    if device_file:
        print(dumps(device_schema(), indent=2))
        return
    if messages:
        print(dumps(message_schemas(), indent=2))
        return
    from edgeapp.config.device import read_device
    from edgeapp.plan.discover import Registry
    from edgeapp.plan.schema import pipeline_schema

    print(dumps(pipeline_schema(Registry(read_device(device).plugins)), indent=2))


def device_schema() -> dict[str, Any]:
    """The JSON Schema of the device file."""
    from edgeapp.config.device_file import DeviceFile
    from edgeapp.config.words import schema_of

    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema_of(DeviceFile), "title": "edgeapp device file"}


def message_schemas() -> dict[str, Any]:
    """The JSON Schema of each kind of message, by name."""
    from edgeapp.outputs.bodies import BODIES
    from edgeapp.uplink import wire
    from edgeapp.uplink.notices import NOTICES

    return wire.message_schemas({**BODIES, **NOTICES})
