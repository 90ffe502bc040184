"""A thread of a pipeline: what it does, from opening its stages to closing them, and its end."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial

from edgeapp.core.link import AnyPacket, Inbox, Link
from edgeapp.runtime.kit import Life
from edgeapp.runtime.lane import Lane, Node
from edgeapp.runtime.model_slot import ModelSlot
from edgeapp.runtime.slot import Slot

BURST = 64
"""The most packets that a lane takes from a link at once."""
IDLE_S = 1.0
"""How long a lane with a model waits for a packet before it looks at the dial without one."""


class Runner:
    """A named daemon thread that runs `work`, and two events for those who wait for it."""

    def __init__(
        self,
        name: str,
        slots: list[Slot],
        life: Life,
        open_: Callable[[], None],
        work: Callable[[], None],
    ) -> None:
        self.name = name
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.started = False
        self.slots = slots
        self._life = life
        self._tell_opened = from_threads(self.opened)
        self._tell_ended = from_threads(self.ended)
        self._go = threading.Event()
        self._open = open_
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.crash: BaseException | None = None

    def start(self) -> None:
        """Start the thread: it opens its stages and waits for `go`."""
        self._thread.start()
        self.started = True

    def go(self) -> None:
        """Let it work."""
        self._go.set()

    def busy(self) -> tuple[str, ...]:
        """Ids of the stages it is in a call of; where there is none, of the first one."""
        ids = tuple(slot.id for slot in self.slots)
        return tuple(slot.id for slot in self.slots if slot.busy) or ids[:1]

    def _run(self) -> None:
        try:
            self._open()
            self._tell_opened()
            self._go.wait()
            self._work()
        except BaseException as error:  # a thread must never die unnoticed
            self.crash = error
            self._life.fail(f"thread '{self.name}' crashed: {error!r}")
        finally:
            self._tell_opened()
            self._tell_ended()


def ending(lane: Lane) -> Callable[[], None]:
    """What ends a lane that a source runs."""

    def end() -> None:
        try:
            lane.flush()
        finally:
            lane.close()

    return end


Push = Callable[[Link, list[AnyPacket]], None]


def all_links_to(lane: Lane) -> Push:
    """Whatever comes goes to the whole lane."""
    push = lane.entry()
    return lambda _link, burst: push(burst)


def each_link_to(nodes: dict[Link, Node]) -> Push:
    """What comes by a link goes to the node that reads it."""
    return lambda link, burst: nodes[link].push(burst)


def lane_runner(lane: Lane, inbox: Inbox, push: Push, life: Life) -> Runner:
    """The thread of a lane: answers what comes into its inbox, until every link there ends."""
    patience_s = IDLE_S if any(isinstance(slot, ModelSlot) for slot in lane.slots()) else None

    def work() -> None:
        try:
            while (taken := inbox.take(BURST, patience_s)) is not None:
                link, burst = taken
                if burst:
                    push(link, burst)
                else:
                    lane.idle()
            lane.flush()
        finally:
            lane.close()

    return Runner(lane.name, lane.slots(), life, partial(lane.open, life.stopping), work)


async def all_ended(runners: list[Runner]) -> None:
    """Wait for the end of every thread."""
    for runner in runners:
        await runner.ended.wait()


async def ended_within(seconds: float, runners: list[Runner]) -> bool:
    """Wait for the end of every thread, so long at most; whether all have ended."""
    try:
        async with asyncio.timeout(seconds):
            await all_ended(runners)
    except TimeoutError:
        return False
    return True


async def first_of(*events: Coroutine[None, None, object]) -> None:
    """Wait until the first of these is done; the others are cancelled. Raises what that raised."""
    tasks = [asyncio.ensure_future(event) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


def from_threads(event: asyncio.Event) -> Callable[[], None]:
    """A way to set `event` from any thread, also after the loop is closed."""
    loop = asyncio.get_running_loop()

    def set_event() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return set_event
