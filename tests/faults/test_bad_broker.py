"""Brokers that let nobody in, or let in and misbehave: one sentence says so, and no secret is told.

The whole application each time: its pipeline goes on answering, and a stop ends it as ever.
"""

import asyncio
import base64
import json
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgeapp.cli import main
from tests.pipelines.device import Running
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Listener, Mosquitto, free_port, wait_until
from tests.servers.scripted import (
    PINGREQ,
    PUBLISH,
    SUBSCRIBE,
    Packet,
    Peer,
    framed,
    puback,
    scripted,
    suback,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PIPELINE = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000, block_s: 0.02, fault: inner}
  features: {transform: features}
  trend: {output: mqtt, from: features, every_s: 0.1}
  alarm: {output: mqtt, from: features, every_s: 0.1, class: critical}
  results: {output: jsonl, from: features, file: results.jsonl}
"""
MORE = 20
"""Answers after the trouble was told of."""
MOST_WARNINGS = 10

USER, STRANGER = "planted.user.Kq7", "planted.stranger.Vw2"
PASSWORD, WRONG = "planted-password-Xz9", "planted-mistake-Jb4"
PHRASE = "planted-phrase-Hf6"
ENVIRONMENT = {"BROKER_USER": USER, "BROKER_STRANGER": STRANGER, "KEY_PHRASE": PHRASE}
LOGIN = "username: env:BROKER_USER, password: cred:right"

DENIED = "pump/alarm"
REASON = "not authorised to publish on this topic: see the broker's access rules"
FORMATS = ("text", "json")


class World(NamedTuple):
    """One broker that listens on several ports, each with a certificate of its own, and keys."""

    ports: dict[str, int]
    folder: Path
    """Of `ours.crt`, `strange.crt`, `device.crt`, `device.key` and `encrypted.key`."""
    listener: Listener
    """Hears all that this broker hears."""
    secrets: tuple[bytes, ...]


@pytest.fixture(scope="module")
def world(
    system_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("brokers")
    openssl = system_program("openssl", "openssl")
    ours, strange = Authority(openssl, folder / "ours"), Authority(openssl, folder / "strange")
    device = ours.issue("device")
    made = {
        "good": ours.issue("good"),
        "expired": ours.issue("expired", from_days=-3, to_days=-1),
        "elsewhere": ours.issue("elsewhere", names="DNS:broker.example"),
        "certified": ours.issue("certified"),
    }
    for name, file in {
        "ours.crt": ours.cert,
        "strange.crt": strange.cert,
        "device.crt": device.cert,
        "device.key": device.key,
        "encrypted.key": ours.encrypt(device.key, PHRASE),
    }.items():
        (folder / name).symlink_to(file)
    ports = {name: free_port() for name in made}
    passwords, rights = folder / "passwords", folder / "rights"
    mosquitto_passwd = system_program("mosquitto_passwd", "mosquitto")
    subprocess.run([mosquitto_passwd, "-b", "-c", passwords, USER, PASSWORD], check=True)
    rights.write_text(
        f"topic read #\nuser {USER}\ntopic readwrite #\ntopic deny edgeapp/test/{DENIED}\n"
    )
    config = ["allow_anonymous true", f"password_file {passwords}", f"acl_file {rights}"]
    config.append("max_queued_messages 1000")  # without a limit 2.0.11 hangs up after a refusal
    for name, (cert, key) in made.items():
        config += [f"listener {ports[name]} 127.0.0.1", f"certfile {cert}", f"keyfile {key}"]
        if name == "certified":
            config += [f"cafile {ours.cert}", "require_certificate true"]
    program = system_program("mosquitto", "mosquitto")
    listen = system_program("mosquitto_sub", "mosquitto-clients")
    with Mosquitto(program, folder, *config) as broker:
        ports["plain"] = broker.port
        with Listener(listen, broker.port, "#") as listener:
            yield World(ports, folder, listener, _secrets(folder))


def _secrets(folder: Path) -> tuple[bytes, ...]:
    """What must not be told, in its usual disguises."""
    keys = [(folder / name).read_text() for name in ("device.key", "encrypted.key")]
    lines = [line for key in keys for line in key.splitlines() if not line.startswith("-----")]
    words = [USER, STRANGER, PASSWORD, WRONG, PHRASE]
    disguised = [base64.b64encode(word.encode()).decode().rstrip("=")[:-1] for word in words]
    hexadecimal = [word.encode().hex() for word in words]
    return tuple(text.encode() for text in (*words, *disguised, *hexadecimal, *lines))


class Application:
    """`edgeapp run` beside a broker, and everything that it lets anybody read."""

    def __init__(self, folder: Path, running: Running, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.running = running
        self.summary: dict[str, Any] = {}
        self._capture = capture
        self._shown: list[tuple[str, bytes]] = []

    def rows(self) -> list[dict[str, Any]]:
        """What its pipeline has answered: whole lines of them."""
        file = self.folder / "data" / "pump" / "results.jsonl"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def log(self) -> str:
        """Its log; quotes as they are in a sentence, whatever the format."""
        return self.running.log().replace("\\'", "'")

    def until_told(self, *sentences: str) -> None:
        """Wait for a line with these in it."""
        wait_until(
            lambda: self.running.ended() or bool(self.lines_with(*sentences)),
            f"{sentences} in the log",
        )
        assert not self.running.ended(), self.log()

    def lines_with(self, *words: str) -> list[str]:
        """Lines of the log that have all these in them."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]

    def goes_on(self) -> None:
        """Wait for more answers."""
        before = len(self.rows())
        wait_until(lambda: len(self.rows()) >= before + MORE, "more answers of the pipeline")

    def ask(self, *arguments: str) -> str:
        """What another process is told: by the control socket, and of the disk."""
        main([*arguments, "--device", str(self.folder / "device.yaml")])
        told = self._capture.readouterr()
        self._shown.append((" ".join(arguments), (told.out + told.err).encode()))
        return told.out

    def stop(self) -> None:
        """Collect all that can be read, end it by SIGTERM, and look at how it ran."""
        for arguments in (
            ("status", "--json"),
            ("status",),
            ("outbox", "status", "--json"),
            ("outbox", "peek", "--json"),
            ("outbox", "peek", "--dead", "--json"),
        ):
            self.ask(*arguments)
        command_line = Path(f"/proc/{self.running.pid}/cmdline").read_bytes()
        self._shown.append(("the command line", command_line))
        self._keep_files("-wal")
        code, self.summary = self.running.stop()
        self._keep_files(".db")
        self._shown.append(("standard error", self.running.log().encode()))
        self._shown.append(("standard output", self.running.printed.encode()))
        log = self.log()
        assert code == 0, log
        assert "Traceback" not in log
        assert len(self.lines_with("warning")) <= MOST_WARNINGS, log
        assert not self.lines_with(" error "), log
        assert not self.lines_with('"level": "error"'), log
        rows = self.rows()
        assert [row["seq"] for row in rows] == list(range(len(rows)))
        assert not any(row["lost"] for row in rows)
        [pipeline] = self.summary["pipelines"]
        assert pipeline["unaccounted"] == []
        assert set(self.summary["uplink"]["dropped_messages"]) <= {"refused"}

    def tells_none_of(self, secrets: tuple[bytes, ...], *heard: bytes) -> None:
        """Look for secrets in all that was collected, and in what its broker has got."""
        shown = [*self._shown, *(("a message", message) for message in heard)]
        assert len(shown) > 10
        for where, content in shown:
            found = [secret for secret in secrets if secret in content]
            assert not found, f"{found} in {where}"

    def _keep_files(self, store: str) -> None:
        """All below the data directory; among them one of the outbox that ends so."""
        files = [file for file in (self.folder / "data").rglob("*") if file.is_file()]
        assert any(file.parent.name == "outbox" and file.name.endswith(store) for file in files)
        self._shown += [(str(file), file.read_bytes()) for file in files]


