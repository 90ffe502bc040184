"""Poison messages, told apart from bad networks."""

import asyncio
import json
import random
from collections.abc import Callable

import pytest

from edgeapp.core.message import Message
from edgeapp.uplink.connection import Publication
from edgeapp.uplink.suspects import STRIKES
from tests.uplink.virtual import SimulatedBroker, VirtualLoop, make_uplink, play

PERIODS = {
    "at random, 0.1 to 3 s": lambda chance: chance.uniform(0.1, 3.0),
    "at random, 0.1 to 20 s": lambda chance: chance.uniform(0.1, 20.0),
    "after an exponential time": lambda chance: chance.expovariate(0.2),
    "always after 4 s": lambda _: 4.0,
    "always after 40 s": lambda _: 40.0,
}


def is_poison(publication: Publication) -> bool:
    return publication.payload.endswith(b'"n":7}')


def test_a_message_that_ends_every_connection_becomes_a_dead_letter_and_the_rest_arrives() -> None:
    """All others once at least, in their order; the poison is never acknowledged."""

    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        broker.hangs_up_on = is_poison
        uplink = make_uplink(loop, broker)
        stop = asyncio.Event()
        for n in range(60):
            uplink.offer(Message("p/s", b'{"n":%d}' % n, 0))
        running = asyncio.create_task(uplink.run(stop))
        while uplink.statistics().outbox.settled < 59:
            await asyncio.sleep(1.0)
            assert loop.now_s < 3600.0
        stop.set()
        await running
        arrived = [json.loads(payload)["n"] for payload in broker.payloads("p/s")]
        assert list(dict.fromkeys(arrived)) == [n for n in range(60) if n != 7]
        assert uplink.statistics().outbox.dropped == {"refused": 1}
        assert len(broker.links) >= STRIKES

    play(story)


def test_a_held_state_that_ends_every_connection_is_given_up() -> None:
    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker()
        broker.hangs_up_on = lambda publication: publication.topic == "homeassistant/x/config"
        uplink = make_uplink(loop, broker)
        uplink.hold_raw("homeassistant/x/config", b"{}")
        uplink.offer(Message("p/s", b'{"n":1}', 0))
        stop = asyncio.Event()
        running = asyncio.create_task(uplink.run(stop))
        while not broker.payloads("p/s"):
            await asyncio.sleep(1.0)
            assert loop.now_s < 3600.0
        stop.set()
        await running
        assert uplink.statistics().held == 0

    play(story)


@pytest.mark.slow
@pytest.mark.parametrize("round_trip_s", [0.001, 0.2, 1.0])
@pytest.mark.parametrize("period", PERIODS.values(), ids=PERIODS)
def test_a_network_that_is_merely_cut_never_costs_a_message(
    period: Callable[[random.Random], float], round_trip_s: float
) -> None:
    """Seven hours of it, with a message every few seconds: nothing is refused, and messages arrive."""

    async def story(loop: VirtualLoop) -> None:
        broker = SimulatedBroker(round_trip_s=round_trip_s)
        chance = random.Random(5)
        uplink = make_uplink(loop, broker)
        stop = asyncio.Event()
        running = asyncio.create_task(uplink.run(stop))

        async def cut() -> None:
            while True:
                await asyncio.sleep(period(chance))
                broker.cut()

        cutting = asyncio.create_task(cut())
        for n in range(2_500):
            uplink.offer(Message("p/s", b'{"n":%d}' % n, 0))
            await asyncio.sleep(10.0)
        cutting.cancel()
        while uplink.statistics().outbox.settled < 2_500:
            await asyncio.sleep(10.0)
            assert loop.now_s < 200_000.0
        stop.set()
        await running
        lanes: dict[bool, list[int]] = {False: [], True: []}
        seen: set[int] = set()
        for message in map(json.loads, broker.payloads("p/s")):
            if message["n"] not in seen:
                lanes[message["replay"]].append(message["n"])
                seen.add(message["n"])
        assert seen == set(range(2_500))
        assert all(lane == sorted(lane) for lane in lanes.values())
        assert uplink.statistics().outbox.dropped == {}

    play(story)
