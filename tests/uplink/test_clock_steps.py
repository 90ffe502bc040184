"""The wall clock is stepped by years at random instants, and nothing takes notice.

A story of messages, cuts and silence is told twice on the same virtual time, once with the steps and
once without: whatever is sent, when, in which lane and with which age and expiry must be the same.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgeapp.core.clock import NS, MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.connection import Endpoint
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.servers.mosquitto import Listener, Mosquitto
from tests.uplink.parts import ListLog
from tests.uplink.virtual import LoopClock, SimulatedBroker, VirtualLoop, play

NOON_NS = 1_800_000_000 * NS
TEN_YEARS_NS = 315_576_000 * NS
LASTS_S = 400.0
SEEDS = pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, 100), marks=pytest.mark.slow)], ids=["few", "many"]
)


class Wall:
    """A wall clock that somebody steps, and a kernel that knows so."""

    def __init__(self, clock: LoopClock, *, synced: bool) -> None:
        self._clock = clock
        self._offset_ns = NOON_NS
        self.synced = synced
        self.steps = 0

    def now_ns(self) -> int:
        return self._clock.now_ns() + self._offset_ns

    def step(self, by_ns: int) -> None:
        self._offset_ns += by_ns
        self.synced = False
        self.steps += 1

    def ntp(self) -> None:
        """Something sets the clock right."""
        self._offset_ns = NOON_NS
        self.synced = True


class AgesByTheWall:
    """What an outbox must not do: it takes the wall clock for the time that has passed."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall

    def least_age_ns(self, mono_ns: int, boot: str | None = None) -> int:
        return self._wall.now_ns() - NOON_NS - mono_ns


@dataclass
class Told:
    """What came of a story."""

    got: list[tuple[Any, ...]] = field(default_factory=list)
    """When, where, how and what, without what wall time has a say in."""
    times: list[tuple[str, str]] = field(default_factory=list)
    """`time` and `clock` of each message."""
    dropped: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    steps: int = 0


Ages = Callable[[WallClock, Wall], Any]


def tell(
    seed: int,
    *,
    stepped: bool,
    synced: bool,
    ntp_s: float | None = None,
    ages: Ages = lambda wall_clock, _wall: wall_clock,
) -> Told:
    """The story of a seed. `ntp_s`: the clock is set right then, and not before."""

    async def story(loop: VirtualLoop) -> Told:
        told, log = Told(), ListLog()
        clock = LoopClock(loop)
        wall = Wall(clock, synced=synced)
        wall_clock = WallClock(
            clock, boot="test", wall_ns=wall.now_ns, synchronised=lambda: wall.synced
        )
        broker = SimulatedBroker()
        outbox = MemoryOutbox(
            clock=clock, ages=ages(wall_clock, wall), device="dev", max_messages=60
        )
        uplink = MqttUplink(
            Topics("dev"),
            Sealer("dev", 1, wall_clock),
            outbox,
            broker,
            log=log,
            clock=clock,
            chance=random.Random(seed),
        )
        wall_clock.offset()  # as at the start of a device
        _plan(loop, random.Random(seed), uplink, broker, clock)
        if stepped:
            chance = random.Random(~seed)
            for _ in range(30):
                by_ns = chance.choice((-1, 1)) * chance.randrange(TEN_YEARS_NS)
                loop.call_at(chance.uniform(0.1, LASTS_S), wall.step, by_ns)
        if ntp_s is not None:
            loop.call_at(ntp_s, wall.ntp)
        stop = asyncio.Event()
        loop.call_at(LASTS_S, stop.set)
        await uplink.run(stop)
        for at_s, publication in broker.got:
            if publication.topic.endswith("/status"):
                told.got.append((at_s, *publication))
                continue
            said = json.loads(publication.payload)
            told.times.append((said.pop("time"), said.pop("clock")))
            told.got.append((round(at_s, 6), *publication._replace(payload=b""), said))
        told.dropped = {str(reason): n for reason, n in outbox.statistics().dropped.items()}
        told.events, told.steps = log.events, wall.steps
        return told

    return play(story)


def _plan(
    loop: VirtualLoop,
    chance: random.Random,
    uplink: MqttUplink,
    broker: SimulatedBroker,
    clock: LoopClock,
) -> None:
    """Messages of all kinds at random times; connections that break, and silence."""
    priorities: tuple[Priority, ...] = ("critical", "normal", "bulk")

    def offer(n: int, topic: str, priority: Priority, retain: bool, ttl_s: float | None) -> None:
        body = b'{"n":%d}' % n
        uplink.offer(Message(topic, body, clock.now_ns(), priority, retain=retain, ttl_s=ttl_s))

    at_s = 0.0
    for n in range(300):
        at_s += chance.uniform(
            0.001, 2 * LASTS_S / 310
        )  # no two at once: their order would be open
        loop.call_at(
            at_s,
            offer,
            n,
            chance.choice(("p/a", "p/b", "p/c")),
            chance.choice(priorities),
            chance.random() < 0.2,
            chance.choice((None, None, 4.0, 40.0)),
        )
    for _ in range(4):
        down_s = chance.uniform(5.0, LASTS_S - 80.0)
        loop.call_at(down_s, setattr, broker, "up", False)
        loop.call_at(down_s, broker.cut)
        loop.call_at(down_s + chance.uniform(1.0, 90.0), setattr, broker, "up", True)


