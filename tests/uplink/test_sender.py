"""The uplink against a broker that exists only in the test. No sockets, no waiting."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.core.clock import FakeClock
from edgeapp.core.message import Message
from edgeapp.errors import Unavailable
from edgeapp.uplink import traffic
from edgeapp.uplink.connection import Connection, Publication
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.mqtt.reasons import CUT
from edgeapp.uplink.sender import DRAIN_S, OFTEN_S, SHORT_S, STABLE_S, MqttUplink, NullUplink
from edgeapp.uplink.traffic import WINDOW
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.uplink import virtual
from tests.uplink.parts import FakeBroker, ListLog
from tests.uplink.virtual import LoopClock, VirtualLoop


class Device:
    """An uplink with its broker, its clock and the pauses that it made."""

    def __init__(self, broker: FakeBroker, *, max_messages: int = 20_000) -> None:
        self.broker = broker
        self.clock = FakeClock()
        self.wall = WallClock(
            self.clock, boot="test", wall_ns=lambda: 0, synchronised=lambda: False
        )
        self.log = ListLog()
        self.pauses: list[float] = []
        self.outbox = MemoryOutbox(max_messages=max_messages)
        self.stop = asyncio.Event()
        self.uplink = MqttUplink(
            Topics("dev"),
            Sealer("dev", 1, self.wall),
            self.outbox,
            broker,
            log=self.log,
            clock=self.clock,
            chance=random.Random(1),
            pause=self.pause,
        )

    async def pause(self, event: asyncio.Event, seconds: float) -> None:
        """Let everyone run for a while; then, if the event did not come, the time has passed."""
        self.pauses.append(seconds)
        for _ in range(20):
            await asyncio.sleep(0)
            if event.is_set():
                return
        self.clock.advance(seconds)

    def offer(self, n: int, topic: str = "p/s") -> bool:
        return self.uplink.offer(Message(topic, b'{"n":%d}' % n, 0))

    async def settle_down(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    def numbers(self) -> list[int]:
        """What the broker got, over all connections, without the status."""
        return [n for c in self.broker.connections for n in numbers(c.sent)]


def numbers(sent: list[Publication]) -> list[int]:
    return [json.loads(p.payload)["n"] for p in sent if not p.topic.endswith("/status")]


def statuses(sent: list[Publication]) -> list[bytes]:
    return [p.payload for p in sent if p.topic == "edgeapp/dev/status" and p.retain]


def play(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20.0))


def test_messages_are_sealed_sent_in_order_and_settled() -> None:
    async def story() -> None:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        for n in range(50):
            assert device.offer(n)
        while device.uplink.statistics().outbox.settled < 50:
            await asyncio.sleep(0.001)
        device.stop.set()
        await running
        (connection,) = device.broker.connections
        assert numbers(connection.sent) == list(range(50))
        first = connection.sent[1]
        assert first.topic == "edgeapp/dev/p/s"
        assert json.loads(first.payload)["id"] == "dev/1/1"
        assert statuses(connection.sent) == [b"online", b"stopped"]

    play(story)


def test_no_more_than_the_window_is_in_flight() -> None:
    async def story() -> None:
        device = Device(FakeBroker(acknowledges=False))
        for n in range(100):
            device.offer(n)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        (connection,) = device.broker.connections
        for _ in range(100):
            assert len(connection.unacknowledged) <= WINDOW
            connection.acknowledge(3)
            await device.settle_down()
        assert numbers(connection.sent) == list(range(100))
        device.stop.set()
        connection.acknowledge()
        await device.settle_down()
        connection.acknowledge()
        await running

    play(story)


def test_acknowledgements_that_come_together_are_answered_by_one_batch() -> None:
    async def story() -> None:
        device = Device(FakeBroker(acknowledges=False))
        for n in range(60):
            device.offer(n)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        (connection,) = device.broker.connections
        connection.acknowledge()
        await device.settle_down()
        assert connection.batches == [1, WINDOW - 1, WINDOW]
        running.cancel()
        await asyncio.wait([running])

    play(story)


def test_the_window_of_the_broker_is_respected() -> None:
    async def story() -> None:
        device = Device(FakeBroker(acknowledges=False, receive_maximum=3))
        for n in range(10):
            device.offer(n)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        assert len(device.broker.connections[0].unacknowledged) == 3
        running.cancel()
        await asyncio.wait([running])

    play(story)


def test_a_broker_that_is_down_is_tried_again_with_full_jitter_up_to_a_minute() -> None:
    """Said once in the log, however often it fails."""

    async def story() -> None:
        device = Device(FakeBroker(down=12))
        running = asyncio.create_task(device.uplink.run(device.stop))
        while not device.broker.connections:
            await asyncio.sleep(0)
        await device.settle_down()
        device.stop.set()
        await running
        longest = [min(60.0, 2.0**n) for n in range(12)]
        assert len(device.pauses) >= 12
        for pause, most in zip(device.pauses, longest, strict=False):
            assert 0.0 <= pause <= most
        assert max(device.pauses) > 10.0
        assert [event for event, _ in device.log.events] == [
            "no connection to the broker, trying again",
            "broker reached",
        ]

    play(story)


def test_a_connection_that_never_holds_is_tried_ever_more_slowly() -> None:
    """As when two devices have one name, and each takes the connection from the other."""

    async def story(held_s: float) -> list[float]:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))
        for n in range(1, 13):
            while len(device.broker.connections) < n:
                await asyncio.sleep(0)
            await device.settle_down()
            device.clock.advance(held_s)
            device.broker.connections[-1].lose()
        while len(device.broker.connections) < 13:
            await asyncio.sleep(0)
        device.stop.set()
        await running
        return device.pauses[:12]

    assert max(asyncio.run(story(STABLE_S * 0.9))) > 10.0
    assert max(asyncio.run(story(STABLE_S))) <= 1.0


@pytest.mark.parametrize(
    ("held_s", "reason", "asked"),
    [
        (OFTEN_S * 0.9, CUT, 9),
        (OFTEN_S * 1.1, CUT, 0),
        (OFTEN_S * 0.9, "the broker shuts down", 0),
    ],
)
def test_connections_that_are_cut_again_and_again_ask_for_another_device_of_the_name(
    held_s: float, reason: str, asked: int
) -> None:
    """Some brokers hang up on the one of two without a word."""

    async def story() -> list[str]:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))
        for n in range(1, 13):
            while len(device.broker.connections) < n:
                await asyncio.sleep(0)
            await device.settle_down()
            device.clock.advance(held_s)
            device.broker.connections[-1].lost.set_result(reason)
        while len(device.broker.connections) < 13:
            await asyncio.sleep(0)
        device.stop.set()
        await running
        return [str(facts.get("problem")) for _event, facts in device.log.events]

    problems = asyncio.run(story())
    assert sum("another device of this name" in problem for problem in problems) == asked


def test_a_run_that_ends_before_the_connection_is_up_still_sends() -> None:
    async def story() -> None:
        device = Device(FakeBroker())
        device.offer(1)
        device.stop.set()
        await device.uplink.run(device.stop)
        assert device.numbers() == [1]
        assert device.uplink.statistics().outbox.settled == 1

    play(story)


def test_what_was_not_acknowledged_is_sent_again_with_the_same_id() -> None:
    async def story() -> None:
        broker = FakeBroker(acknowledges=False)
        device = Device(broker)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        for n in range(5):
            device.offer(n)
        await device.settle_down()
        broker.connections[0].acknowledge(3)  # the status, 0 and 1
        broker.acknowledges = True
        broker.connections[0].lose()
        while len(broker.connections) < 2:
            await asyncio.sleep(0)
        device.offer(5)
        while device.uplink.statistics().outbox.settled < 6:
            await asyncio.sleep(0.001)
        device.stop.set()
        await running
        first, second = broker.connections
        assert numbers(first.sent) == [0, 1, 2, 3, 4]
        assert numbers(second.sent) == [2, 3, 4, 5]
        ids = {
            json.loads(p.payload)["id"]
            for c in broker.connections
            for p in c.sent
            if b"{" in p.payload
        }
        assert len(ids) == 6
        assert statuses(second.sent)[0] == b"online"

    play(story)


def test_a_new_connection_begins_with_an_empty_window() -> None:
    async def story() -> None:
        broker = FakeBroker(acknowledges=False)
        device = Device(broker)
        for n in range(3 * WINDOW):
            device.offer(n)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        broker.connections[0].lose()
        while len(broker.connections) < 2:
            await asyncio.sleep(0)
        await device.settle_down()
        assert broker.connections[1].batches == [1, WINDOW - 1]
        running.cancel()
        await asyncio.wait([running])

    play(story)


def test_a_message_that_the_broker_refuses_blocks_nothing() -> None:
    async def story() -> None:
        broker = FakeBroker(acknowledges=False)
        device = Device(broker)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        (connection,) = broker.connections
        connection.acknowledge()
        device.offer(0)
        await device.settle_down()
        connection.acknowledge(refused="Not authorized")
        broker.connections[0].on_send = connection.acknowledge
        statistics = device.uplink.statistics().outbox
        assert (statistics.dropped, statistics.in_flight) == ({"refused": 1}, 0)
        running.cancel()
        await asyncio.wait([running])

    play(story)


def test_a_message_larger_than_the_broker_takes_is_dropped_and_blocks_nothing() -> None:
    async def story() -> None:
        device = Device(FakeBroker(max_packet_bytes=200))
        device.uplink.offer(Message("p/s", b'{"n":' + b"1" * 200 + b"}", 0))
        device.offer(2)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        device.stop.set()
        await running
        assert device.numbers() == [2]
        assert device.uplink.statistics().outbox.dropped == {"refused": 1}

    play(story)


def test_a_stop_waits_for_acknowledgements_but_not_for_ever() -> None:
    async def story() -> None:
        device = Device(FakeBroker(acknowledges=False))
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        for n in range(30):
            device.offer(n)
        device.stop.set()
        await running
        statistics = device.uplink.statistics()
        assert sum(device.pauses) <= DRAIN_S * 1.01
        assert statistics.outbox.dropped == {"stopped": 30}
        assert not statistics.connected
        assert device.log.events[-1] == (
            "messages dropped: not sent before the stop",
            {"count": 30},
        )

    play(story)


def test_the_last_word_is_told_also_where_the_window_of_the_broker_is_full() -> None:
    async def story() -> None:
        device = Device(FakeBroker(acknowledges=False, receive_maximum=3))
        for n in range(10):
            device.offer(n)
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        device.stop.set()
        await running
        (connection,) = device.broker.connections
        assert len(connection.unacknowledged) == 3
        assert (connection.sent[-1].payload, connection.sent[-1].qos) == (b"stopped", 0)
        assert statuses(connection.sent) == [b"online", b"stopped"]

    play(story)


def test_a_stop_while_the_broker_is_down_is_a_stop() -> None:
    async def story() -> None:
        device = Device(FakeBroker(down=10**9))
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        device.offer(1)
        device.stop.set()
        await running
        assert device.uplink.statistics().outbox.dropped == {"stopped": 1}
        assert not device.offer(2)

    play(story)


class OnDisk(MemoryOutbox):
    """What waits in it is safe."""

    lasts = True

    def close(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("kind", "stopped_after_s", "longest_s"),
    [(OnDisk, 0.5, SHORT_S), (OnDisk, 60.0, 0.0), (MemoryOutbox, 60.0, DRAIN_S)],
)
def test_a_stop_waits_for_a_silent_broker_only_where_messages_would_be_lost(
    kind: type[MemoryOutbox], stopped_after_s: float, longest_s: float
) -> None:
    """But a second for the first connection, as a short run is not yet connected."""
    attempts = iter((20.0, 1000.0))

    async def silent(*_: object, **__: object) -> Connection:
        await asyncio.sleep(next(attempts))
        raise Unavailable("no answer")

    async def story(loop: VirtualLoop) -> None:
        clock = LoopClock(loop)
        wall = WallClock(clock, boot="test", wall_ns=lambda: 0, synchronised=lambda: False)
        outbox, stop = kind(clock=clock), asyncio.Event()
        uplink = MqttUplink(
            Topics("dev"),
            Sealer("dev", 1, wall),
            outbox,
            silent,
            log=ListLog(),
            clock=clock,
            chance=random.Random(1),
        )
        running = asyncio.create_task(uplink.run(stop))
        outbox.put(Message("p/s", b"{}", 0))
        await asyncio.sleep(stopped_after_s)
        stop.set()
        before_s = loop.time()
        await running
        assert loop.time() - before_s == pytest.approx(longest_s, abs=1e-6)

    virtual.play(story)


def test_offers_of_many_threads_all_arrive_each_thread_in_order() -> None:
    async def story() -> None:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))

        def lane(name: int) -> None:
            for n in range(200):
                device.offer(n, topic=f"p/{name}")

        lanes = [threading.Thread(target=lane, args=(name,)) for name in range(4)]
        for thread in lanes:
            thread.start()
        while device.uplink.statistics().outbox.settled < 800:
            await asyncio.sleep(0.001)
        device.stop.set()
        await running
        for thread in lanes:
            thread.join()
        (connection,) = device.broker.connections
        for name in range(4):
            mine = [p for p in connection.sent if p.topic == f"edgeapp/dev/p/{name}"]
            assert numbers(mine) == list(range(200))

    play(story)


def test_many_offers_wake_the_loop_once() -> None:
    """A lane that offers faster than the loop runs costs the loop one batch, not one each."""

    async def story() -> None:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))
        await device.settle_down()
        (connection,) = device.broker.connections
        for n in range(10):
            device.offer(n)
        while device.uplink.statistics().outbox.settled < 10:
            await asyncio.sleep(0.001)
        assert connection.batches == [1, 10]
        device.stop.set()
        await running

    play(story)


def test_at_a_high_rate_messages_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first goes at once; those that follow closely wait for each other."""
    monkeypatch.setattr(traffic, "LINGER_S", 0.5)

    async def story(_loop: VirtualLoop) -> None:
        device = Device(FakeBroker())
        running = asyncio.create_task(device.uplink.run(device.stop))
        await asyncio.sleep(1.0)  # nothing was sent for a while
        for n in range(4):
            device.offer(n)
            await device.settle_down()
        while device.uplink.statistics().outbox.settled < 4:
            await asyncio.sleep(0.001)
        assert device.broker.connections[0].batches == [1, 1, 3]
        device.stop.set()
        await running

    virtual.play(story)


