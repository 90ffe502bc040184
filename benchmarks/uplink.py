"""The uplink against bare aiomqtt, and live messages beside a replay; a real mosquitto.

python -m benchmarks.uplink
"""

import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.compare import Reading, Row, alternate, spread, worker
from edgeapp.core.clock import MonotonicClock
from edgeapp.core.message import Message
from edgeapp.uplink.connection import Endpoint, Publication
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.outbox import FRESH_S, Key
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.traffic import WINDOW
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics
from tests.servers.mosquitto import Mosquitto

MESSAGES = 15_000
BACKLOG = 100_000
PHASE_S = 3.0
LIVE_PER_S = 100.0
BODY = json.dumps({"schema": "bench", "values": {f"x{n}.rms": 1.2345 for n in range(12)}}).encode()


def rows() -> list[Row]:
    """Throughput and live latency, with their bounds."""
    with _mosquitto() as port:
        pairs = alternate(["uplink", "ours", port], ["uplink", "bare", port])
        ratio = statistics.median(ours["per_s"] / bare["per_s"] for ours, bare in pairs)
        replay = worker("uplink", "replay", port, BACKLOG)
    ours_per_s = statistics.median(ours["per_s"] for ours, _ in pairs)
    return [
        Row(
            f"settled QoS 1 messages/s, window {WINDOW}, against bare aiomqtt",
            ">= 0.80x",
            f"{ratio:.2f}x",
            ratio >= 0.8,
            f"{ours_per_s:,.0f}/s; {spread(pairs, 'per_s')}",
        ),
        Row(
            f"live p99 during a replay of {BACKLOG:,}, against idle",
            "<= 1.50x",
            f"{replay['p99_ratio']:.2f}x",
            replay["p99_ratio"] <= 1.5,
            f"idle {replay['idle_p99_ms']:.2f} ms, median ratio {replay['p50_ratio']:.2f}x, "
            f"{replay['replay_per_s']:,.0f} replayed/s, {replay['phases']} pairs of phases",
        ),
    ]


@contextmanager
def _mosquitto() -> Iterator[int]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise RuntimeError("mosquitto is not installed")
    with tempfile.TemporaryDirectory() as folder, Mosquitto(program, Path(folder)) as broker:
        yield broker.port


class _Timed(MemoryOutbox):
    """Notes how long each live message took from its capture to its acknowledgement."""

    def __init__(self, **bounds: int) -> None:
        super().__init__(max_messages=200_000, max_bytes=256 * 1024 * 1024)
        self.took_ms: list[float] = []
        self._since_ns: dict[Key, int] = {}

    def take(self, limit: int) -> list[Any]:
        """Note when each began."""
        entries = super().take(limit)
        for entry in entries:
            self._since_ns[entry.key] = entry.message.taken_ns
        return entries

    def settle(self, key: Key) -> None:
        """Note when each ended."""
        super().settle(key)
        since_ns = self._since_ns.pop(key, None)
        if since_ns is not None:
            self.took_ms.append((time.monotonic_ns() - since_ns) / 1e6)


def _uplink(port: int, outbox: MemoryOutbox) -> MqttUplink:
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    clock = MonotonicClock()
    topics = Topics("bench")
    will = Publication(topics.status, b"offline", retain=True)
    return MqttUplink(
        topics,
        Sealer("bench", 1, WallClock(clock)),
        outbox,
        Connector(Endpoint("127.0.0.1", port), client_id="edgeapp-bench", will=will),
        log=structlog.get_logger(),
        clock=clock,
        chance=random.Random(1),
    )


def _offer(uplink: MqttUplink, count: int) -> None:
    for _ in range(count):
        uplink.offer(Message("p/s", BODY, time.monotonic_ns()))


async def _ours(port: int) -> Reading:
    """All messages through the uplink, offered by another thread."""
    uplink = _uplink(port, MemoryOutbox())
    stop = asyncio.Event()
    running = asyncio.create_task(uplink.run(stop))
    while not uplink.statistics().connected:  # noqa: ASYNC110  there is no event of it
        await asyncio.sleep(0.01)
    began_s = time.perf_counter()
    await asyncio.to_thread(_offer, uplink, MESSAGES)
    while uplink.statistics().outbox.settled < MESSAGES:  # noqa: ASYNC110  there is no event of it
        await asyncio.sleep(0.005)
    took_s = time.perf_counter() - began_s
    stop.set()
    await running
    return {"per_s": MESSAGES / took_s}


async def _bare(port: int) -> Reading:
    """As many messages by aiomqtt, as many of them at a time."""
    import aiomqtt

    waiting = iter(range(MESSAGES))

    async def publish(client: aiomqtt.Client) -> None:
        for _ in waiting:
            await client.publish("edgeapp/bench/p/s", BODY, qos=1)

    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, max_inflight_messages=WINDOW
    ) as client:
        client.pending_calls_threshold = WINDOW  # or it says at each message that they are many
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(WINDOW):
                group.create_task(publish(client))
        return {"per_s": MESSAGES / (time.perf_counter() - began_s)}


async def _replay(port: int, backlog: int) -> Reading:
    """Live messages at random instants, in phases with and without a replay, to its end."""
    outbox = _Timed()
    uplink = _uplink(port, outbox)
    _offer(uplink, backlog)
    await asyncio.sleep(FRESH_S + 0.5)
    stop, over = asyncio.Event(), threading.Event()
    running = asyncio.create_task(uplink.run(stop))
    while not uplink.statistics().connected:  # noqa: ASYNC110  there is no event of it
        await asyncio.sleep(0.01)
    traffic = uplink._traffic  # noqa: SLF001  there is no other way to pause a replay
    assert traffic is not None
    lane = threading.Thread(target=_live, args=(uplink, over))
    lane.start()
    phases: dict[bool, list[list[float]]] = {True: [], False: []}
    replayed, replaying_s = 0, 0.0
    while backlog - uplink.statistics().replayed > 2 * WINDOW:
        for replays in (True, False):
            traffic.replays = replays
            traffic.pump()
            outbox.took_ms.clear()
            before, began_s = uplink.statistics().replayed, time.perf_counter()
            await asyncio.sleep(PHASE_S)
            if replays:
                replayed += uplink.statistics().replayed - before
                replaying_s += time.perf_counter() - began_s
            phases[replays].append(list(outbox.took_ms))
    over.set()
    await asyncio.to_thread(lane.join)
    stop.set()
    await running
    pairs = list(zip(phases[True][:-1], phases[False][:-1], strict=True))  # the last was cut short
    return {
        "p99_ratio": statistics.median(_p(99, busy) / _p(99, idle) for busy, idle in pairs),
        "p50_ratio": statistics.median(_p(50, busy) / _p(50, idle) for busy, idle in pairs),
        "idle_p99_ms": statistics.median(_p(99, idle) for _, idle in pairs),
        "replay_per_s": replayed / replaying_s,
        "phases": len(pairs),
    }


def _live(uplink: MqttUplink, over: threading.Event) -> None:
    chance = random.Random(2)
    while not over.wait(chance.uniform(0.0, 2.0 / LIVE_PER_S)):
        _offer(uplink, 1)


def _p(percent: int, values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def _work(mode: str, port: str, *more: str) -> Reading:
    if mode == "replay":
        return await _replay(int(port), *map(int, more))
    return await {"ours": _ours, "bare": _bare}[mode](int(port))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(asyncio.run(_work(*sys.argv[1:]))) + "\n")
    else:
        sys.stdout.writelines(f"{row}\n" for row in rows())
