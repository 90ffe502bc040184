"""A week without a broker: a million messages through the real store, then a real broker."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock, MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.uplink.connection import Endpoint
from edgeapp.uplink.disk.journal import DiskLimits
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.servers.mosquitto import Listener, Mosquitto, wait_until
from tests.uplink.outboxes import FAST, check_sum, outbox
from tests.uplink.parts import ListLog

DAYS = 7
A_DAY = 2_860  # bursts of 50 messages, half a minute apart
BURST = 50
QUOTAS = DiskLimits(500_000, 4_000_000, 1_000_000, 0)
LOG_BYTES = 10 * 1024 * 1024  # of the database: four MB, and what one commit may add
CLASSES: tuple[Priority, ...] = (*("normal",) * 8, "bulk", "critical")


def memory_bytes() -> int:
    """Of this process, resident."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def offline(folder: Path) -> tuple[Counter[str], DurableOutbox]:
    """Live through the week; what was put, by class, and the outbox at its end."""
    clock = FakeClock(10**12)
    box = outbox(folder, clock, limits=QUOTAS, max_messages=4_000, max_bytes=4_000_000)
    put: Counter[str] = Counter()
    memory: list[int] = []
    largest = 0
    for _ in range(DAYS):
        for burst in range(A_DAY):
            for n in range(BURST):
                priority = CLASSES[n % len(CLASSES)]
                put[priority] += 1
                body = b'{"n":%d%b}' % (put[priority], b" " * 170)
                box.put(Message(f"{priority}/s", body, clock.now_ns(), priority))
            clock.advance(86_400 / A_DAY)
            box.step()
            if burst % 500 == 0:
                size = sum(file.stat().st_size for file in folder.iterdir())
                largest = max(largest, size)
                assert size < 1.1 * (500_000 + 4_000_000 + 1_000_000) + LOG_BYTES
                check_sum(box.statistics())
        memory.append(memory_bytes())
    print(
        f"\n{put.total():,} messages, {box.statistics().waiting:,} waiting at the end, the others "
        f"told as gaps; memory {(max(memory[1:]) - memory[0]) / 1e6:+.1f} MB after the first day, "
        f"disk at most {largest / 1e6:.1f} MB of quotas of 5.5 MB and the log"
    )
    # The first day fills the quotas and the lanes; after it nothing grows.
    assert max(memory[1:]) < memory[0] + 4_000_000
    return put, box


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_week_of_messages_waits_within_its_bounds_and_is_replayed(
    tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    folder = (FAST if FAST.is_dir() else tmp_path) / f"edgeapp-week-{mosquitto.port}"
    folder.mkdir()
    try:
        put, box = offline(folder)
        assert put.total() > 1_000_000
        before = box.statistics()
        assert before.problem == ""
        assert before.committed == put.total()
        assert box.close() == 0
        asyncio.run(replay(folder, mosquitto.port))
        check(listener, put, before.waiting)
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


async def replay(folder: Path, port: int) -> None:
    """The device is back, after a reboot, and so is its broker."""
    clock = MonotonicClock()
    wall = WallClock(clock, boot="boot-2")
    box = DurableOutbox(
        folder, run=2, clock=clock, wall=wall, log=ListLog(), device="dev", limits=QUOTAS
    )
    box.start()
    uplink = MqttUplink(
        Topics("dev"),
        Sealer("dev", 2, wall),
        box,
        Connector(Endpoint("127.0.0.1", port), client_id="dev"),
        log=ListLog(),
        clock=clock,
        chance=random.Random(1),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(uplink.run(stop))
    while not (now := box.statistics()).settled or now.waiting or now.in_flight:
        await asyncio.sleep(0.2)
    stop.set()
    await running
    check_sum(box.statistics())
    assert box.statistics().dropped == {}


def check(listener: Listener, put: Counter[str], waited: int) -> None:
    """Of each class, what is missing is the beginning, and one message says so exactly."""
    topics = {priority: f"edgeapp/dev/{priority}/s" for priority in put}
    wait_until(
        lambda: sum(len(listener.payloads(topic)) for topic in topics.values()) >= waited,
        "all have arrived",
    )
    listener.wait_for("edgeapp/dev/status", "stopped")  # said last, after the gaps
    gaps = {gap["priority"]: gap for gap in map(json.loads, listener.payloads("edgeapp/dev/gap"))}
    assert len(listener.payloads("edgeapp/dev/gap")) == len(gaps) == len(put)
    for priority, topic in topics.items():
        arrived = [json.loads(payload) for payload in listener.payloads(topic)]
        assert all(message["replay"] for message in arrived)
        numbers = [message["n"] for message in arrived]
        missing = gaps[priority]["count"]
        assert numbers == list(range(missing + 1, put[priority] + 1)), priority
        last = int(gaps[priority]["last"].split("/")[2])
        assert last < int(arrived[0]["id"].split("/")[2])
        assert gaps[priority]["reason"] == "full"
