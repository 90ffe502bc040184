"""A device in a process of its own, to be killed: offers a message every 10 ms until then."""

import asyncio
import random
import sys

from edgeapp.core.clock import MonotonicClock
from edgeapp.core.context import Log
from edgeapp.core.message import Message
from edgeapp.uplink.connection import Endpoint, Publication
from edgeapp.uplink.memory_outbox import MemoryOutbox
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.wall_clock import WallClock
from edgeapp.uplink.wire import Sealer, Topics


class NoLog:
    def bind(self, **_facts: object) -> "NoLog":
        return self

    def info(self, event: str, **facts: object) -> None: ...

    debug = warning = error = info


def make_uplink(endpoint: Endpoint, log: Log, device: str = "dev") -> MqttUplink:
    """An uplink as the application makes it."""
    topics = Topics(device)
    clock = MonotonicClock()
    will = Publication(topics.status, b"offline", retain=True)
    return MqttUplink(
        topics,
        Sealer(device, 1, WallClock(clock)),
        MemoryOutbox(),
        Connector(endpoint, client_id=f"edgeapp-{device}", will=will),
        log=log,
        clock=clock,
        chance=random.Random(1),
    )


async def main(port: int) -> None:
    """Run until killed."""
    uplink = make_uplink(Endpoint("127.0.0.1", port), NoLog())
    running = asyncio.create_task(uplink.run(asyncio.Event()))
    n = 0
    while not running.done():
        uplink.offer(Message("p/s", b'{"n":%d}' % n, 0))
        n += 1
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
