"""The uplink with a real broker, seen by an independent client."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import pytest

from edgeapp.core.message import Message
from edgeapp.core.secret import Secret
from edgeapp.errors import Unavailable
from edgeapp.uplink.connection import Endpoint, Extra, Publication, Received, Refusal
from edgeapp.uplink.mqtt.client import Connector
from edgeapp.uplink.mqtt.session import MqttConnection
from edgeapp.uplink.sender import MqttUplink
from edgeapp.uplink.tap import tap
from tests.servers.mosquitto import Listener, Mosquitto, free_port, wait_until
from tests.uplink.device_process import make_uplink
from tests.uplink.parts import ListLog

pytestmark = pytest.mark.slow

STATUS = "edgeapp/dev/status"


class Running:
    """An uplink that runs on an event loop in a thread of its own, as in the application."""

    def __init__(self, port: int, **endpoint: Any) -> None:
        self.log = ListLog()
        self.uplink: MqttUplink = make_uplink(Endpoint("127.0.0.1", port, **endpoint), self.log)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self.uplink.run(self._stop)

    def offer(self, n: int, topic: str = "p/s") -> None:
        assert self.uplink.offer(Message(topic, b'{"n":%d}' % n, time.monotonic_ns()))

    def wait_for(self, settled: int) -> None:
        wait_until(
            lambda: self.uplink.statistics().outbox.settled == settled, f"{settled} are settled"
        )


def connect(connector: Connector) -> Coroutine[Any, Any, MqttConnection]:
    return connector(lambda _packet_id, _refused: None)


def test_results_arrive_once_and_in_order(mosquitto: Mosquitto, listener: Listener) -> None:
    with Running(mosquitto.port) as device:
        for n in range(500):
            device.offer(n)
    listener.wait_for(STATUS, "stopped")  # that the broker has them is not yet that they came here
    got = [json.loads(payload) for payload in listener.payloads("edgeapp/dev/p/s")]
    assert [message["n"] for message in got] == list(range(500))
    assert [message["id"] for message in got] == [f"dev/1/{n}" for n in range(1, 501)]
    assert all(message["age_ms"] >= 0 for message in got)


def test_the_status_is_online_then_stopped_and_retained(
    mosquitto: Mosquitto, listener: Listener, system_program: Callable[[str, str], str]
) -> None:
    with Running(mosquitto.port):
        listener.wait_for(STATUS, "online")
    listener.wait_for(STATUS, "stopped")
    program = system_program("mosquitto_sub", "mosquitto-clients")
    with Listener(program, mosquitto.port, "edgeapp/#", client_id="later") as later:
        later.wait_for(STATUS, "stopped")
        assert later.arrivals[0].retained


def test_a_device_that_is_killed_is_offline_at_once(
    mosquitto: Mosquitto, listener: Listener, repo: Path
) -> None:
    device = subprocess.Popen(
        [sys.executable, repo / "tests/uplink/device_process.py", str(mosquitto.port)]
    )
    try:
        wait_until(lambda: len(listener.payloads("edgeapp/dev/p/s")) > 5, "messages arrive")
    finally:
        device.send_signal(signal.SIGKILL)
        device.wait()
    listener.wait_for(STATUS, "offline")
    assert listener.payloads(STATUS) == ["online", "offline"]


def test_nothing_is_lost_when_the_broker_restarts(mosquitto: Mosquitto, listener: Listener) -> None:
    """Offered before, while and after it is down: all arrive, in order, with ids of their own."""
    with Running(mosquitto.port) as device:
        listener.wait_for(STATUS, "online")
        n = 0
        for _ in range(3):
            for _ in range(400):
                device.offer(n)
                n += 1
            mosquitto.stop()
            for _ in range(200):
                device.offer(n)
                n += 1
            mosquitto.start()
            for _ in range(100):
                device.offer(n)
                n += 1
            device.wait_for(n)
        statistics = device.uplink.statistics()
    assert statistics.outbox.dropped == {}
    wait_until(
        lambda: f'"n":{n - 1}' in "".join(listener.payloads("edgeapp/dev/p/s")[-1:]), "the last"
    )
    got = [json.loads(payload) for payload in listener.payloads("edgeapp/dev/p/s")]
    number_of = {message["id"]: message["n"] for message in got}
    assert len(number_of) == n
    first_arrivals = list(dict.fromkeys(message["n"] for message in got))
    assert first_arrivals == list(range(n))
    assert len(got) - n <= 3 * 20  # duplicates: at most the window each time


def test_it_starts_while_the_broker_is_down(
    system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    broker = Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path)
    with Running(broker.port) as device:
        device.offer(1)
        wait_until(lambda: device.log.events != [], "the broker is missed")
        try:
            broker.start()
            device.wait_for(1)
        finally:
            broker.stop()
    assert device.log.events[0][0] == "no connection to the broker, trying again"
    assert str(broker.port) in str(device.log.events[0][1])


def test_a_broker_that_stops_answering_does_not_hold_up_the_stop(mosquitto: Mosquitto) -> None:
    with Running(mosquitto.port) as device:
        device.offer(0)
        device.wait_for(1)
        assert mosquitto._process is not None
        mosquitto._process.send_signal(signal.SIGSTOP)
        try:
            device.offer(1)
            device._loop.call_soon_threadsafe(device._stop.set)
            device._thread.join(15.0)
            assert not device._thread.is_alive()
        finally:
            mosquitto._process.send_signal(signal.SIGCONT)
            device._loop = asyncio.new_event_loop()
    device._loop.close()
    assert device.uplink.statistics().outbox.dropped == {"stopped": 1}


def test_a_broker_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="refused: no broker listens on that port"):
        asyncio.run(connect(Connector(Endpoint("127.0.0.1", free_port()))))
    with pytest.raises(Unavailable, match="cannot be the name of a host"):
        asyncio.run(connect(Connector(Endpoint("x" * 70 + ".local", 1883))))

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable, match="the name 'nowhere' cannot be looked up: Name or"):
        asyncio.run(connect(Connector(Endpoint("nowhere", 1883))))


def test_an_independent_client_gets_all_that_was_said_of_a_message(
    mosquitto: Mosquitto, system_program: Callable[[str, str], str]
) -> None:
    program = system_program("mosquitto_sub", "mosquitto-clients")
    extra = Extra(600, "image/jpeg", b"of-7", (("id", "dev/1/2"), ("clock", "synced")))

    async def story() -> None:
        connection = await connect(Connector(Endpoint("127.0.0.1", mosquitto.port)))
        connection.send([Publication("elsewhere/a", b"hello", retain=True, extra=extra)])
        await connection.close()

    asyncio.run(asyncio.wait_for(story(), 20.0))
    done = subprocess.run(
        [program, "-p", str(mosquitto.port), "-V", "5", "-t", "elsewhere/a", "-C", "1", "-W", "20",
         "-F", "%r %C %D %P %p"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1 image/jpeg of-7 id:dev/1/2 clock:synced hello"


def test_a_message_that_may_not_be_published_is_refused_for_good(
    system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """By the access list of a real broker; what may be published goes on."""
    (tmp_path / "acl").write_text("topic readwrite allowed/#\n")
    config = (
        "allow_anonymous true",
        f"acl_file {tmp_path}/acl",
        "max_queued_messages 100",  # without a limit mosquitto 2.0.11 hangs up afterwards
    )
    answers: list[Refusal | None] = []

    async def story(port: int) -> None:
        connection = await Connector(Endpoint("127.0.0.1", port))(
            lambda _packet_id, refusal: answers.append(refusal)
        )
        connection.send(
            [Publication(topic, b"x", retain=False) for topic in ("denied/a", "allowed/a")]
        )
        while len(answers) < 2:
            await asyncio.sleep(0.01)
        await connection.close()

    with Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path, *config) as broker:
        asyncio.run(asyncio.wait_for(story(broker.port), 20.0))
    assert answers == [
        Refusal(
            "not authorised to publish on this topic: see the broker's access rules", for_good=True
        ),
        None,
    ]


@pytest.mark.parametrize("retained", [False, True])
def test_a_command_of_an_independent_client_tells_where_to_answer_and_whether_it_is_kept(
    retained: bool, mosquitto: Mosquitto, system_program: Callable[[str, str], str]
) -> None:
    """Also while we listen: a retained command must not pass for one that was just given."""
    program = system_program("mosquitto_pub", "mosquitto-clients")
    got: list[Received] = []

    async def story() -> None:
        connect = Connector(Endpoint("127.0.0.1", mosquitto.port))
        connection = await connect(lambda *_: None, filters=["dev/+/set"], on_message=got.append)
        while connection._asked:
            await asyncio.sleep(0.01)
        giving = await asyncio.create_subprocess_exec(
            program, "-p", str(mosquitto.port), "-V", "5", "-t", "dev/p/set", "-m", "OFF", "-q", "1",
            *(["-r"] if retained else []),
            "-D", "publish", "response-topic", "answers/1", "-D", "publish", "correlation-data", "7",
        )  # fmt: skip
        await giving.wait()
        while not got:
            await asyncio.sleep(0.01)
        await connection.close()

    asyncio.run(asyncio.wait_for(story(), 20.0))
    assert got == [Received("dev/p/set", b"OFF", retained, "answers/1", b"7")]


def test_a_wrong_password_is_named_but_never_shown(
    system_program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(
        [
            system_program("mosquitto_passwd", "mosquitto"),
            "-b",
            "-c",
            passwords,
            "dev",
            "right-one",
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("MQTT_USER", "dev")
    access = {"username": Secret("env:MQTT_USER"), "password": Secret("env:MQTT_PASSWORD")}
    program = system_program("mosquitto", "mosquitto")
    with Mosquitto(program, tmp_path, f"password_file {passwords}") as broker:
        monkeypatch.setenv("MQTT_PASSWORD", "wrong-one")
        with Running(broker.port, **access) as device:
            wait_until(lambda: device.log.events != [], "the refusal")
        told = repr(device.log.events) + repr(device.uplink.statistics())
        assert "check what mqtt.username and mqtt.password refer to" in told
        assert "wrong-one" not in told
        monkeypatch.setenv("MQTT_PASSWORD", "right-one")
        with Running(broker.port, **access) as device:
            device.offer(0)
            device.wait_for(1)


def test_tap_shows_what_is_retained_and_what_comes(mosquitto: Mosquitto) -> None:
    got: list[Received] = []

    async def story() -> None:
        endpoint = Endpoint("127.0.0.1", mosquitto.port)
        watching = asyncio.create_task(tap(endpoint, ["edgeapp/#"], got.append))
        while not got:
            await asyncio.sleep(0.01)
        device.offer(7)
        while len(got) < 2:
            await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()

    with Running(mosquitto.port) as device:
        device.offer(0)
        device.wait_for(1)
        asyncio.run(asyncio.wait_for(story(), 20.0))
    assert (got[0].topic, got[0].payload, got[0].retain) == (STATUS, b"online", True)
    assert json.loads(got[1].payload)["n"] == 7


def test_a_tap_on_a_broker_that_goes_away_says_so(mosquitto: Mosquitto) -> None:
    with Running(mosquitto.port) as device:  # which leaves its status there
        wait_until(lambda: device.uplink.statistics().connected, "a connection")

    async def story() -> None:
        endpoint, got = Endpoint("127.0.0.1", mosquitto.port), asyncio.Event()
        watching = asyncio.create_task(tap(endpoint, ["edgeapp/#"], lambda _: got.set()))
        await got.wait()
        mosquitto.stop()
        with pytest.raises(Unavailable, match="lost"):
            await watching

    asyncio.run(asyncio.wait_for(story(), 20.0))