Start = Callable[..., Application]


@pytest.fixture
def start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Start]:
    """Starts the application: `mqtt` is what the device file says of the broker."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "right").write_text(PASSWORD)
    (credentials / "wrong").write_text(WRONG)
    with ExitStack() as applications:

        def start(port: int, mqtt: str = "", *, form: str = "text") -> Application:
            file = tmp_path / "pump.yaml"
            file.write_text(PIPELINE)
            running = Running(
                tmp_path,
                file,
                *("--log-level", "debug", "--log-format", form),
                more="watchdog: {enabled: false}\n"  # on a busy machine it may have to say something
                f"mqtt: {{host: 127.0.0.1, port: {port}, home_assistant: {{}}, keepalive_s: 5,"
                f" commands: [enable, pin, tune, snapshot, reload], {mqtt}}}",
                environment={**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(credentials)},
            )
            return Application(tmp_path, applications.enter_context(running), capsys)

        yield start


# -- brokers that let nobody in -----------------------------------------------------------------


class Trouble(NamedTuple):
    """What stands between the device and its broker, and what is said of it."""

    port: str
    mqtt: str
    """FOLDER is that of the certificates."""
    said: str


TROUBLES = {
    "a wrong authority": Trouble(
        "good",
        f"{LOGIN}, tls: {{ca: FOLDER/strange.crt}}",
        "its certificate is of nobody in mqtt.tls.ca ('FOLDER/strange/ca.crt'): give the file of "
        "the authority that signed it, if this is the right broker",
    ),
    "an expired certificate": Trouble(
        "expired",
        f"{LOGIN}, tls: {{ca: FOLDER/ours.crt}}",
        "its certificate has expired: renew it, if TODAY is really today on this device",
    ),
    "another host's certificate": Trouble(
        "elsewhere",
        f"{LOGIN}, tls: {{ca: FOLDER/ours.crt}}",
        "its certificate is not for '127.0.0.1': mqtt.host must be a name or address that is in "
        "the certificate",
    ),
    "a wrong password": Trouble(
        "plain",
        "username: env:BROKER_USER, password: cred:wrong",
        "it refuses this user name and password (not authorised): check what mqtt.username and "
        "mqtt.password refer to",
    ),
    "an unknown user": Trouble(
        "good",
        "username: env:BROKER_STRANGER, password: cred:right, tls: {ca: FOLDER/ours.crt}",
        "it refuses this user name and password (not authorised): check what mqtt.username and "
        "mqtt.password refer to",
    ),
    "no password": Trouble(
        "plain",
        "username: env:BROKER_USER, password: cred:nowhere",
        "credential 'nowhere' cannot be read from 'HOME/credentials/nowhere': No such file or "
        "directory",
    ),
    "no certificate of its own": Trouble(
        "certified",
        f"{LOGIN}, tls: {{ca: FOLDER/ours.crt}}",
        "it wants a certificate of this device: give mqtt.tls.cert and key",
    ),
    "a key behind a pass phrase": Trouble(
        "certified",
        f"{LOGIN}, tls: {{ca: FOLDER/ours.crt, cert: FOLDER/device.crt, key: FOLDER/encrypted.key}}",
        "mqtt.tls.key: 'FOLDER/ours/device.encrypted.key' is encrypted: store the key without a "
        "pass phrase, for this user alone",
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_broker_that_does_not_let_the_device_in(name: str, world: World, start: Start) -> None:
    """Where, what and what to do, in one line; all messages wait."""
    trouble = TROUBLES[name]
    port, folder = world.ports[trouble.port], str(world.folder)
    form = FORMATS[list(TROUBLES).index(name) % 2]
    application = start(port, trouble.mqtt.replace("FOLDER", folder), form=form)
    application.until_told("no connection to the broker, trying again")
    application.goes_on()
    application.stop()
    said = trouble.said.replace("FOLDER", folder).replace("HOME", str(application.folder))
    today = datetime.now(UTC).date().isoformat()
    problem = f"broker 127.0.0.1:{port}: {said.replace('TODAY', today)}"
    (line,) = application.lines_with("no connection to the broker, trying again")
    assert problem in line
    uplink = application.summary["uplink"]
    assert uplink["sent_messages"] == 0
    assert uplink["offered_messages"] == uplink["outbox_waiting_messages"] > 0
    assert uplink["problem"] == problem
    application.tells_none_of(world.secrets, *_heard(world))


def _heard(world: World) -> list[bytes]:
    return [f"{a.topic} {a.payload}".encode() for a in list(world.listener.arrivals)]


# -- brokers that let the device in -------------------------------------------------------------


def test_a_topic_that_is_denied(world: World, start: Start) -> None:
    """Its messages are kept aside with the reason; all others come, each once and in order."""
    already = len(world.listener.arrivals)
    tls = f"tls: {{ca: {world.folder}/ours.crt}}"
    application = start(world.ports["good"], f"{LOGIN}, {tls}", form="json")
    application.until_told("message dropped: the broker refused it")
    application.goes_on()
    peeked: list[str] = []

    def set_aside() -> bool:
        """Whether the disk has them: the journal writes them a second after they are told."""
        peeked[:] = application.ask("outbox", "peek", "--dead", "--json").splitlines()
        return bool(peeked)

    wait_until(set_aside, "refused messages on the disk")
    application.stop()
    for line in application.lines_with("warning"):
        told = json.loads(line)
        assert told["event"] == "message dropped: the broker refused it"
        assert told["topic"] == DENIED
        assert told["reason"] == REASON
    dead = [json.loads(line) for line in peeked]
    assert {(row["topic"], row["refused"]) for row in dead} == {(DENIED, REASON)}
    wait_until(lambda: world.listener.payloads("edgeapp/test/status")[-1] == "stopped", "a goodbye")
    arrivals = world.listener.arrivals[already:]
    topics = {arrival.topic for arrival in arrivals}
    assert f"edgeapp/test/{DENIED}" not in topics
    assert {"edgeapp/test/pump/state", "edgeapp/test/outbox"} <= topics
    assert "homeassistant/device/edgeapp-test/config" in topics
    trend = [json.loads(a.payload)["id"] for a in arrivals if a.topic == "edgeapp/test/pump/trend"]
    numbers = [int(name.rpartition("/")[2]) for name in trend]
    assert numbers == sorted(set(numbers))
    uplink = application.summary["uplink"]
    assert len(trend) == uplink["sent_messages"] > 0
    assert uplink["dropped_messages"] == {"refused": uplink["refused_messages"]}
    assert uplink["offered_messages"] == uplink["sent_messages"] + uplink["refused_messages"]
    assert uplink["reconnects"] == 0
    application.tells_none_of(world.secrets, *_heard(world))


class Script:
    """A scripted broker of this test, in a thread of its own, that keeps what it gets."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.connections = 0

    @property
    def published(self) -> list[Packet]:
        """Messages as they came."""
        return [packet for packet in list(self.packets) if packet.kind == PUBLISH]

    @property
    def messages(self) -> list[bytes]:
        """Topics and payloads."""
        return [packet.body for packet in self.published]

    async def take(self, peer: Peer, answer: Callable[[Packet], Awaitable[None]]) -> None:
        """Answer pings and subscriptions as any broker does, and messages by `answer`."""
        while True:
            packet = await peer.read()
            self.packets.append(packet)
            if packet.kind == PINGREQ:
                peer.send(framed(0xD0, b""))
            elif packet.kind == SUBSCRIBE:
                peer.send(suback(packet.packet_id, 1))
            elif packet.kind == PUBLISH:
                await answer(packet)

    @contextmanager
    def listening(self, serve: Callable[[Peer], Awaitable[None]]) -> Iterator[int]:
        """At this port."""
        ports: list[int] = []
        loop = asyncio.new_event_loop()
        over = asyncio.Event()

        async def handler(peer: Peer) -> None:
            self.connections += 1
            await serve(peer)

        async def story() -> None:
            async with scripted(handler) as port:
                ports.append(port)
                await over.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(story(),))
        thread.start()
        try:
            wait_until(lambda: bool(ports), "the broker listens")
            yield ports[0]
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()


