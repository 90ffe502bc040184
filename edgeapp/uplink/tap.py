"""Looking at what devices say: `edgeapp listen` subscribes, and prints one line for each message."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence

from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, Received
from edgeapp.uplink.wire import Envelope

_SHOWN_BYTES = 60
_SHOWN_CHARACTERS = 160
_NOT_SHOWN = {*Envelope.__struct_fields__, "schema", "pipeline", "stage"}
"""Fields for programs, and those that say what the topic says."""


async def tap(
    endpoint: Endpoint, filters: Sequence[str], on_message: Callable[[Received], None]
) -> None:
    """Call `on_message` with each message until cancelled; retained ones come first.

    Raises:
        Unavailable: the broker is not there, refuses, or the connection was lost.
    """
    from edgeapp.uplink.mqtt.client import Connector  # aiomqtt is loaded only where it is used

    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def show(message: Received) -> None:
        try:
            if not ended.done():
                on_message(message)
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            ended.set_exception(error)

    def refuse(topic_filter: str, reason: str) -> None:
        if not ended.done():
            problem = f"the broker refuses a subscription to '{topic_filter}': {reason}"
            ended.set_exception(Unavailable(problem))

    connect = Connector(endpoint, client_id=f"edgeapp-tap-{os.getpid()}")
    connection = await connect(lambda _packet_id, _refused: None, on_message=show)
    try:
        connection.subscribe(filters, refuse)
        await asyncio.wait((ended, connection.lost), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            problem = f"the connection to the broker was lost: {connection.lost.result()}"
            ended.set_exception(Unavailable(problem))
        await ended
    finally:
        await connection.close()


def as_line(message: Received) -> str:
    """A message for people: its topic and what it says, safe for a terminal."""
    text = message.payload[:_SHOWN_BYTES].decode("utf-8", "replace")
    said = _as_json(message.payload)
    if isinstance(said, dict):
        told = {key: value for key, value in said.items() if key not in _NOT_SHOWN}
        text = "  ".join(f"{key}={_short(value)}" for key, value in told.items())
        if len(text) > _SHOWN_CHARACTERS:
            text = f"{text[:_SHOWN_CHARACTERS]}... ({len(message.payload):,} bytes)"
    elif len(message.payload) > _SHOWN_BYTES:
        text = f"{len(message.payload)} bytes"
    kept = "  (retained)" if message.retain else ""
    line = f"{message.topic}  {text}{kept}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def as_json_line(message: Received) -> str:
    """A message for programs: {"topic", "retained", "payload"} or "bytes" where it is no JSON."""
    said = _as_json(message.payload)
    told: dict[str, object] = {"topic": message.topic, "retained": message.retain}
    if said is not None:
        told["payload"] = said
    else:
        try:
            told["payload"] = message.payload.decode()
        except UnicodeDecodeError:
            told["bytes"] = len(message.payload)
    return json.dumps(told)


def _as_json(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
