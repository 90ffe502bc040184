"""Pipelines that run stepped and touch nothing: what they would send is handed to whoever asks.

Nothing of the device takes part: messages are sealed by a device called "replay" in its first run,
and their times are stream time. So the same input gives the same bytes.
"""

import base64
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edgeapp.core.clock import FakeClock
from edgeapp.core.context import Context, Log
from edgeapp.core.message import Message, NeverArrives, Watched
from edgeapp.core.plugin import Options
from edgeapp.plan.graph import Plan, StagePlan
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.uplink.outbox import Key
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer

_DEVICE, _RUN = "replay", 1


class Said(NamedTuple):
    """A message that a pipeline would have sent."""

    topic: str
    line: bytes
    """One JSON object. A binary message is wrapped in one, in base64."""


def without_effects(plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """The plan with outputs that only say what they would send, and without its actions.

    Returns the ids of the actions, too.
    """
    gone = tuple(stage.id for stage in plan.stages.values() if stage.plugin.kind == "action")
    left = plan.without(gone)
    return replace(left, stages={s.id: _quiet(s) for s in left.stages.values()}), gone


@contextmanager
def dry(
    plan: Plan,
    *,
    seed: int,
    log: Log,
    say: Callable[[Said], None],
    clock: FakeClock | None = None,
    make: Callable[[Plan, Kit], Pipeline] = Pipeline,
) -> Iterator[Pipeline]:
    """A pipeline for a stepped run, with a folder for its state that is gone afterwards.

    `plan` is one of `without_effects`.
    """
    clock = clock or FakeClock()
    pool = None
    if any(stage.variants for stage in plan.stages.values()):
        from edgeapp.models.session import Pool  # onnxruntime is loaded only where it is used

        pool = Pool(clock)
    with tempfile.TemporaryDirectory(prefix="edgeapp-dry-") as folder:
        kit = Kit(clock, _Teller(clock, say), pool, log, Path(folder), seed=seed)
        yield make(plan, kit)


class PatientClock(FakeClock):
    """Stops a source that waits again and again and gives nothing: in a dry run nothing changes."""

    MOST_WAITS = 1000

    def __init__(self) -> None:
        super().__init__()
        self.gave_up = False
        self._waits = 0

    def set_ns(self, now_ns: int) -> None:
        """Move on: a packet came."""
        self._waits = 0
        super().set_ns(now_ns)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Advance; set `event` when nothing came for too long."""
        self._waits += 1
        if self._waits > self.MOST_WAITS:
            self.gave_up = True
            event.set()
        return super().wait(event, timeout_s)


class _Teller:
    """An uplink that seals every message and sends none."""

    def __init__(self, clock: FakeClock, say: Callable[[Said], None]) -> None:
        wall = WallClock(clock, boot=_DEVICE, wall_ns=clock.now_ns, synchronised=lambda: False)
        self._sealer = Sealer(_DEVICE, _RUN, wall)
        self._say = say
        self._count = 0

    def offer(self, message: Message) -> bool:
        """Say it."""
        sealed = self.seal(message)
        if message.binary:
            body = base64.b64encode(sealed).decode("ascii")
            sealed = json.dumps({"topic": message.topic, "base64": body}).encode()
        self._say(Said(message.topic, sealed))
        return True

    def seal(self, message: Message) -> bytes:
        """Put the envelope around it."""
        self._count += 1
        return self._sealer.seal(message, Key(_RUN, self._count))

    def watch(self, topic: str) -> Watched:
        """Nothing comes."""
        return NeverArrives(topic)


class _Quiet:
    """An output that encodes like another one, opens nothing and delivers nothing itself."""

    def __init__(self, factory: Callable[..., Any], options: Options, context: Context) -> None:
        self.encode = factory(options, context).encode


def _quiet(stage: StagePlan) -> StagePlan:
    if stage.plugin.kind != "output":
        return stage
    factory: Any = partial(_Quiet, stage.plugin.factory)
    return replace(stage, plugin=replace(stage.plugin, factory=factory))
