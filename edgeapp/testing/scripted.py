"""Packets and sources made to order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from edgeapp.core.clock import NS
from edgeapp.core.context import Context
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Payload
from edgeapp.core.plugin import Options, source
from edgeapp.core.stage import Emit
from edgeapp.errors import Unavailable


def packets(
    values: Iterable[Payload],
    *,
    rate_hz: float = 1.0,
    origin: str = "source",
    epoch: int = 0,
    first_seq: int = 0,
) -> Iterator[Packet[Any]]:
    """Values as packets, evenly spaced from stream time 0 on."""
    for seq, value in enumerate(values, start=first_seq):
        t_ns = round(seq * NS / rate_hz)
        yield Packet(value, origin, epoch, seq, 0, t_ns, t_ns, 0, 0, ())


@dataclass(frozen=True, slots=True)
class Abort:
    """In a script: the device goes away; the source raises Unavailable."""

    why: str = "scripted"


@dataclass(frozen=True, slots=True)
class Fail:
    """In a script: the source has a bug; it raises RuntimeError."""

    why: str = "scripted"


@dataclass(frozen=True, slots=True)
class Pause:
    """In a script: nothing comes for so long, by the context's clock."""

    seconds: float


class Script:
    """Payloads to emit, between them Abort, Fail and Pause. Goes on where it broke off.

    Each Abort or Fail ends an epoch of the source; its next epoch emits what comes behind.
    """

    def __init__(self, *items: Payload | Abort | Fail | Pause) -> None:
        self._left = enumerate(items)

    def __iter__(self) -> Iterator[tuple[int, Payload | Abort | Fail | Pause]]:
        """What is left, each with its position in the script."""
        return self._left


class ScriptedOptions(Options):
    """For tests in code: a script cannot come from YAML."""

    script: Script = Field(description="What to emit.")
    rate_hz: float = Field(10.0, gt=0, description="Stream time goes on by 1/rate for each item.")
    live: bool = Field(False, description="Behave like a device that must be kept up with.")


@source("scripted", live=lambda options: options.live)
class Scripted:
    """Emits a script of values, pauses and failures."""

    def __init__(self, options: ScriptedOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Payload]) -> None:
        """Emit the rest of the script."""
        for position, item in self._options.script:
            if isinstance(item, Abort):
                raise Unavailable(item.why)
            if isinstance(item, Fail):
                raise RuntimeError(item.why)  # noqa: TRY004  a scripted bug, not a type check
            if isinstance(item, Pause):
                self._context.sleep(item.seconds)
            else:
                emit(item, t_ns=round(position * NS / self._options.rate_hz))
