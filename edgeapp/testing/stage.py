"""Running one stage alone, in the same slot that a pipeline would put it in."""

import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeapp.core.clock import Clock, FakeClock
from edgeapp.core.context import Context
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Message
from edgeapp.core.meters import StageMeters
from edgeapp.core.plugin import Options, Surroundings
from edgeapp.errors import Stopping
from edgeapp.plan.graph import StagePlan
from edgeapp.plan.registry import register
from edgeapp.rules.rule import Rule
from edgeapp.rules.term import Term
from edgeapp.runtime.inlet import Inlet
from edgeapp.runtime.kit import FaultBudget, Kit, Life
from edgeapp.runtime.slot import Slot
from edgeapp.runtime.slots import slot_class
from edgeapp.testing.uplink import RecordingUplink


@dataclass(slots=True)
class LogBook:
    """A log that keeps its events, as (level, event, facts)."""

    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    def bind(self, **facts: object) -> "LogBook":
        """The same book, with these facts in every event."""
        return LogBook(self.events, {**self.bound, **facts})

    def debug(self, event: str, **facts: object) -> None:
        """Keep a debug event."""
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        """Keep an info event."""
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Keep a warning."""
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Keep an error."""
        self._keep("error", event, facts)

    def _keep(self, level: str, event: str, facts: dict[str, object]) -> None:
        self.events.append((level, event, {**self.bound, **facts}))

    def said(self, level: str) -> list[str]:
        """The messages of one level, in order."""
        return [event for logged, event, _ in self.events if logged == level]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a stage did with its packets."""

    packets: list[AnyPacket]
    """What came out, `flush` included. For a source: what it emitted."""
    messages: list[Message]
    """What an output handed to the uplink."""
    meters: StageMeters
    log: LogBook

    @property
    def values(self) -> list[Any]:
        """The payloads that came out."""
        return [packet.value for packet in self.packets]

    @property
    def dropped(self) -> Counter[str]:
        """Packets dropped, by reason."""
        return self.meters.dropped


def context(
    stage_id: str = "stage",
    *,
    clock: Clock | None = None,
    log: LogBook | None = None,
    state_dir: Path | None = None,
) -> Context:
    """A context for a stage that a test builds by hand."""
    return Context(
        pipeline="test",
        id=stage_id,
        log=log or LogBook(),
        clock=clock or FakeClock(),
        random=random.Random(0),  # noqa: S311  repeatable on purpose
        state_dir=state_dir or Path(tempfile.gettempdir()) / "edgeapp-test-without-state",
        stopping=threading.Event(),
    )


def run_stage(
    cls: type[Any],
    options: Mapping[str, Any] | Options,
    packets: Iterable[AnyPacket],
    *,
    data_dir: Path | None = None,
    clock: FakeClock | None = None,
    burst: int = 1,
    every_s: float = 0.0,
    when: str | None = None,
    on_change: Sequence[str] = (),
    ttl_s: float | None = None,
    arrived: Mapping[str, bytes] | None = None,
    reloaded_at: int | None = None,
) -> Ran:
    """Run a transform, an action or an output on packets, `burst` of them at a time.

    The clock follows the packets' stream time. Faults are logged and counted, as in a pipeline.
    `data_dir` is where the stage's state lies (`<data_dir>/test/stage`), a throw-away folder by
    default. `every_s`, `when`, `on_change`, `ttl_s`: the framework's keys of that name. `arrived`: the
    newest message of topics that the stage watches, come at stream time 0. `reloaded_at`: after so
    many packets the pipeline is reloaded: another stage recalls what this one remembered, and the
    epochs of further packets are one higher.

    Raises:
        PluginError: the class breaks the contract of plugins.
        pydantic.ValidationError: the options are wrong.
        ValueError: the rule `when` or a term of `on_change` is wrong.
    """
    clock = clock or FakeClock()
    with _folder(data_dir) as folder:
        keys: dict[str, Any] = {
            "every_s": every_s,
            "when": None if when is None else Rule(when),
            "on_change": tuple(Term(text) for text in on_change),
            "ttl_s": ttl_s,
        }
        kit, uplink, log = _kit(Path(folder), clock, arrived)
        meters = StageMeters()
        slot = _slot(cls, options, kit, keys, meters)
        out: list[AnyPacket] = []
        slot.open()
        waiting: list[AnyPacket] = []
        epochs = 0
        for position, packet in enumerate(packets):
            clock.set_ns(packet.t_ns)
            if position == reloaded_at:
                out += slot.handle(waiting) + slot.wind_up()
                waiting, epochs = [], 1
                slot.close()
                memory = slot.memory
                slot = _slot(cls, options, replace(kit, seed=1), keys, meters)
                slot.memory = memory
                slot.open()
            waiting.append(packet._replace(epoch=packet.epoch + epochs))
            if len(waiting) == burst:
                out += slot.handle(waiting)
                waiting = []
        if waiting:
            out += slot.handle(waiting)
        out += slot.flush()
        slot.close()
    return Ran(out, uplink.messages, meters, log)


def run_source(
    cls: type[Any],
    options: Mapping[str, Any] | Options,
    *,
    folder: Path | None = None,
    limit: int | None = None,
    epochs: int = 1,
    clock: FakeClock | None = None,
) -> Ran:
    """Run a source for some epochs, until its stream ends or `limit` packets have come.

    Waiting, for the source's pace or between epochs, moves a fake clock and takes no time.
    `folder` is where relative input files are.
    """
    clock = clock or FakeClock()
    plugin = register(cls)
    taken: list[AnyPacket] = []
    with _folder(None) as data:
        kit, _, log = _kit(Path(data), clock)
        life = Life(FaultBudget(clock))

        def push(burst: list[AnyPacket]) -> None:
            taken.extend(burst)
            if limit is not None and len(taken) >= limit:
                life.stopping.set()

        plan = StagePlan(
            id="source",
            plugin=plugin,
            options=_options(plugin.options, options, folder or Path(data), Path(data)),
            reads=(),
            consumers=(),
        )
        meters = StageMeters()
        inlet = _CountedInlet(plan, "test", kit, life, meters, first_epoch=0, push=push)
        inlet.epochs_left = epochs
        inlet.run()
    return Ran(taken, [], meters, log)


class _CountedInlet(Inlet):
    """An inlet that stops after some epochs."""

    epochs_left = 1

    def _build(self) -> Any:
        if self.epochs_left == 0:
            self._life.stopping.set()
            raise Stopping
        self.epochs_left -= 1
        return super()._build()


def _slot(
    cls: type[Any],
    options: Mapping[str, Any] | Options,
    kit: Kit,
    keys: Mapping[str, Any],
    meters: StageMeters,
) -> Slot:
    plugin = register(cls)
    if plugin.kind not in {"transform", "action", "output"}:
        raise TypeError(f"run_stage runs transforms, actions and outputs, not a {plugin.kind}")
    plan = StagePlan(
        id="stage",
        plugin=plugin,
        options=_options(plugin.options, options, kit.data_dir, kit.data_dir),
        reads=("source",),
        consumers=(),
        **keys,
    )
    remembers = hasattr(cls, "remember") and hasattr(cls, "recall")
    life = Life(FaultBudget(kit.clock), keep=frozenset({"stage"} if remembers else ()))
    return slot_class(plugin)(plan, "test", kit, life, meters)


def _kit(
    folder: Path, clock: Clock, arrived: Mapping[str, bytes] | None = None
) -> tuple[Kit, RecordingUplink, LogBook]:
    uplink, log = RecordingUplink(arrived=arrived), LogBook()
    return Kit(clock=clock, uplink=uplink, pool=None, log=log, data_dir=folder, seed=0), uplink, log


def _options(
    cls: type[Options], options: Mapping[str, Any] | Options, folder: Path, data: Path
) -> Options:
    if isinstance(options, Options):
        return options
    return cls.model_validate(dict(options), context=Surroundings(folder, data))


def _folder(given: Path | None) -> AbstractContextManager[str]:
    if given is not None:
        return nullcontext(str(given))
    return tempfile.TemporaryDirectory(prefix="edgeapp-test-")