def without_boot(told: Told) -> list[tuple[Any, ...]]:
    """What was sent, but for what only an unsynchronised clock makes messages say."""
    return [
        tuple(
            {k: v for k, v in part.items() if k not in {"boot", "up_ms"}}
            if isinstance(part, dict)
            else part
            for part in one
        )
        for one in told.got
    ]


@SEEDS
def test_before_any_synchronised_time_steps_change_nothing_but_what_the_clock_shows(
    seeds: range,
) -> None:
    kinds: set[str] = set()
    for seed in seeds:
        steady = tell(seed, stepped=False, synced=False)
        stepped = tell(seed, stepped=True, synced=False)
        assert stepped.steps == 30
        assert stepped.got == steady.got
        assert stepped.dropped == steady.dropped
        assert stepped.events == steady.events
        assert {clock for _, clock in stepped.times} == {"unsynced"}
        kinds |= set(stepped.dropped)
        for one in stepped.got:
            if isinstance(one[-1], dict):
                said = one[-1]
                assert said["boot"] == "test"
                kinds |= {"replayed"} if said["replay"] else {"live"}
                kinds |= {"gap"} if said.get("schema") == "edgeapp/gap/1" else set()
    # The stories have in them what could go wrong.
    assert kinds >= {"expired", "full", "replayed", "live", "gap"}


@SEEDS
def test_after_the_first_synchronised_time_steps_change_nothing_at_all(
    seeds: range,
) -> None:
    for seed in seeds:
        steady = tell(seed, stepped=False, synced=True)
        stepped = tell(seed, stepped=True, synced=True)
        assert stepped == Told(steady.got, steady.times, steady.dropped, steady.events, 30)
        assert {clock for _, clock in stepped.times} == {"synced"}


@SEEDS
def test_what_waits_is_dated_right_once_there_is_a_clock(
    seeds: range,
) -> None:
    """Whatever the clock showed until then."""
    clocks = set()
    for seed in seeds:
        right = tell(seed, stepped=False, synced=True)
        late = tell(seed, stepped=True, synced=False, ntp_s=LASTS_S / 2)
        assert without_boot(late) == without_boot(right)
        pairs = list(zip(late.times, right.times, strict=True))
        assert all(found == truth for found, truth in pairs if found[1] == "synced")
        clocks |= {found[1] for found, _ in pairs}
    assert clocks == {"unsynced", "synced"}


def test_this_would_find_an_outbox_that_counts_by_the_wall_clock() -> None:
    def wrong(_clock: WallClock, wall: Wall) -> AgesByTheWall:
        return AgesByTheWall(wall)

    steady = tell(1, stepped=False, synced=True, ages=wrong)
    assert steady.got == tell(1, stepped=False, synced=True).got
    assert tell(1, stepped=True, synced=True, ages=wrong).got != steady.got


@pytest.mark.parametrize("synced", [True, False])
def test_the_stories_are_the_same_every_time(*, synced: bool) -> None:
    assert tell(3, stepped=True, synced=synced) == tell(3, stepped=True, synced=synced)


@pytest.mark.slow
def test_steps_while_a_real_broker_goes_and_comes(mosquitto: Mosquitto, listener: Listener) -> None:
    """The real clocks, stepped by years a hundred times a second, after NTP was right once."""
    steps_ns = 0
    synced = True
    chance = random.Random(7)

    async def story() -> None:
        nonlocal steps_ns, synced
        topics, clock = Topics("dev"), MonotonicClock()
        wall_clock = WallClock(
            clock, wall_ns=lambda: time.time_ns() + steps_ns, synchronised=lambda: synced
        )
        uplink = MqttUplink(
            topics,
            Sealer("dev", 1, wall_clock),
            MemoryOutbox(clock=clock, ages=wall_clock, device="dev"),
            Connector(Endpoint("127.0.0.1", mosquitto.port), client_id="dev"),
            log=ListLog(),
            clock=clock,
            chance=random.Random(1),
        )
        wall_clock.offset()
        stop = asyncio.Event()
        running = asyncio.create_task(uplink.run(stop))
        for n in range(400):
            if n == 150:
                await asyncio.to_thread(mosquitto.stop)
            elif n == 250:
                await asyncio.to_thread(mosquitto.start)
            synced = False
            steps_ns += chance.choice((-1, 1)) * chance.randrange(TEN_YEARS_NS)
            message = Message("p/s", b'{"n":%d}' % n, clock.now_ns(), ttl_s=3600.0)
            assert uplink.offer(message)
            await asyncio.sleep(0.01)
        while uplink.statistics().outbox.settled < 400:
            await asyncio.sleep(0.01)
        stop.set()
        await running
        assert dict(uplink.statistics().outbox.dropped) == {}

    began = datetime.now(UTC)
    asyncio.run(asyncio.wait_for(story(), 120.0))
    listener.wait_for("edgeapp/dev/status", "stopped")  # which is said after all of them
    said = [json.loads(payload) for payload in listener.payloads("edgeapp/dev/p/s")]
    first = list({message["n"]: message for message in reversed(said)}.values())[::-1]
    assert {message["n"] for message in said} == set(range(400))
    assert [m["n"] for m in first if not m["replay"]] == sorted(
        m["n"] for m in first if not m["replay"]
    )
    assert {message["clock"] for message in said} == {"synced"}
    ended = datetime.now(UTC)
    times = {message["n"]: datetime.fromisoformat(message["time"]) for message in said}
    assert all(times[n] <= times[n + 1] for n in range(399))
    assert began - timedelta(seconds=1) <= times[0] <= times[399] <= ended
