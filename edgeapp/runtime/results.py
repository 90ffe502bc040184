"""What stages give, checked where they give it, so that the next stage is not blamed for it."""

import inspect
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from edgeapp.core.link import AnyPacket
from edgeapp.core.packet import At
from edgeapp.core.payload import Payload

MOST_RESULTS = 100_000
"""Of one packet. A stage that gives more is taken to never end."""
new_packet: Callable[[type[AnyPacket], tuple[Any, ...]], AnyPacket] = tuple.__new__
"""`Packet(...)` without the Python function between: a third of its time, for the hottest lines."""


def listed(process: Callable[[AnyPacket], Any]) -> Callable[[AnyPacket], Any]:
    """An async stage's `process` as a coroutine function, also where it is an async generator."""
    if not inspect.isasyncgenfunction(process):
        return process

    async def listed(packet: AnyPacket) -> list[Any]:
        return [result async for result in process(packet)]

    return listed


def several(results: Any, method: str) -> list[Any]:
    """What a method gave, where it is neither one payload nor None.

    Raises:
        TypeError: it is not several payloads.
        ValueError: there are more than can be meant.
    """
    if not isinstance(results, Iterable):
        raise no_payload(results, method)
    some = list(islice(results, MOST_RESULTS + 1))
    if len(some) > MOST_RESULTS:
        raise ValueError(f"{method} gave more than {MOST_RESULTS:,} results for one packet")
    for result in some:
        value = result.value if type(result) is At else result
        if not isinstance(value, Payload):
            raise no_payload(value, method)
    return some


def no_payload(value: object, method: str) -> TypeError:
    """The error to raise for a value that cannot travel between stages."""
    return TypeError(f"{method} gave a {type(value).__name__}, which is no payload")
