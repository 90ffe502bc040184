"""The embedded broker, used by the uplink and by an independent client."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeapp.errors import Unavailable
from edgeapp.uplink import broker as embedded
from edgeapp.uplink.broker import EmbeddedBroker, embedded_broker
from edgeapp.uplink.connection import Endpoint, Publication
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.mqtt.session import MqttConnection
from tests.servers.mosquitto import Listener, free_port, wait_until
from tests.uplink.parts import ListLog

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pytest.importorskip("iotcore", reason="the embedded broker: pip install 'edgeapp[broker]'")
    with embedded_broker(free_port()) as broker:
        yield broker


async def connect(port: int, will: Publication | None = None) -> tuple[MqttConnection, list[int]]:
    acknowledged: list[int] = []
    connector = Connector(Endpoint("127.0.0.1", port), will=will)
    connection = await connector(lambda packet_id, _refused: acknowledged.append(packet_id))
    return connection, acknowledged


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def test_it_takes_messages_of_a_megabyte_and_keeps_what_is_retained(
    running: EmbeddedBroker, system_program: Callable[[str, str], str]
) -> None:
    """Sent in MQTT 5, read back in 3.1.1 by another client."""
    payload = b"x" * 1_000_000

    async def story() -> None:
        connection, acknowledged = await connect(running.port_v5)
        assert connection.protocol == "5"
        ids = connection.send(
            [
                Publication("edgeapp/dev/status", b"online", retain=True),
                Publication("elsewhere/big", payload, retain=True),
            ]
        )
        while acknowledged != ids:
            await asyncio.sleep(0.01)
        await connection.close()

    asyncio.run(asyncio.wait_for(story(), 20.0))
    program = system_program("mosquitto_sub", "mosquitto-clients")
    with Listener(program, running.port_v4, "edgeapp/#", "elsewhere/#") as listener:
        listener.wait_for("edgeapp/dev/status", "online")
        listener.wait_for("elsewhere/big", payload.decode())
        assert all(arrival.retained for arrival in listener.arrivals)


def test_a_connection_that_breaks_leaves_its_last_will(
    running: EmbeddedBroker, system_program: Callable[[str, str], str]
) -> None:
    async def story() -> None:
        will = Publication("edgeapp/dev/status", b"offline", retain=True)
        connection, _ = await connect(running.port_v5, will)
        connection._paho.socket().shutdown(socket.SHUT_RDWR)
        await connection.lost

    program = system_program("mosquitto_sub", "mosquitto-clients")
    with Listener(program, running.port_v4, "edgeapp/#") as listener:
        asyncio.run(asyncio.wait_for(story(), 20.0))
        listener.wait_for("edgeapp/dev/status", "offline")


def test_the_uplink_falls_back_where_only_3_1_1_is_spoken(running: EmbeddedBroker) -> None:
    async def story() -> str:
        connection, _ = await connect(running.port_v4)
        await connection.close()
        return connection.protocol

    assert asyncio.run(asyncio.wait_for(story(), 20.0)) == "3.1.1"


def test_it_listens_on_the_loopback_alone_and_leaves_nothing_behind(
    running: EmbeddedBroker, tmp_path: Path
) -> None:
    """No listener on the machine's other addresses; its configuration is gone once it runs."""
    others = [a for a in Path("/proc/net/tcp").read_text().split() if a.startswith("00000000:")]
    for port in (running.port_v4, running.port_v5):
        assert listens(port)
        assert f"00000000:{port:04X}" not in others
    assert list(tmp_path.iterdir()) == []


def test_taken_ports_are_passed_over_and_freed_at_the_end() -> None:
    pytest.importorskip("iotcore", reason="the embedded broker: pip install 'edgeapp[broker]'")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first: int = taken.getsockname()[1]
        with embedded_broker(first) as broker:
            assert first < broker.port_v4 < broker.port_v5
            assert listens(broker.port_v4)
            assert listens(broker.port_v5)
    assert not listens(broker.port_v4)
    assert not listens(broker.port_v5)


def test_one_that_dies_is_started_again_on_the_same_ports_and_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when it dies again; but not once it is to stop."""
    pytest.importorskip("iotcore", reason="the embedded broker: pip install 'edgeapp[broker]'")
    monkeypatch.setattr(embedded, "_FIRST_PAUSE_S", 0.01)
    log = ListLog()
    before = children()
    with embedded_broker(free_port(), log=log) as broker:
        for count in (1, 2):
            (pid,) = children() - before
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(log.events) == count, "it is missed")  # noqa: B023 - at once
            wait_until(lambda: listens(broker.port_v4) and listens(broker.port_v5), "it is back")
    assert [facts["exit_code"] for _, facts in log.events] == [-signal.SIGKILL] * 2
    assert children() == before
    assert not listens(broker.port_v4)


def children() -> set[int]:
    """The processes that this one has started."""
    return {child.pid for child in psutil.Process().children()}


def test_it_ends_with_the_process_that_started_it() -> None:
    """However that ends: here by SIGKILL."""
    pytest.importorskip("iotcore", reason="the embedded broker: pip install 'edgeapp[broker]'")
    code = (
        "import time; from edgeapp.uplink.broker import embedded_broker as e\n"
        f"with e({free_port()}) as b: print(b.port_v4, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as told:
        port = int(told.readline())
    assert listens(port)
    owner.kill()
    owner.wait()
    wait_until(lambda: not listens(port), "the broker ends")


def test_a_missing_package_is_one_sentence_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "iotcore", None)
    with pytest.raises(Unavailable, match=r"pip install 'edgeapp\[broker\]'"), embedded_broker():
        pass


def test_a_broker_that_does_not_start_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_CONFIG", "this is no configuration {host}")
    with pytest.raises(Unavailable, match="does not start"), embedded_broker(free_port()):
        pass
