"""Announcing the device to Home Assistant, again whenever that starts, and taking it back."""

import asyncio
import platform
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from edgeapp.config.device import DeviceConfig
from edgeapp.core.answers import Mask
from edgeapp.core.clock import NS
from edgeapp.core.payload import Features
from edgeapp.plan.graph import Plan
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.service.discovery.memory import Memory, read_memory, write_memory
from edgeapp.service.discovery.payload import Discovery, Known, discover, discovery_topic
from edgeapp.service.discovery.results import Names
from edgeapp.uplink.connection import OnMessage, Received
from edgeapp.uplink.sender import UplinkStatistics

LOOK_S = 2.0
"""How often it is looked for what has changed."""
JITTER_S = 10.0
"""When Home Assistant starts, all devices answer; each takes a random time up to this."""
REMOVED_S = 600.0
"""So long a removed component is said to be removed, then nothing is said of it."""
EMPTIED_S = 10.0
"""A connection that held for so long after a topic was emptied has emptied it."""
MOST_NAMES = 256
"""Features of a signal, or labels of a mask, that are told of one output."""
_BIRTH = b"online"
_MODEL = Path("/proc/device-tree/model")

Sleep = Callable[[float], Awaitable[object]]


class Announcing(Protocol):
    """What announcing needs of the uplink."""

    def hold_raw(self, topic: str, payload: bytes) -> None:
        """Let the broker keep a payload, and send it again at every reconnect."""

    def let_go(self, topic: str) -> None:
        """Make the broker forget what it keeps on a topic."""

    def subscribe(self, topic_filter: str, handler: OnMessage) -> None:
        """Call `handler` with what comes."""

    def statistics(self) -> UplinkStatistics:
        """The uplink at this moment."""


