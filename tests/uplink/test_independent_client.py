"""The whole application as others see it: mosquitto_sub, and paho as its authors ship it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers.mosquitto import PATIENCE_S, Listener, Mosquitto, wait_until
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.slow

STATUS = "edgeapp/bench/status"
RESULTS = "edgeapp/bench/pump/numbers"
PIPELINE = """\
name: pump
stages:
  bearing: {source: bearing}
  second: {transform: window, length_s: 0.2}
  features: {transform: features}
  numbers: {output: mqtt, from: features}
"""


class Paho:
    """A plain paho client in MQTT 3.1.1 that follows some topics."""

    def __init__(self, port: int, *topics: str) -> None:
        self.got: list[tuple[str, bytes, bool]] = []
        self._topics = topics
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._note
        self._client.on_connect = self._subscribe
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for at, payload, _ in list(self.got) if at == topic]

    def _subscribe(self, client: Client, *_: Any) -> None:
        for topic in self._topics:
            client.subscribe(topic, 1)

    def _note(self, _client: Any, _userdata: Any, message: Any) -> None:
        self.got.append((message.topic, message.payload, bool(message.retain)))


class App:
    """`edgeapp run` in a process of its own."""

    def __init__(self, folder: Path, port: int, more: str = "", **environment: str) -> None:
        self._folder = folder
        (folder / "pump.yaml").write_text(PIPELINE)
        (folder / "device.yaml").write_text(
            f"device: bench\ndata_dir: {folder}/data\n"
            f"mqtt: {{host: 127.0.0.1, port: {port}, keepalive_s: 5{more}}}\n"
        )
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **environment,
        }
        self._log = folder / "said.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeapp", "run", "pump.yaml", "--device", "device.yaml",
                 "--json"],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self.environment,
            )  # fmt: skip

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        process = self.process
        assert process is not None
        self.process = None
        process.send_signal(number)
        return process.wait(PATIENCE_S)

    def said(self) -> str:
        """All it has printed and logged."""
        return self._log.read_text()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Starts the application; it is killed at the end if it still runs."""
    apps: list[App] = []

    def start(port: int, more: str = "", **environment: str) -> App:
        apps.append(App(tmp_path, port, more, **environment))
        apps[-1].start()
        return apps[-1]

    yield start
    for app in apps:
        if app.process is not None:
            app.end(signal.SIGKILL)


def test_others_see_it_online_dead_back_and_stopped(
    mosquitto: Mosquitto, listener: Listener, run: Callable[..., App]
) -> None:
    with Paho(mosquitto.port, STATUS) as paho:
        app = run(mosquitto.port)
        listener.wait_for(STATUS, "online")
        wait_until(lambda: len(listener.payloads(RESULTS)) > 2, "results come")
        app.end(signal.SIGKILL)
        listener.wait_for(STATUS, "offline")
        app.start()
        wait_until(lambda: listener.payloads(STATUS)[-1] == "online", "it is back")
        before = len(listener.payloads(RESULTS))
        wait_until(lambda: len(listener.payloads(RESULTS)) > before + 2, "results come again")
        assert app.end(signal.SIGTERM) == 0, app.said()
        listener.wait_for(STATUS, "stopped")
        wait_until(lambda: paho.payloads(STATUS)[-1:] == [b"stopped"], "paho has heard of it")
    said = ["online", "offline", "online", "stopped"]
    assert listener.payloads(STATUS) == said
    assert [payload.decode() for payload in paho.payloads(STATUS)] == said
    with Paho(mosquitto.port, STATUS) as late:
        wait_until(lambda: late.got != [], "what is retained")
    assert late.got == [(STATUS, b"stopped", True)]


def test_a_device_whose_power_is_cut_is_offline_after_the_keepalive(
    mosquitto: Mosquitto, listener: Listener, run: Callable[..., App]
) -> None:
    """Nobody says goodbye then, not even its kernel: the broker has to notice by itself."""
    with Proxy(mosquitto.port) as network:
        app = run(network.port)
        listener.wait_for(STATUS, "online")
        network.stall()
        app.end(signal.SIGKILL)
        assert listener.payloads(STATUS) == ["online"]
        listener.wait_for(STATUS, "offline")
        network.cut()
        network.heal()
        app.start()
        wait_until(lambda: listener.payloads(STATUS)[-1] == "online", "it is back")


def test_a_device_that_the_network_loses_comes_back_by_itself(
    mosquitto: Mosquitto, listener: Listener, run: Callable[..., App]
) -> None:
    """A black hole that swallows everything both ways, and then does not."""
    with Proxy(mosquitto.port) as network:
        app = run(network.port)
        listener.wait_for(STATUS, "online")
        network.stall()
        listener.wait_for(STATUS, "offline")
        network.heal()
        wait_until(lambda: listener.payloads(STATUS)[-1] == "online", "it is back")
        before = len(listener.payloads(RESULTS))
        wait_until(lambda: len(listener.payloads(RESULTS)) > before + 2, "results come again")
        wait_until(lambda: len(steps(listener)) == 1, "what waited is replayed: nothing is missing")
        assert app.end(signal.SIGTERM) == 0
        listener.wait_for(STATUS, "stopped")


def steps(listener: Listener) -> set[int]:
    """How far apart the windows are whose results came: one number, if none is missing."""
    numbers = sorted({json.loads(payload)["seq"] for payload in listener.payloads(RESULTS)})
    return {later - earlier for earlier, later in pairwise(numbers)}


def test_a_wrong_password_stops_nothing_and_is_nowhere_to_be_read(
    run: Callable[..., App], system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """Nor is the user's name. The right one needs no restart, and lets `listen` in too."""
    broker_folder, credentials = tmp_path / "broker", tmp_path / "credentials"
    for folder in (broker_folder, credentials):
        folder.mkdir()
    passwords = broker_folder / "passwords"
    subprocess.run(
        [system_program("mosquitto_passwd", "mosquitto"), "-b", "-c", passwords, "jo", "right-one"],
        check=True,
        capture_output=True,
    )
    (credentials / "user").write_text("stranger-name")
    (credentials / "word").write_text("wrong-one")
    program = system_program("mosquitto", "mosquitto")
    config = ("allow_anonymous false", f"password_file {passwords}")
    with Mosquitto(program, broker_folder, *config) as broker:
        app = run(
            broker.port,
            ", username: 'cred:user', password: 'cred:word'",
            CREDENTIALS_DIRECTORY=str(credentials),
        )
        refused = "check what mqtt.username and mqtt.password refer to"
        wait_until(lambda: app.said().count(refused) > 0, "it is refused")
        assert app.process is not None
        command_line = Path(f"/proc/{app.process.pid}/cmdline").read_text()
        (credentials / "user").write_text("jo")
        (credentials / "word").write_text("right-one")
        wait_until(lambda: "broker reached" in app.said(), "it is let in")
        heard = subprocess.run(
            [sys.executable, "-m", "edgeapp", "listen", "--device", "device.yaml", "--count", "1"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=app.environment,
            timeout=PATIENCE_S,
            check=False,
        )
        assert heard.stdout.startswith("edgeapp/bench/"), heard.stderr
        assert app.end(signal.SIGTERM) == 0
    for secret in ("stranger-name", "wrong-one", "right-one"):
        assert secret not in app.said()
        assert secret not in command_line
    assert "Traceback" not in app.said()
