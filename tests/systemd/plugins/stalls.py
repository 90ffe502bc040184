"""Stages that work until a file says otherwise, and then never come back; and a camera that is silent."""

import ctypes
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeapp.api import (
    Context,
    Emit,
    Image,
    Message,
    Options,
    Packet,
    Score,
    Tensors,
    TensorSpecs,
    action,
    model,
    output,
    source,
    transform,
)

FOLDER = Path("/var/lib/edgeapp")
A_PERIOD_S = 0.1


def stall_if_told(kind: str, how: Callable[[], None] | None = None) -> None:
    """Stall, once for each time that somebody makes the file."""
    try:
        (FOLDER / f"stall-{kind}").unlink()
    except FileNotFoundError:
        return
    tell_that_it_stalls(kind)
    (how or never_come_back)()


def tell_that_it_stalls(kind: str) -> None:
    """With the time, in microseconds: the journal may be late."""
    print(f"{kind} stalls now: {time.monotonic_ns() // 1000}", flush=True)


def never_come_back() -> None:
    """Wait for ever, as in a driver."""
    while True:
        time.sleep(1)


def hold_the_interpreter() -> None:
    """Let no other Python thread run any more, as a library does that forgets to."""
    ctypes.PyDLL(None).sleep(600)


def block_the_loop(_number: int, _frame: object) -> None:
    """Block the main thread alone."""
    tell_that_it_stalls("loop")
    never_come_back()


signal.signal(signal.SIGUSR1, block_the_loop)


@source("silent_camera")
class SilentCamera:
    """A camera that is there and gives no picture."""

    def __init__(self, options: Options, context: Context) -> None:
        self._context = context

    def run(self, emit: Emit[Image], /) -> None:
        """Look for a picture, in vain."""
        while True:
            self._context.sleep(A_PERIOD_S)


@source("stalls_source")
class StallingSource:
    """Black pictures, ten a second."""

    def __init__(self, options: Options, context: Context) -> None:
        self._context = context

    def run(self, emit: Emit[Image], /) -> None:
        """Emit, until told otherwise."""
        while True:
            stall_if_told("source")
            emit(Image(np.zeros((8, 8, 3), np.uint8)))
            self._context.sleep(A_PERIOD_S)


@transform("stalls_transform")
class StallingTransform:
    """Pass pictures on."""

    def __init__(self, options: Options, context: Context) -> None:
        del options, context

    def process(self, packet: Packet[Image]) -> Image:
        """Pass it on."""
        stall_if_told("transform")
        stall_if_told("interpreter", hold_the_interpreter)
        return packet.value


@model("stalls_model")
class StallingModel:
    """Score pictures by a model's answer, whatever it is."""

    def __init__(self, options: Options, context: Context) -> None:
        del options, context

    def accept(self, inputs: TensorSpecs, outputs: TensorSpecs, /) -> None:
        """Take any."""
        del inputs, outputs

    def feed(self, value: Image, /, *, into: Tensors) -> None:
        """Show it nothing."""
        del value
        for tensor in into.values():
            tensor[...] = 0

    def decode(self, outputs: Tensors, feed: None, /) -> Score:
        """Find nothing unusual."""
        del outputs, feed
        stall_if_told("model")
        return Score(0.0)


@action("stalls_action")
class StallingAction:
    """Do nothing."""

    def __init__(self, options: Options, context: Context) -> None:
        del options, context

    def act(self, packet: Packet[Score]) -> None:
        """Do it."""
        del packet
        stall_if_told("action")


@output("stalls_output")
class StallingOutput:
    """Say nothing."""

    def __init__(self, options: Options, context: Context) -> None:
        del options, context

    def encode(self, packet: Packet[Score]) -> Message | None:
        """Say it."""
        del packet
        stall_if_told("output")
        return None