events = st.lists(st.sampled_from(("offer", "offer", "acknowledge", "lose", "run")), max_size=40)


@settings(max_examples=60, deadline=None)
@given(events)
def test_nothing_is_lost_and_order_is_kept_whatever_the_broker_does(script: list[str]) -> None:
    """Offered = settled + dropped + waiting + in flight; first arrivals are in order."""

    async def story(_loop: VirtualLoop) -> None:
        device = Device(FakeBroker(acknowledges=False), max_messages=12)
        running = asyncio.create_task(device.uplink.run(device.stop))
        offered = 0
        for step in script:
            connections = device.broker.connections
            if step == "offer":
                device.offer(offered)
                offered += 1
            elif step == "acknowledge" and connections:
                connections[-1].acknowledge(2)
            elif step == "lose" and connections:
                connections[-1].lose()
            else:
                await device.settle_down()
            s = device.uplink.statistics().outbox
            assert s.offered == s.settled + sum(s.dropped.values()) + s.waiting + s.in_flight
        await device.settle_down()
        device.broker.acknowledges = True
        if device.broker.connections:
            device.broker.connections[-1].lose()
        while (
            device.uplink.statistics().outbox.waiting + device.uplink.statistics().outbox.in_flight
        ):
            await asyncio.sleep(0.01)
        device.stop.set()
        await running
        arrived = list(dict.fromkeys(device.numbers()))
        assert arrived == sorted(arrived)
        s = device.uplink.statistics().outbox
        assert len(arrived) >= s.settled == offered - sum(s.dropped.values())
        assert set(s.dropped) <= {"full"}

    virtual.play(story)