async def announce(
    app: App,
    uplink: Announcing,
    device: DeviceConfig,
    *,
    chance: random.Random | None = None,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Keep Home Assistant told of this device, until cancelled.

    Ends by itself where the device file does not ask for it and all that was said is taken back.
    """
    announcer = Announcer(
        app,
        uplink,
        device,
        chance=chance or random.Random(),  # noqa: S311  spreads answers, hides nothing
        hardware=hardware(),
    )
    await announcer.start()
    while announcer.has_work:
        await sleep(LOOK_S)
        await announcer.look()


class Announcer:
    """What is announced, and what is still to be taken back. On the event loop."""

    def __init__(
        self,
        app: App,
        uplink: Announcing,
        device: DeviceConfig,
        *,
        chance: random.Random,
        hardware: str = "",
    ) -> None:
        """Prepare. `chance`: for the time that an answer to Home Assistant's start takes."""
        self._app = app
        self._uplink = uplink
        self._device = device
        self._chance = chance
        self._hardware = hardware
        self._log = app.kit.log
        self._now_ns = app.kit.clock.now_ns
        self._memory = Memory()
        self._written = b""
        self._said: Discovery | None = None
        self._plans: Sequence[Plan] = ()
        self._due_ns: int | None = None  # when the start of Home Assistant is answered
        self._since_ns = self._now_ns()  # when what is to be removed was said first
        mqtt = device.mqtt
        self._topic: str | None = None
        if mqtt is not None and mqtt.home_assistant is not None:
            self._topic = discovery_topic(mqtt.home_assistant, device.device, mqtt.prefix)

    @property
    def has_work(self) -> bool:
        """Whether there is something to announce, or to take back."""
        return self._topic is not None or bool(self._memory.gone)

    async def start(self) -> None:
        """Recall what was said, and say what is true now."""
        try:
            self._memory = await asyncio.to_thread(read_memory, self._device.data_dir)
        except (OSError, ValueError) as error:
            self._log.warning("what Home Assistant was told is not known any more", why=str(error))
        if self._device.mqtt is None:  # nobody to tell: what was said elsewhere stays as it is
            self._memory = Memory()
            return
        self._memory.move(self._topic)
        for topic in self._memory.gone:
            self._log.info("taken back from Home Assistant", topic=topic)
            self._uplink.let_go(topic)
        if self._device.mqtt.home_assistant is not None:
            self._uplink.subscribe(f"{self._device.mqtt.home_assistant}/status", self._born)
            self._say()
        await self._write()

    async def look(self) -> None:
        """Say what has changed, and forget what has been seen to."""
        memory = self._memory
        if self._topic is not None:
            plans = [pipeline.plan for pipeline in self._app.pipelines]
            known = {**_of(memory.known(), plans), **_told(self._app.pipelines)}
            seen_to = bool(memory.vanished) and self._held_for(REMOVED_S)
            asked = self._due_ns is not None and self._now_ns() >= self._due_ns
            if seen_to:
                memory.vanished = {}
            if asked:
                self._due_ns = None
            if asked or seen_to or known != memory.known() or plans != self._plans:
                memory.learn(known)
                self._say(again=asked)
        if memory.gone and self._held_for(EMPTIED_S):
            memory.gone = []
        await self._write()

    def _born(self, received: Received) -> None:
        """Home Assistant said something of itself."""
        if received.payload == _BIRTH and self._due_ns is None:
            self._due_ns = self._now_ns() + round(self._chance.uniform(0.0, JITTER_S) * NS)

    def _held_for(self, seconds: float) -> bool:
        """Whether the connection has held for so long since we said what is to be removed."""
        now = self._uplink.statistics()
        since_ns = max(now.since_ns, self._since_ns)
        return now.connected and self._now_ns() - since_ns >= seconds * NS

    def _say(self, *, again: bool = False) -> None:
        """Publish what is true now, where it is not what was said last, or that is to be repeated."""
        memory = self._memory
        assert self._topic is not None
        self._plans = [pipeline.plan for pipeline in self._app.pipelines]
        said = self._discover(memory.vanished)
        vanished = {**memory.vanished, **memory.components}
        vanished = {id_: p for id_, p in vanished.items() if id_ not in said.components}
        if vanished != memory.vanished:
            memory.vanished = vanished
            self._since_ns = self._now_ns()
            said = self._discover(vanished)
        memory.components = dict(said.components)
        if said.left_out and (self._said is None or self._said.left_out != said.left_out):
            self._log.warning(
                "not all fits into what Home Assistant is told", left_out=list(said.left_out)
            )
        if self._said is None:
            count = len(said.components)
            self._log.info("announcing to Home Assistant", topic=self._topic, components=count)
        if again or self._said is None or self._said.payload != said.payload:
            self._uplink.hold_raw(self._topic, said.payload)
        self._said = said

    def _discover(self, vanished: dict[str, str]) -> Discovery:
        mqtt = self._device.mqtt
        assert mqtt is not None
        return discover(
            self._device.device,
            self._plans,
            prefix=mqtt.prefix,
            commands=mqtt.commands,
            known=self._memory.known(),
            vanished=vanished,
            hardware=self._hardware,
        )

    async def _write(self) -> None:
        """Remember, where that has changed."""
        now = msgspec.json.encode(self._memory)
        if now == self._written:
            return
        self._written = now
        try:
            await asyncio.to_thread(write_memory, self._device.data_dir, self._memory)
        except OSError as error:
            self._log.warning("what Home Assistant was told cannot be kept", why=str(error))


def _of(known: Known, plans: Sequence[Plan]) -> Known:
    """What is known of outputs that there still are."""
    outputs = {(plan.name, stage) for plan in plans for stage in plan.stages}
    return {output: names for output, names in known.items() if output in outputs}


def _told(pipelines: Sequence[Pipeline]) -> Known:
    """The names that the newest packets tell, by pipeline and output."""
    known: dict[tuple[str, str], Names] = {}
    for pipeline in pipelines:
        for stage in pipeline.plan.stages.values():
            if (stage.plugin.kind, stage.plugin.name) != ("output", "mqtt"):
                continue
            features: dict[str, str] = {}
            labels: dict[str, None] = {}
            for read in stage.reads:
                slot = pipeline.slots.get(read)
                value = None if slot is None or slot.last is None else slot.last.value
                if isinstance(value, Features):
                    features.update(zip(value.names, value.units, strict=True))
                elif isinstance(value, Mask):
                    labels.update(dict.fromkeys(value.labels))
            if features or labels:
                known[pipeline.plan.name, stage.id] = Names(
                    tuple(features.items())[:MOST_NAMES], tuple(labels)[:MOST_NAMES]
                )
    return known


def hardware(model: Path = _MODEL) -> str:
    """What kind of board this is, as far as that can be told."""
    try:
        return model.read_text(encoding="utf-8", errors="replace").strip("\0 \n")[:100]
    except OSError:
        return platform.machine()
