"""What can be asked of a running application over the control socket."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from edgeapp import __version__
from edgeapp.core.clock import NS
from edgeapp.core.dial import Dial, Setting
from edgeapp.core.link import AnyPacket
from edgeapp.core.message import Priority
from edgeapp.document.words import did_you_mean
from edgeapp.errors import ConfigError
from edgeapp.plan.graph import StagePlan
from edgeapp.plan.tuning import settings_of, tuned
from edgeapp.runtime.app import App
from edgeapp.runtime.event_slot import EventSlot
from edgeapp.runtime.pipeline import USER, Pipeline
from edgeapp.service.control.server import Frame, RefusedError, Request, Verb
from edgeapp.service.facts import Say, facts
from edgeapp.service.monitoring.wear import Wear
from edgeapp.service.recent import Recent
from edgeapp.service.starts.start import Start
from edgeapp.uplink.outbox import PRIORITIES

_LONGEST_WINDOW_S = 10.0
_LOOK_S = 0.02
_ACK_S = 10.0
_SHORTEST_PERIOD_S = 0.01
_GREATEST_DIVISOR = 1_000
_LONGEST_PIN_S = 365 * 86_400.0


class Purge(Protocol):
    """Empties the outbox. Blocking."""

    def __call__(self, priorities: Sequence[Priority], *, dead: bool = False) -> int:
        """Remove what waits of these classes, and what was refused; returns how many messages.

        Raises:
            TimeoutError: the disk did not do it in time.
        """


class Verbs:
    """The verbs of one application. Everything runs on its event loop and is quick."""

    def __init__(
        self,
        app: App,
        *,
        device: str,
        say: Say,
        reload: Callable[[], Awaitable[object]] | None = None,
        uplink: Callable[[], Mapping[str, Any] | None] = lambda: None,
        purge: Purge | None = None,
        governor: Callable[[], Mapping[str, Any] | None] = lambda: None,
        health: Callable[[], Mapping[str, Any] | None] = lambda: None,
        start: Start | None = None,
        config: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Serve.

        Without `reload`, what runs cannot be exchanged. `uplink`: its state as plain data; None:
        there is none. `purge`: empties the outbox; without it, there is none on the disk.
        `governor`: what it decided last; None: nothing, or there is none. `health`: how all is.
        `start`: how the process was started. `config`: how what runs differs from what is written.
        """
        self._uplink = uplink
        self._purge = purge
        self._governor = governor
        self._health = health
        self._start = start or Start()
        self._wear = Wear(app.kit.clock)
        self._config = config
        self._app = app
        self._reload = reload
        self._device = device
        self._say = say
        self._began_s = time.monotonic()

    def table(self) -> dict[str, Verb]:
        """The verbs by name."""
        return {
            "status": self.status,
            "tap": self.tap,
            "pin": self.pin,
            "auto": self.auto,
            "ack": self.ack,
            "pause": self.pause,
            "resume": self.resume,
            "tune": self.tune,
            "reload": self.reload,
            "purge": self.purge,
        }

    async def status(self, request: Request) -> AsyncIterator[Frame]:
        """Everything at this moment; rates are measured over `window_s`."""
        window_s = min(_number(request, "window_s", 1.0), _LONGEST_WINDOW_S)
        recent = Recent()
        recent.add(time.monotonic(), self._app.status())
        await asyncio.sleep(window_s)
        now = self._app.status()
        recent.add(time.monotonic(), now)
        yield Frame(
            {
                "device": self._device,
                "version": __version__,
                "pid": os.getpid(),
                "up_s": round(time.monotonic() - self._began_s, 1),
                "uplink": self._uplink(),
                "governor": self._governor(),
                "health": self._health(),
                "start": {"mode": self._start.mode, "why": self._start.why},
                "wear": self._wear.facts(),
                "config": None if self._config is None else self._config(),
                "pipelines": [facts(pipeline, recent, say=self._say) for pipeline in now],
            }
        )

    async def tap(self, request: Request) -> AsyncIterator[Frame]:
        """The newest packets that come out of a stage, until the client hangs up.

        `every_s`: at most one in so long. `full`: with all that the payload holds.
        """
        pipeline, stage = self.stage(request)
        hide = _hidden(pipeline)
        period_s = max(_SHORTEST_PERIOD_S, _number(request, "every_s", 0.0))
        full = request.get("full") is True
        meters = pipeline.meters[stage.id]
        seen: AnyPacket | None = None
        counted = meters.emitted or meters.done
        yield Frame({"pipeline": pipeline.plan.name, "stage": stage.id, "kind": stage.plugin.kind})
        while True:
            slot = pipeline.slots.get(stage.id)
            packet = None if slot is None else slot.last
            if packet is None or packet is seen:
                await asyncio.sleep(_LOOK_S)
                continue
            count = meters.emitted or meters.done
            skipped = max(0, count - counted - 1) if seen is not None else 0
            seen, counted = packet, count
            if full:  # megabytes, and perhaps a mask over them: not on the event loop
                yield await asyncio.to_thread(self._shown, packet, hide, skipped, full=True)
            else:
                yield self._shown(packet, hide, skipped, full=False)
            await asyncio.sleep(period_s)

    def _shown(
        self, packet: AnyPacket, hide: Callable[[AnyPacket], Any], skipped: int, *, full: bool
    ) -> Frame:
        told: dict[str, Any] = {
            "origin": packet.origin,
            "epoch": packet.epoch,
            "seq": packet.seq,
            "part": packet.part,
            "t_s": packet.t_ns / NS,
            "age_ms": round((self._app.kit.clock.now_ns() - packet.taken_ns) / 1e6, 3),
            "lost": packet.lost,
            "variant": packet.trail[-1].variant if packet.trail else None,
            "payload": type(packet.value).__name__,
            "said": self._say(packet.value),
            "skipped": skipped,
        }
        if not full:
            return Frame(told)
        from edgeapp.service.recordings.codec import taken_apart

        arrays: list[Any] = []
        try:
            tree = taken_apart(hide(packet), arrays)
        except TypeError as error:
            raise RefusedError(f"this stage gives what cannot be shown: {error}") from None
        blobs = [array.tobytes() for array in arrays]
        stored = [
            (array.dtype.str, array.shape, "raw", len(blob))
            for array, blob in zip(arrays, blobs, strict=True)
        ]
        return Frame({**told, "tree": tree, "arrays": stored}, b"".join(blobs))

    async def pin(self, request: Request) -> AsyncIterator[Frame]:
        """Hold a model stage on a variant, for `for_s` seconds or until `auto`.

        With `force` also when heat or current forbids it.
        """
        pipeline, stage = self.stage(request)
        dial = self._dial(pipeline, stage)
        rung = _rung(stage, str(request.get("variant")))
        for_s = request.get("for_s")
        if for_s is not None:
            for_s = min(_number(request, "for_s", 0.0), _LONGEST_PIN_S)
        divisor = request.get("divisor", 1)
        if type(divisor) is not int or divisor > _GREATEST_DIVISOR:
            raise RefusedError(f"a divisor is a whole number from 1 to {_GREATEST_DIVISOR}")
        force = request.get("force") is True
        try:
            dial.pin(Setting(rung, divisor), for_s=for_s, force=force)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        struck = rung in dial.struck
        variant = stage.variants[rung].name
        pipeline.log.info(
            "variant pinned", stage=stage.id, variant=variant, for_s=for_s, force=force
        )
        yield Frame(
            {
                "stage": f"{pipeline.plan.name}/{stage.id}",
                "variant": variant,
                "rung": rung,
                "divisor": divisor,
                "for_s": for_s,
                "force": force,
                "struck": struck,
            }
        )

    async def auto(self, request: Request) -> AsyncIterator[Frame]:
        """Let the governor decide again."""
        pipeline, stage = self.stage(request)
        self._dial(pipeline, stage).unpin()
        pipeline.log.info("variant is automatic again", stage=stage.id)
        yield Frame({"stage": f"{pipeline.plan.name}/{stage.id}"})

    async def ack(self, request: Request) -> AsyncIterator[Frame]:
        """Tell a stage that somebody has seen its alarm."""
        pipeline, stage = self.stage(request)
        loop = asyncio.get_running_loop()
        said: asyncio.Future[str] = loop.create_future()

        def settle(sentence: str) -> None:
            if not said.done():
                said.set_result(sentence)

        def tell(sentence: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(settle, sentence)

        slot = pipeline.slots.get(stage.id)
        if not isinstance(slot, EventSlot) or not slot.acknowledge(tell):
            raise RefusedError(f"'{stage.id}' raises no alarms to acknowledge")
        try:
            async with asyncio.timeout(_ACK_S):
                yield Frame({"said": await said})
        except TimeoutError:
            yield Frame({"said": f"'{stage.id}' gets nothing now; it is told with its next packet"})

    async def pause(self, request: Request) -> AsyncIterator[Frame]:
        """Drain a pipeline and close its devices, until `resume`."""
        pipeline = self.pipeline(request.get("pipeline"))
        if pipeline.state in {"finished", "stopped"}:
            raise RefusedError(f"'{pipeline.plan.name}' has {pipeline.state}")
        pipeline.pause()
        yield Frame({"pipeline": pipeline.plan.name, "state": "paused"})

    async def resume(self, request: Request) -> AsyncIterator[Frame]:
        """Open a paused pipeline again."""
        pipeline = self.pipeline(request.get("pipeline"))
        if not pipeline.held:
            raise RefusedError(f"'{pipeline.plan.name}' is not paused but {pipeline.state}")
        if USER not in pipeline.held_by:
            others = ", ".join(sorted(pipeline.held_by))
            raise RefusedError(f"'{pipeline.plan.name}' is held paused by the {others}")
        pipeline.resume()
        yield Frame({"pipeline": pipeline.plan.name, "state": "resumed"})

    async def tune(self, request: Request) -> AsyncIterator[Frame]:
        """Give a live option of a stage another value, until its file says another one."""
        pipeline, stage = self.stage(request)
        option, text = str(request.get("option")), request.get("value")
        if not isinstance(text, str):
            raise RefusedError("a value is given as text, as in a pipeline file")
        rung = pipeline.dials[stage.id].actual.rung if stage.variants else 0
        before = settings_of(stage, rung)
        try:
            changed = tuned(stage, option, text)
        except ConfigError as error:
            raise RefusedError(_sentence(error)) from None
        pipeline.tune(changed)
        value = settings_of(changed, rung)[option]
        pipeline.log.info("option tuned", stage=stage.id, option=option, value=value)
        yield Frame(
            {
                "stage": f"{pipeline.plan.name}/{stage.id}",
                "option": option,
                "value": value,
                "before": before[option],
            }
        )

    async def reload(self, _request: Request) -> AsyncIterator[Frame]:
        """Read the pipeline files again, and exchange the pipelines whose files have changed."""
        if self._reload is None:
            raise RefusedError("what runs here cannot be reloaded")
        yield Frame({"said": str(await self._reload())})

    async def purge(self, request: Request) -> AsyncIterator[Frame]:
        """Remove what waits of some `classes`, and with `dead` what the broker refused."""
        if self._purge is None:
            raise RefusedError(
                "there is no outbox on the disk: no broker is named, or none is needed"
            )
        classes = request.get("classes")
        if not isinstance(classes, list) or not all(one in PRIORITIES for one in classes):
            raise RefusedError(f"the classes are {', '.join(PRIORITIES)}")
        try:
            count = await asyncio.to_thread(self._purge, classes, dead=request.get("dead") is True)
        except TimeoutError as error:
            raise RefusedError(str(error)) from None
        self._app.kit.log.warning("outbox purged", classes=classes, count=count)
        yield Frame({"count": count})

    # -- finding what is meant --------------------------------------------------------------

    def pipeline(self, name: object) -> Pipeline:
        """The pipeline of a name; the only one where none is given."""
        by_name = {pipeline.plan.name: pipeline for pipeline in self._app.pipelines}
        if name is None and len(by_name) == 1:
            return next(iter(by_name.values()))
        if name is None:
            raise RefusedError(f"say which pipeline: {', '.join(by_name)}")
        if not isinstance(name, str) or name not in by_name:
            remedy = did_you_mean(str(name), by_name, heading="Pipelines")
            raise RefusedError(f"there is no pipeline '{str(name)[:80]}'; {remedy}")
        return by_name[name]

    def stage(self, request: Request) -> tuple[Pipeline, StagePlan]:
        """The stage that is meant by `stage`, or by `pipeline/stage`."""
        wanted = str(request.get("stage"))
        name, slash, stage = wanted.rpartition("/")
        if slash:
            among = [self.pipeline(name)]
        else:
            among = [one for one in self._app.pipelines if stage in one.plan.stages]
        if len(among) > 1:
            several = ", ".join(f"{one.plan.name}/{stage}" for one in among)
            raise RefusedError(f"several pipelines have a stage '{stage}': {several}")
        if not among or stage not in among[0].plan.stages:
            ids = [id_ for one in among or self._app.pipelines for id_ in one.plan.stages]
            remedy = did_you_mean(stage, ids, heading="Stages")
            raise RefusedError(f"there is no stage '{stage[:80]}'; {remedy}")
        return among[0], among[0].plan.stages[stage]

    @staticmethod
    def _dial(pipeline: Pipeline, stage: StagePlan) -> Dial:
        dial = pipeline.dials.get(stage.id)
        if dial is None:
            raise RefusedError(f"'{stage.id}' is no model stage: it has no variants")
        return dial


def _hidden(pipeline: Pipeline) -> Callable[[AnyPacket], Any]:
    """What takes away what the pipeline masks further down."""
    if not any(stage.plugin.name == "mask" for stage in pipeline.plan.stages.values()):
        return lambda packet: packet.value
    from edgeapp.service.privacy import hidden

    return hidden(pipeline.plan)


def _rung(stage: StagePlan, wanted: str) -> int:
    """The rung that a variant's name or number means."""
    names = [variant.name for variant in stage.variants]
    if wanted in names:
        return names.index(wanted)
    numbers = [str(rung) for rung in range(len(names))]
    if wanted in numbers:
        return numbers.index(wanted)
    remedy = did_you_mean(wanted, names, heading="Variants")
    raise RefusedError(f"'{stage.id}' has no variant '{wanted[:80]}'; {remedy}")


def _sentence(error: ConfigError) -> str:
    return "; ".join(
        f"{one.problem}; {one.remedy}" if one.remedy else one.problem for one in error.complaints
    )


def _number(request: Request, key: str, default: float) -> float:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:  # noqa: PLR2004  seconds
        raise RefusedError(f"{key} is a number of seconds")
    return float(value)
