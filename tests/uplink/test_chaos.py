"""A real broker behind a bad network, and an independent client that counts what arrives.

Whatever happens in between: nothing is lost, what comes twice has the same id, and first arrivals of
a topic are in order within each lane.
"""

import asyncio
import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from edgeapp.core.clock import MonotonicClock
from edgeapp.core.message import Message
from edgeapp.uplink.connection import Endpoint, Publication, Tls
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.traffic import WINDOW
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Listener, Mosquitto, free_port, wait_until
from tests.servers.proxy import Proxy
from tests.uplink.parts import ListLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOPICS = ("p/a", "p/b")


async def brief(event: asyncio.Event, seconds: float) -> None:
    """As the pause between connections, but over soon."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), min(seconds, 0.2))


class Device:
    """The uplink with its durable outbox, on an event loop in a thread of its own."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.log = ListLog()
        clock = MonotonicClock()
        topics, wall = Topics("dev"), WallClock(clock)
        self.outbox = DurableOutbox(
            folder, run=1, clock=clock, wall=wall, log=self.log, device="dev"
        )
        self.outbox.start()
        self.uplink = MqttUplink(
            topics,
            Sealer("dev", 1, wall),
            self.outbox,
            Connector(
                endpoint,
                client_id="edgeapp-dev",
                will=Publication(topics.status, b"offline", retain=True),
            ),
            log=self.log,
            clock=clock,
            chance=random.Random(1),
            pause=brief,
        )
        self.offered = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        wait_until(lambda: self.uplink.statistics().connected, "a connection")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self.uplink.run(self._stop)

    def offer(self, count: int, per_s: float = 1e9) -> None:
        """Offer messages to both topics in turns, evenly spaced."""
        began_s = time.monotonic()
        for n in range(count):
            topic = TOPICS[self.offered % len(TOPICS)]
            message = Message(topic, b'{"n":%d}' % self.offered, time.monotonic_ns())
            assert self.uplink.offer(message)
            self.offered += 1
            time.sleep(max(0.0, began_s + n / per_s - time.monotonic()))

    def settle(self) -> None:
        """Wait until the broker has all."""
        wait_until(
            lambda: self.uplink.statistics().outbox.settled >= self.offered,
            f"{self.offered} are settled",
            patience_s=200.0,  # what is suspected of being poison is looked at first, for minutes
        )


def until_all_are_here(device: Device, listener: Listener) -> None:
    """Wait for the listener, who hears of a message after the broker has acknowledged it."""

    def all_are_here() -> bool:
        return len(
            {a.payload.split('"', 4)[3] for a in listener.arrivals[:] if '"n"' in a.payload}
        ) == (device.offered)

    wait_until(all_are_here, f"{device.offered} arrive")


def check(device: Device, listener: Listener) -> None:
    """All arrived; duplicates have the same id and are few; order holds within each lane."""
    until_all_are_here(device, listener)
    number_of: dict[str, int] = {}
    count = 0
    for topic in TOPICS:
        lanes: dict[bool, list[int]] = {False: [], True: []}
        for arrival in [a for a in listener.arrivals if a.topic == f"edgeapp/dev/{topic}"]:
            message = json.loads(arrival.payload)
            count += not arrival.again
            if message["id"] not in number_of:
                lanes[message["replay"]].append(message["n"])
            assert number_of.setdefault(message["id"], message["n"]) == message["n"]
        assert lanes[False] == sorted(lanes[False])
        assert lanes[True] == sorted(lanes[True])
    assert sorted(number_of.values()) == list(range(device.offered))
    statistics = device.uplink.statistics()
    assert statistics.outbox.dropped == {}
    assert count - device.offered <= WINDOW * statistics.reconnects


@pytest.fixture
def network(mosquitto: Mosquitto) -> Iterator[Proxy]:
    with Proxy(mosquitto.port, seed=3) as proxy:
        yield proxy


@pytest.fixture
def device(network: Proxy, listener: Listener, tmp_path: Path) -> Iterator[Device]:
    """A device on the far side of the network; the listener is beside the broker."""
    assert listener.arrivals == []
    with Device(Endpoint("127.0.0.1", network.port, keepalive_s=5), tmp_path / "outbox") as found:
        yield found