def test_a_broker_that_hangs_up_on_whom_it_let_in(world: World, start: Start) -> None:
    """After some times the log says what may be behind it."""
    script = Script()

    async def serve(peer: Peer) -> None:
        await peer.welcome()

    with script.listening(serve) as port:
        application = start(port, LOGIN, form="text")
        application.until_told(
            f"broker 127.0.0.1:{port}: connection lost: it was cut; so it went several times in a "
            "row: is there another device of this name, or does the network cut connections?"
        )
        application.goes_on()
        application.stop()
    assert script.connections > 1
    uplink = application.summary["uplink"]
    assert uplink["offered_messages"] == uplink["outbox_waiting_messages"] > 0
    application.tells_none_of(world.secrets, *script.messages)


def test_a_broker_that_acknowledges_nothing(world: World, start: Start) -> None:
    """It is told of once, though the connection lives; at most a window is under way."""
    script = Script()

    async def no_answer(_: Packet) -> None: ...

    async def serve(peer: Peer) -> None:
        await peer.welcome()
        await script.take(peer, no_answer)

    with script.listening(serve) as port:
        application = start(port, LOGIN, form="json")
        application.until_told("the broker acknowledges no message: see if it is overloaded")
        application.goes_on()
        application.stop()
    assert script.connections == 1
    *window, goodbye = script.published
    assert [packet.qos for packet in window] == [1] * 20
    assert goodbye.body.endswith(b"stopped")
    assert goodbye.qos == 0  # which no broker counts as one more under way
    (line,) = application.lines_with("the broker acknowledges no message")
    assert f'"broker": "127.0.0.1:{port}"' in line
    uplink = application.summary["uplink"]
    assert uplink["sent_messages"] == 0
    assert uplink["offered_messages"] == uplink["outbox_waiting_messages"] > 0
    application.tells_none_of(world.secrets, *script.messages)


def test_a_broker_that_takes_one_message_at_a_time(world: World, start: Start) -> None:
    """Receive Maximum 1: it never gets a second one before it has answered; all come, in order."""
    script = Script()
    under_way: list[int] = []
    most: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.welcome(b"\x21\x00\x01")

        async def later(packet: Packet) -> None:
            if packet.qos == 0:
                return  # the goodbye, where the time for stopping was over
            under_way.append(packet.packet_id)
            most.append(len(under_way))
            asyncio.get_running_loop().call_later(0.005, answer)

        def answer() -> None:
            peer.send(puback(under_way.pop(0)))

        await script.take(peer, later)

    with script.listening(serve) as port:
        application = start(port, LOGIN, form="text")
        application.until_told("broker reached")
        application.goes_on()
        wait_until(lambda: len(script.messages) > 30, "messages")
        application.stop()
    assert set(most) == {1}
    uplink = application.summary["uplink"]
    assert uplink["sent_messages"] == uplink["offered_messages"] > 0
    assert not application.lines_with("warning")
    application.tells_none_of(world.secrets, *script.messages)
