"""The watchdog of an application: a thread that governs, and what looks after that thread.

Files of the kernel are read, and decisions made, on a thread of its own: a driver that hangs holds
up nobody else. A thread that hangs lets the leases of its dials run out, one that crashes is begun
anew with all that it knows forgotten; both leave models on their cheapest variants meanwhile.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import NS, ns
from edgeapp.core.dial import LEASE_S
from edgeapp.core.message import Message
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import WATCHDOG, Pipeline
from edgeapp.runtime.supervise import keep_up
from edgeapp.service.governing.state import governor_facts
from edgeapp.uplink.notices import GovernorNotice, Notice, SignalsNotice
from edgeapp.watchdog.ladder import LadderError

if TYPE_CHECKING:
    from edgeapp.service.governing.governing import Governing, Steer, Tell

TICK_S = 1.0
STALLED_S = 3.0
"""A tick that takes longer counts as stalled; by `LEASE_S` the models are on their floor."""
FIRST_S = 30.0
"""So long the first tick may take: modules are loaded, and large model files are read."""
AGAIN_S = 60.0
"""After so long it is tried again with limits and costs that made no sense: they are files."""
_LOOK_S = 0.5


class Begin(Protocol):
    """Makes what governs, on the thread that will use it."""

    def __call__(
        self, pipelines: Callable[[], Sequence[Pipeline]], steer: "Steer", tell: "Tell"
    ) -> "Governing":
        """Begin; may wait for files."""


class Watchdog:
    """Governs the pipelines of an application. On its event loop, but for the thread that governs."""

    def __init__(
        self,
        app: App,
        device: DeviceConfig,
        *,
        hold: Callable[[Message], None] | None,
        begin: Begin | None = None,
    ) -> None:
        """Prepare. `hold`: lets the broker keep a state; None: there is no broker."""
        self._app = app
        self._device = device
        self._hold = hold
        self._begin = begin or self._usual
        self._log = app.kit.log
        self._state: GovernorNotice | None = None
        self._signals: SignalsNotice | None = None
        self._failed = False
        """Whether nobody governs now."""
        self._senseless = ""

    def facts(self) -> dict[str, Any] | None:
        """What was decided last, as plain data; None: nothing yet."""
        return None if self._state is None else governor_facts(self._state, self._signals)

    async def run(self) -> None:
        """Govern until cancelled; what crashes begins anew, after a while that grows."""
        guard = asyncio.ensure_future(self._guard())
        try:
            await keep_up("watchdog", self._live, asyncio.Event(), self._app.kit)
        finally:
            guard.cancel()

    async def _guard(self) -> None:
        """While nobody governs, keep to the floor also those that nobody has governed yet."""
        while True:
            if self._failed:
                for pipeline in self._app.pipelines:
                    for dial in pipeline.dials.values():
                        dial.abandon()
            await asyncio.sleep(_LOOK_S)

    async def _live(self, _stop: asyncio.Event) -> None:
        """Govern until that crashes, or until cancelled."""
        while True:
            try:
                await self._live_once()
            except LadderError as error:
                said = str(error)
                if said != self._senseless:  # which is tried again and again
                    self._log.error("watchdog cannot govern", why=said, again_in_s=AGAIN_S)
                self._senseless = said
                self._fail("limits or costs make no sense, so that nobody governs")
                await asyncio.sleep(AGAIN_S)

    async def _live_once(self) -> None:
        """Govern on one thread."""
        loop = asyncio.get_running_loop()
        # As if it came round in a while: until then nothing is missed.
        life = _Life(loop.create_future(), self._app.kit.clock.now_ns() + ns(FIRST_S - STALLED_S))
        threading.Thread(target=self._work, args=(life, loop), name=WATCHDOG, daemon=True).start()
        stalled = False
        try:
            while not life.ended.done():
                await asyncio.wait((life.ended,), timeout=_LOOK_S)
                stalled = self._see_stall(life, was=stalled)
            life.ended.result()
        except LadderError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            self._fail(f"the watchdog crashed ({said}) and is begun anew")
            raise
        finally:
            life.over.set()  # a thread that hangs is left behind, and ends when it comes back

    def _work(self, life: "_Life", loop: asyncio.AbstractEventLoop) -> None:
        clock = self._app.kit.clock

        def later(call: Callable[..., None], *args: object) -> None:
            if not life.over.is_set():
                with suppress(RuntimeError):  # the loop is closed: the application has ended
                    loop.call_soon_threadsafe(call, *args)

        crash: Exception | None = None
        try:
            governing = self._begin(
                lambda: self._app.pipelines,
                lambda pipeline, pausing: later(_steer, pipeline, pausing),
                lambda topic, notice: later(self._publish, topic, notice),
            )
            while not life.over.is_set():
                began_ns = clock.now_ns()
                governing.tick()
                life.ticked_ns = now_ns = clock.now_ns()
                self._state, self._failed = governing.state, False
                clock.wait(life.over, TICK_S - (now_ns - began_ns) / NS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the event loop must hear of it
            crash = error
        later(life.end, crash)

    def _usual(
        self, pipelines: Callable[[], Sequence[Pipeline]], steer: "Steer", tell: "Tell"
    ) -> "Governing":
        # On the thread: the start does not wait for what is loaded here.
        from edgeapp.service.governing.governing import Governing
        from edgeapp.watchdog.readings import Readings
        from edgeapp.watchdog.signals.files import RealFiles
        from edgeapp.watchdog.signals.process_cpu import ProcessCpu

        files, clock = RealFiles(), self._app.kit.clock
        return Governing(
            pipelines,
            self._device.watchdog,
            self._device.data_dir,
            Readings(clock, files=files),
            cpu_ns=ProcessCpu(files).total_ns,
            steer=steer,
            tell=tell,
            log=self._log,
            clock=clock,
        )

    def _see_stall(self, life: "_Life", *, was: bool) -> bool:
        """Say once that a tick does not end, and once that it did; whether it does not."""
        silent_s = (self._app.kit.clock.now_ns() - life.ticked_ns) / NS
        stalled = silent_s > STALLED_S and not life.ended.done()
        if stalled and not was:
            self._log.error("watchdog is stalled", for_s=round(silent_s, 1), floor_after_s=LEASE_S)
            self._fail("the watchdog waits for a file that does not answer")
        elif was and not stalled and not life.ended.done():
            self._log.info("watchdog came back")
            if self._state is not None:
                self._publish("governor/state", self._state)
        return stalled

    def _fail(self, reason: str) -> None:
        """Nobody governs: tell so."""
        self._failed = True
        self._state = _fault(self._state, reason)
        self._publish("governor/state", self._state)

    def _publish(self, topic: str, notice: Notice) -> None:
        if isinstance(notice, SignalsNotice):
            self._signals = notice
        if self._hold is not None:
            taken_ns = self._app.kit.clock.now_ns()
            self._hold(Message(topic, msgspec.json.encode(notice), taken_ns, retain=True))


class _Life:
    """One thread that governs, as the event loop sees it."""

    def __init__(self, ended: asyncio.Future[None], now_ns: int) -> None:
        self.ended = ended
        self.over = threading.Event()
        self.ticked_ns = now_ns
        """When it last came round."""

    def end(self, crash: Exception | None) -> None:
        """It has ended. On the event loop."""
        if self.ended.done():
            return
        if crash is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(crash)


def _steer(pipeline: Pipeline, pausing: bool) -> None:
    if pausing:
        pipeline.pause(WATCHDOG)
    else:
        pipeline.resume(WATCHDOG)


def _fault(last: GovernorNotice | None, reason: str) -> GovernorNotice:
    """What is told while nobody governs: what was chosen last holds no more."""
    return GovernorNotice(
        schema="edgeapp/governor/1",
        level="serious",
        reason=reason[:300],
        binding="fault",
        infeasible=False,
        detectors=("fault",),
        die_c=None,
        headroom=None,
        trip_in_s=None,
        forecast_30s_c=None,
        forecast_300s_c=None,
        cores_allowed=0.0,
        cores_chosen=0.0,
        utility=0.0,
        stages=(),
        paused=() if last is None else last.paused,
        next_best="",
        swap_price=0.0,
        swaps_last_h=0 if last is None else last.swaps_last_h,
        trust={},
    )
