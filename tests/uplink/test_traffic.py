"""What goes over connections, in which order, on an event loop whose time jumps."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edgeapp.core.message import Message
from edgeapp.uplink.connection import Publication, Received, Refusal
from edgeapp.uplink.refusals import ATTEMPTS
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.traffic import WINDOW
from tests.uplink.parts import ListLog
from tests.uplink.virtual import LoopClock, SimulatedBroker, VirtualLoop, make_uplink, play

STATUS = "edgeapp/dev/status"
DAY_S = 86_400.0


@asynccontextmanager
async def running(uplink: MqttUplink) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(uplink.run(stop))
    yield
    stop.set()
    await task


def offer(uplink: MqttUplink, loop: VirtualLoop, n: int, **more: Any) -> None:
    topic = more.pop("topic", "p/s")
    uplink.offer(Message(topic, b'{"n":%d}' % n, LoopClock(loop).now_ns(), **more))


def messages(publications: list[Publication]) -> list[dict[str, Any]]:
    return [json.loads(p.payload) for p in publications if p.payload.startswith(b'{"id"')]


def test_after_days_without_a_broker_what_waited_is_replayed_beside_what_happens() -> None:
    """Live messages are as quick as ever; each lane is in order; one window holds both."""

    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        broker.up = False
        uplink = make_uplink(loop, broker)
        async with running(uplink):
            for n in range(1_000):
                offer(uplink, loop, n)
                await asyncio.sleep(2 * DAY_S / 1_000)
            broker.up = True
            while not uplink.statistics().connected:
                await asyncio.sleep(1.0)
            offered_s: dict[int, float] = {}
            for n in range(1_000, 1_200):
                offered_s[n] = loop.now_s
                offer(uplink, loop, n)
                await asyncio.sleep(0.1)
            while uplink.statistics().outbox.settled < 1_200:
                await asyncio.sleep(0.1)
            statistics = uplink.statistics()
        arrived = [(at_s, json.loads(p.payload)) for at_s, p in broker.got if p.topic != STATUS]
        live = [m["n"] for _, m in arrived if not m["replay"]]
        replayed = [m["n"] for _, m in arrived if m["replay"]]
        assert live == list(range(1_000, 1_200))
        assert replayed == list(range(1_000))
        assert statistics.replayed == 1_000
        assert statistics.replay_per_s > 1.0
        # Never later than behind one burst of half a window.
        late = [at_s - offered_s[m["n"]] for at_s, m in arrived if not m["replay"]]
        assert max(late) <= 0.05 / 2 + (WINDOW // 2 + 1) * broker.each_s
        assert broker.most_in_flight <= WINDOW

    play(story)


def test_an_old_state_that_is_replayed_does_not_overwrite_a_newer_one() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        broker.up = False
        uplink = make_uplink(loop, broker)
        async with running(uplink):
            for n in range(5):
                offer(uplink, loop, n, retain=True)
            await asyncio.sleep(60.0)
            broker.up = True
            while uplink.statistics().outbox.settled < 5:
                await asyncio.sleep(1.0)
        sent = [(json.loads(p.payload)["n"], p.retain) for _, p in broker.got if p.topic != STATUS]
        assert sorted(sent) == [(0, False), (1, False), (2, False), (3, False), (4, True)]

    play(story)


def test_a_connection_begins_with_the_status_then_states_then_messages() -> None:
    """States that were acknowledged come again under their own ids, at every connection."""

    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        uplink = make_uplink(loop, broker)
        uplink.hold(Message("p/state", b'{"n":1}', 0))
        uplink.hold_raw("homeassistant/device/dev/config", b"config")
        async with running(uplink):
            offer(uplink, loop, 2, topic="p/retained", retain=True)
            offer(uplink, loop, 3)
            await asyncio.sleep(1.0)
            first = [p for _, p in broker.got]
            broker.got.clear()
            broker.cut()
            offer(uplink, loop, 4)
            await asyncio.sleep(5.0)
            second = [p for _, p in broker.got]
        topics = [p.topic.removeprefix("edgeapp/dev/") for p in first]
        config = "homeassistant/device/dev/config"
        assert topics == ["status", "p/state", config, "p/retained", "p/s"]
        again = [p.topic.removeprefix("edgeapp/dev/") for p in second]
        assert again == ["status", "p/state", config, "p/retained", "p/s"]
        assert [p.retain for p in second] == [True, True, True, True, False]
        ids = [message["id"] for message in messages(first)]
        assert [message["id"] for message in messages(second)][:2] == ids[:2]

    play(story)


def test_what_is_let_go_is_emptied_once_also_when_that_was_said_offline() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        broker.up = False
        uplink = make_uplink(loop, broker)
        uplink.hold_raw("a/b", b"x")
        uplink.let_go("a/b")
        async with running(uplink):
            broker.up = True
            await asyncio.sleep(10.0)
            broker.cut()
            await asyncio.sleep(10.0)
        assert [(p.payload, p.retain) for _, p in broker.got if p.topic == "a/b"] == [(b"", True)]

    play(story)


def test_too_many_states_are_not_sent_and_said_in_one_line() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker, log = SimulatedBroker(), ListLog()
        uplink = make_uplink(loop, broker, log)
        for n in range(3_000):
            uplink.hold_raw(f"a/{n}", b"x")
        async with running(uplink):
            await asyncio.sleep(60.0)
            assert uplink.statistics().held == 2_000
        told = [facts for event, facts in log.events if event.startswith("state not sent")]
        assert [facts["count"] for facts in told] == [1, 999]
        assert sum(p.topic.startswith("a/") for _, p in broker.got) == 2_000

    play(story)


def test_a_broker_that_has_enough_is_left_alone_for_a_while_and_order_is_kept() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker, log = SimulatedBroker(), ListLog()
        enough = Refusal("Quota exceeded", for_good=False)
        broker.refuses = lambda p: enough if loop.now_s < 20.0 and p.topic != STATUS else None
        uplink = make_uplink(loop, broker, log)
        async with running(uplink):
            for n in range(10):
                offer(uplink, loop, n)
            while uplink.statistics().outbox.settled < 10:
                await asyncio.sleep(1.0)
            statistics = uplink.statistics()
        assert [m["n"] for m in messages([p for _, p in broker.got])] == list(range(10))
        assert 10 <= statistics.retries <= 60
        assert loop.now_s < 90.0
        pauses = [facts for event, facts in log.events if event.startswith("the broker takes no")]
        assert len(pauses) == 2

    play(story)


def test_a_message_that_is_never_taken_is_refused_after_some_attempts() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        no = Refusal("Unspecified error", for_good=False)
        broker.refuses = lambda p: no if p.payload.endswith(b'"n":1}') else None
        uplink = make_uplink(loop, broker)
        async with running(uplink):
            for n in range(3):
                offer(uplink, loop, n)
            await asyncio.sleep(1_000.0)
            statistics = uplink.statistics()
        assert statistics.outbox.dropped == {"refused": 1}
        assert (statistics.retries, statistics.refused) == (ATTEMPTS - 1, 1)
        assert [m["n"] for m in messages([p for _, p in broker.got])] == [0, 2]

    play(story)


def test_a_flood_of_refusals_is_a_few_lines_with_a_count() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker, log = SimulatedBroker(), ListLog()
        no = Refusal("Not authorized", for_good=True)
        broker.refuses = lambda p: None if p.topic == STATUS else no
        uplink = make_uplink(loop, broker, log)
        async with running(uplink):
            for n in range(1_000):
                offer(uplink, loop, n)
            await asyncio.sleep(30.0)
        told = [
            facts["count"] for event, facts in log.events if event.startswith("message dropped")
        ]
        assert told == [1, 999]
        assert uplink.statistics().outbox.dropped == {"refused": 1_000}

    play(story)


def test_answers_are_sent_now_or_never() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        uplink = make_uplink(loop, broker)
        assert not uplink.tell("answers/1", b"lost")
        async with running(uplink):
            await asyncio.sleep(1.0)
            assert uplink.tell("answers/1", b"found")
            assert not uplink.tell("answers/1", b"x" * (2 << 20))
            await asyncio.sleep(1.0)
            broker.cut()
            await asyncio.sleep(5.0)
        answers = [(p.payload, p.retain) for _, p in broker.got if p.topic == "answers/1"]
        assert answers == [(b"found", False)]

    play(story)


def test_subscriptions_are_made_at_every_connection() -> None:
    """Before the first one, while connected, and again; a handler that raises ends nothing."""

    async def story(loop: VirtualLoop) -> None:
        broker, heard = SimulatedBroker(), list[bytes]()
        uplink = make_uplink(loop, broker)

        def hear(message: Received) -> None:
            heard.append(message.payload)
            raise ValueError("a bug")

        uplink.subscribe("a/+", hear)
        async with running(uplink):
            await asyncio.sleep(1.0)
            uplink.subscribe("b/#", hear)
            await asyncio.sleep(1.0)
            assert broker.filters == ["a/+", "b/#"]
            assert broker.on_message is not None
            broker.on_message(Received("b/c", b"on", retain=False))
            broker.cut()
            await asyncio.sleep(5.0)
            assert broker.filters == ["a/+", "b/#", "a/+", "b/#"]
            assert uplink.statistics().connected
        assert heard == [b"on"]

    play(story)


def test_an_uplink_that_crashed_goes_on_where_it_was_when_it_is_run_again() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        uplink = make_uplink(loop, broker)
        offer(uplink, loop, 1)
        stop = asyncio.Event()
        seal = uplink._sealer.seal
        uplink._sealer.seal = None  # type: ignore[method-assign, assignment]  # a bug
        crashed = (await asyncio.gather(uplink.run(stop), return_exceptions=True))[0]
        assert isinstance(crashed, TypeError)
        uplink._sealer.seal = seal  # type: ignore[method-assign]
        async with running(uplink):
            await asyncio.sleep(1.0)
        assert uplink.statistics().outbox.settled == 1
        assert [m["n"] for m in messages([p for _, p in broker.got])] == [1]

    play(story)
