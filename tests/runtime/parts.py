"""Plugins for tests: numbers in, numbers out."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field

from edgeapp.api import (
    BadPacket,
    Context,
    Message,
    Options,
    Packet,
    Score,
    Tensors,
    TensorSpecs,
    Unavailable,
    action,
    model,
    output,
    transform,
)


class NoOptions(Options):
    pass


class EveryOptions(Options):
    every: int = Field(3, description="Which packets are hit: each whose value divides by this.")


def numbers(count: int, first: int = 0) -> list[Score]:
    return [Score(float(n)) for n in range(first, first + count)]


@transform("double", stateless=True)
class Double:
    """Doubles."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score:
        return Score(packet.value.value * 2)


@transform("double_many", stateless=True)
class DoubleMany:
    """Doubles, in bursts where it can; the calls are kept."""

    bursts: ClassVar[list[int]] = []

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value == 13:
            raise BadPacket("thirteen")
        return Score(packet.value.value * 2)

    def process_many(self, packets: Sequence[Packet[Score]]) -> list[Score]:
        self.bursts.append(len(packets))
        if any(packet.value.value == 13 for packet in packets):
            raise ValueError("thirteen")
        return [Score(packet.value.value * 2) for packet in packets]


@transform("keep_even", stateless=True)
class KeepEven:
    """Passes even numbers."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Score | None:
        return packet.value if packet.value.value % 2 == 0 else None


@transform("thrice", stateless=True)
class Thrice:
    """Gives every number three times."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Score]) -> Iterable[Score]:
        for _ in range(3):
            yield packet.value


@transform("hold")
class Hold:
    """Holds everything until the end."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.held: list[Score] = []

    def process(self, packet: Packet[Score]) -> Score | None:
        self.held.append(packet.value)
        return None

    def flush(self) -> Iterable[Score]:
        return self.held


@transform("raise_every")
class RaiseEvery:
    """Raises on every n-th number; counts how often it was built and closed."""

    built: ClassVar[int] = 0
    closed: ClassVar[int] = 0

    def __init__(self, options: EveryOptions, context: Context) -> None:
        self.every = options.every
        type(self).built += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        type(self).closed += 1

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value % self.every == self.every - 1:
            raise ZeroDivisionError("scripted")
        return packet.value


@transform("bad_every")
class BadEvery:
    """Refuses every n-th number."""

    def __init__(self, options: EveryOptions, context: Context) -> None:
        self.every = options.every

    def process(self, packet: Packet[Score]) -> Score:
        if packet.value.value % self.every == self.every - 1:
            raise BadPacket("scripted", reason="odd")
        return packet.value


@transform("flaky")
class Flaky:
    """Cannot be opened the first times."""

    failures: ClassVar[int] = 2

    def __init__(self, options: NoOptions, context: Context) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            raise Unavailable("not plugged in")

    def process(self, packet: Packet[Score]) -> Score:
        return packet.value


class GateOptions(Options):
    gate: Any = Field(description="A threading.Event that `process` waits for.")


@transform("blocked")
class Blocked:
    """Waits for an event, deaf to everything else."""

    def __init__(self, options: GateOptions, context: Context) -> None:
        self.gate: threading.Event = options.gate

    def process(self, packet: Packet[Score]) -> Score:
        self.gate.wait(30)
        return packet.value


class SlowOptions(Options):
    seconds: float = Field(0.001, description="How long each packet takes.")


@transform("slow")
class Slow:
    """Takes its time."""

    def __init__(self, options: SlowOptions, context: Context) -> None:
        self.seconds = options.seconds

    def process(self, packet: Packet[Score]) -> Score:
        time.sleep(self.seconds)
        return packet.value


@transform("awaits")
class Awaits:
    """An async stage."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        pass

    async def process(self, packet: Packet[Score]) -> Score:
        return Score(packet.value.value + 0.5)


class CollectOptions(Options):
    into: Any = Field(description="A list that gets each packet with its thread's name.")


@action("collect")
class Collect:
    """Keeps packets."""

    def __init__(self, options: CollectOptions, context: Context) -> None:
        self.into: list[tuple[Any, str]] = options.into

    def act(self, packet: Packet[Score]) -> None:
        self.into.append((packet, threading.current_thread().name))


@output("say")
class Say:
    """Says the number."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        self.topic = f"{context.pipeline}/{context.id}"

    def encode(self, packet: Packet[Score]) -> Message:
        return Message(self.topic, str(packet.value.value).encode(), packet.taken_ns, binary=True)


@output("where")
class Where:
    """Keeps the name of the thread that encodes."""

    def __init__(self, options: "TapOptions", context: Context) -> None:
        self.into: list[str] = options.into

    def encode(self, packet: Packet[Score]) -> Message | None:
        self.into.append(threading.current_thread().name)
        return None


class TapOptions(Options):
    into: Any = Field(description="A list that gets each packet.")


@output("tap")
class Tap:
    """Keeps packets and says nothing."""

    def __init__(self, options: TapOptions, context: Context) -> None:
        self.into: list[Any] = options.into

    def encode(self, packet: Packet[Score]) -> Message | None:
        self.into.append(packet)
        return None


@model("ask")
class Ask:
    """Gives what a model gives, and tells the list when it is asked."""

    def __init__(self, options: TapOptions, context: Context) -> None:
        self._into: list[Any] = options.into

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        pass

    def feed(self, value: Score, /, *, into: Tensors) -> None:
        self._into.append("asked")
        into["x"][:] = value.value

    def decode(self, outputs: Tensors, _feed: None, /) -> Score:
        return Score(float(outputs["y"][0, 0]))
