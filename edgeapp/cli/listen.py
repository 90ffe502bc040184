"""`edgeapp listen`: the messages of a running device, as the broker has them."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Flag
from edgeapp.errors import Unavailable

if TYPE_CHECKING:
    from edgeapp.uplink.connection import Endpoint, Received


def listen(
    topic: Annotated[str | None, Parameter(metavar="TOPIC")] = None,
    /,
    *,
    device: Device = None,
    host: Annotated[str | None, Parameter(metavar="NAME")] = None,
    port: Annotated[int | None, Parameter(metavar="N")] = None,
    count: Annotated[int | None, Parameter(metavar="N")] = None,
    json: Flag = False,
) -> int:
    """Show messages.

    Args:
        topic: The topics to show; + stands for one level, # for all that follow. All if not given.
        device: Device file that names the broker, its password and certificates.
        host: Name or address of the broker; 127.0.0.1 without a device file.
        port: Its port; 1883 without a device file.
        count: Stop after so many messages.
        json: Print each message as one JSON object with its topic.
    """
    if count is not None and count < 1:
        raise exits.Quit(exits.USAGE, "--count is a whole number from 1 on")
    import asyncio

    endpoint, all_topics = _broker(device)
    endpoint = replace(endpoint, host=host or endpoint.host, port=port or endpoint.port)
    shower = _Shower(count, json=json)
    try:
        asyncio.run(_until_enough(endpoint, topic or all_topics, shower))
    except KeyboardInterrupt:
        pass  # the way to end it
    except Unavailable as error:
        hint = "" if device else "; 'edgeapp run' prints the port of its broker"
        raise exits.Quit(exits.UNAVAILABLE, f"{error}{hint}") from None
    return exits.OK


def _broker(device: Path | None) -> tuple["Endpoint", str]:
    """The broker to ask, and all that devices say there."""
    from edgeapp.uplink.connection import Endpoint

    if device is None:
        return Endpoint("127.0.0.1"), "edgeapp/#"
    from edgeapp.cli.link_up import endpoint_of
    from edgeapp.config.device import read_device

    mqtt = read_device(device).mqtt
    if mqtt is None:
        raise exits.Quit(exits.USAGE, f"'{device}' names no broker: give --host and --port")
    return endpoint_of(mqtt), f"{mqtt.prefix}/#"


class _Shower:
    """Prints messages until there are enough of them."""

    def __init__(self, count: int | None, *, json: bool) -> None:
        self._left = count
        self._json = json

    def __call__(self, message: "Received") -> None:
        from edgeapp.uplink.tap import as_json_line

        print(as_json_line(message) if self._json else short_line(message), flush=True)
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise _EnoughError


def short_line(message: "Received") -> str:
    """A message on one short line: device and result; topic and content where it is no result."""
    import json

    from edgeapp.cli.words import printable
    from edgeapp.outputs.console import line
    from edgeapp.uplink.tap import as_line

    try:
        said = line(json.loads(message.payload))
        device = message.topic.split("/")[1]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return as_line(message)  # not one of our results
    return printable(f"{device}  {said}")


class _EnoughError(Exception):
    """As many messages as were asked for."""


async def _until_enough(endpoint: "Endpoint", topic: str, shower: _Shower) -> None:
    from edgeapp.uplink.tap import tap as subscribe

    try:
        await subscribe(endpoint, [topic], shower)
    except _EnoughError:
        sys.stdout.flush()