def test_a_network_that_cuts_every_connection_loses_nothing(
    device: Device, network: Proxy, listener: Listener
) -> None:
    network.cut_every(0.1, 0.8)
    device.offer(2_000, per_s=400)
    network.delay(0.05)
    device.offer(1_000, per_s=400)
    wait_until(lambda: device.uplink.statistics().reconnects >= 5, "it is cut often")
    network.heal()
    device.settle()
    check(device, listener)


def test_a_network_that_stalls_then_cuts_loses_nothing_and_replays_what_is_old(
    device: Device, network: Proxy, listener: Listener
) -> None:
    """What is older than a few seconds when the connection returns is replayed, beside new ones."""
    device.offer(200)
    device.settle()
    network.stall()
    network.refuse()
    device.offer(2_000, per_s=1_000)
    time.sleep(6.0)
    network.heal()
    network.cut()
    device.offer(500, per_s=500)
    device.settle()
    check(device, listener)
    assert device.uplink.statistics().replayed > 1_500


def test_a_slow_network_loses_nothing(device: Device, network: Proxy, listener: Listener) -> None:
    network.slow(20_000)
    device.offer(600, per_s=400)
    network.slow(100_000)
    network.cut()
    device.settle()
    network.heal()
    check(device, listener)


def test_a_broker_that_is_paused_loses_nothing(
    device: Device, mosquitto: Mosquitto, listener: Listener
) -> None:
    for _ in range(3):
        device.offer(300, per_s=1_000)
        assert mosquitto._process is not None
        mosquitto._process.send_signal(signal.SIGSTOP)
        device.offer(300, per_s=1_000)
        mosquitto._process.send_signal(signal.SIGCONT)
    device.settle()
    check(device, listener)


def test_a_broker_that_is_killed_loses_nothing_of_ours(
    device: Device, network: Proxy, mosquitto: Mosquitto, listener: Listener
) -> None:
    """It is killed while it holds nothing that it acknowledged: that would be its own loss.

    And it knows its listener again before the device is back.
    """
    for _ in range(3):
        device.offer(300, per_s=1_000)
        device.settle()
        until_all_are_here(device, listener)
        assert mosquitto._process is not None
        mosquitto._process.send_signal(signal.SIGSTOP)
        device.offer(200, per_s=1_000)
        network.refuse()
        listener._subscribed.clear()
        mosquitto.stop(signal.SIGKILL)
        device.offer(100, per_s=1_000)
        mosquitto.start()
        assert listener._subscribed.wait(30.0)
        network.heal()
        device.settle()
    check(device, listener)


def test_a_broker_that_is_restarted_loses_nothing(
    device: Device, mosquitto: Mosquitto, listener: Listener
) -> None:
    for _ in range(3):
        device.offer(400, per_s=2_000)
        mosquitto.stop()
        device.offer(200, per_s=2_000)
        mosquitto.start()
        device.offer(100, per_s=2_000)
        device.settle()
    check(device, listener)


def test_bytes_that_are_corrupted_under_tls_cost_nothing(
    system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """Without TLS a corrupted message is another message: MQTT itself checks nothing."""
    authority = Authority(system_program("openssl", "openssl"), tmp_path / "ca")
    pair = authority.issue("broker")
    secure = free_port()
    more = (
        "allow_anonymous true",
        f"listener {secure} 127.0.0.1",
        f"certfile {pair.cert}",
        f"keyfile {pair.key}",
    )
    with (
        Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path, *more) as broker,
        Listener(
            system_program("mosquitto_sub", "mosquitto-clients"), broker.port, "edgeapp/#"
        ) as listener,
        Proxy(secure, seed=5) as network,
    ):
        endpoint = Endpoint("127.0.0.1", network.port, tls=Tls(ca=authority.cert), keepalive_s=5)
        with Device(endpoint, tmp_path / "outbox") as device:
            network.corrupt(30_000)
            device.offer(2_000, per_s=400)
            wait_until(
                lambda: (
                    network.told().corrupted >= 5 and device.uplink.statistics().reconnects >= 3
                ),
                "much of it is corrupted, as far as it was sent by now",
            )
            network.heal()
            device.settle()
            check(device, listener)