def test_without_a_broker_messages_are_sealed_and_offers_counted() -> None:
    clock = FakeClock()
    uplink = NullUplink(Sealer("dev", 1, WallClock(clock)), MemoryOutbox(), clock)
    ids = [json.loads(uplink.seal(Message("a", b'{"n":1}', 0)))["id"] for _ in range(2)]
    assert ids == ["dev/1/1", "dev/1/2"]
    assert not uplink.offer(Message("a", b'{"n":1}', 0))
    assert uplink.statistics().outbox.dropped == {"stopped": 1}


@pytest.mark.parametrize("module", ["edgeapp.uplink.sender", "edgeapp.uplink.tap"])
def test_aiomqtt_is_loaded_only_by_the_client(module: str) -> None:
    import subprocess
    import sys

    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('aiomqtt', 'paho', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_who_subscribes_while_a_connection_is_being_made_hears_of_it_too() -> None:
    """Commands and discovery begin beside the uplink: their topics come at any moment."""

    async def story() -> None:
        broker = FakeBroker()
        device = Device(broker)
        heard: list[str] = []
        device.uplink.subscribe("a/before", lambda message: heard.append(message.topic))
        running = asyncio.create_task(device.uplink.run(device.stop))
        while not broker.attempts:
            await asyncio.sleep(0)
        assert not broker.connections
        device.uplink.subscribe("a/meanwhile", lambda message: heard.append(message.topic))
        await device.settle_down()
        device.uplink.subscribe("a/after", lambda message: heard.append(message.topic))
        await device.settle_down()
        (connection,) = broker.connections
        assert sorted(set(connection.filters)) == ["a/after", "a/before", "a/meanwhile"]
        device.stop.set()
        await running

    play(story)
