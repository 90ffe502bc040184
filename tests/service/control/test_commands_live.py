"""The whole application, a real broker, and somebody who sends commands: good ones and bad ones."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.pipelines.device import COMMAND, REPO, Running, with_files
from tests.servers.mosquitto import Mosquitto, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BELOW = "edgeapp/test/"
PUMP = """
name: pump
stages:
  bearing: {source: bearing, rate_hz: 8000}
  window: {transform: window, length_s: 0.2, hop_s: 0.05}
  features: {transform: features}
  send: {output: mqtt}
"""
ALL = "  commands: [enable, pin, tune, snapshot, reload]\nwatchdog: {enabled: false}"
"""On a busy machine the watchdog would choose another variant than the best."""


class Asker:
    """An independent MQTT 5 client that publishes commands and hears everything."""

    def __init__(self, port: int) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self._subscribed = threading.Event()
        self._count = 0
        version = CallbackAPIVersion.VERSION2
        client: Any = paho.Client(version, client_id="asker", protocol=paho.MQTTv5)
        self._client = client
        self._client.on_connect = lambda *_: self._client.subscribe(
            [("edgeapp/#", 1), ("app/#", 1)]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.heard.append(message)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish without asking for an answer."""
        self._client.publish(f"{BELOW}{topic}", payload, 1, retain).wait_for_publish(20)

    def ask(self, topic: str, payload: bytes | str = b"") -> dict[str, Any]:
        """The reply to a command, told apart by its correlation data."""
        self._count += 1
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.ResponseTopic = "app/answers"
        properties.CorrelationData = b"\xff%d" % self._count
        self._client.publish(f"{BELOW}{topic}", payload, 1, properties=properties)
        return self._reply(
            lambda message: (
                message.topic == "app/answers"
                and getattr(message.properties, "CorrelationData", None)
                == properties.CorrelationData
            ),
            topic,
        )

    def reply(self, command: str, after: int) -> dict[str, Any]:
        """The reply to a command on the device's own topic, after so many messages."""
        return self._reply(
            lambda message: (
                message.topic == f"{BELOW}reply"
                and json.loads(message.payload)["command"] == command
            ),
            command,
            after,
        )

    def _reply(
        self, wanted: Callable[[paho.MQTTMessage], bool], what: str, after: int = 0
    ) -> dict[str, Any]:
        def found() -> list[paho.MQTTMessage]:
            return [message for message in self.heard[after:] if wanted(message)]

        wait_until(lambda: bool(found()), f"a reply to {what}")
        reply: dict[str, Any] = json.loads(found()[0].payload)
        assert reply["schema"] == "edgeapp/reply/1"
        assert reply["id"].startswith("test/")
        return reply

    def newest(self, topic: str) -> Any:
        """The newest message of a topic, as JSON; None: there was none."""
        found = [one.payload for one in list(self.heard) if one.topic == f"{BELOW}{topic}"]
        return json.loads(found[-1]) if found else None

    def state(self, topic: str, **facts: Any) -> None:
        """Wait until a state says so."""

        def says() -> bool:
            now = self.newest(topic) or {}
            return all(now.get(key) == value for key, value in facts.items())

        wait_until(says, f"{topic} to say {facts}, and not {self.newest(topic)}")


Device = tuple[Running, Asker, Path]


@pytest.fixture(scope="module")
def device(
    system_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    """A device with two pipelines that allows everything, and somebody to command it."""
    folder = tmp_path_factory.mktemp("device")
    belt = with_files(folder, "inspection_demo.yaml", [(REPO / "pipelines/models", "models")])
    pump = folder / "pump.yaml"
    pump.write_text(PUMP)
    with (
        Mosquitto(system_program("mosquitto", "mosquitto"), folder) as broker,
        Asker(broker.port) as asker,
        Running(folder, belt, pump, port=broker.port, more=ALL) as running,
    ):
        asker.state("inspection/state", state="running")
        asker.state("pump/state", state="running")
        yield running, asker, folder
        code, _ = running.stop()
        assert code == 0, running.log()
        assert "Traceback" not in running.log()
        asker.state("pump/state", state="stopped")
        numbers = [
            (body["epoch"], body["seq"])
            for body in (
                json.loads(one.payload) for one in asker.heard if one.topic == f"{BELOW}pump/send"
            )
        ]
        steps = {after[1] - before[1] for before, after in pairwise(numbers)}
        assert len(numbers) > 20
        assert {epoch for epoch, _ in numbers} == {0}
        assert len(steps) == 1, "the neighbour of all that was commanded lost nothing"


def test_a_pipeline_is_switched_off_and_on(device: Device) -> None:
    _, asker, _ = device
    assert asker.ask("inspection/set", "OFF")["ok"]
    asker.state("inspection/state", state="paused")
    assert asker.ask("inspection/set", "OFF")["said"] == "'inspection' is off already (paused)"
    assert asker.ask("inspection/set", "ON")["said"] == "'inspection' is on"
    asker.state("inspection/state", state="running")


def test_a_variant_is_pinned_for_a_while_and_freed(device: Device) -> None:
    _, asker, _ = device
    reply = asker.ask("inspection/detect/variant/set", '{"variant": "conveyor_96", "for_s": 600}')
    assert reply["said"] == "inspection/detect is held on conveyor_96 (rung 2) for 600 s"
    asker.state("inspection/detect/variant", variant="conveyor_96", rung=2, pinned=True)
    assert asker.ask("inspection/detect/variant/set", "1")["ok"]
    asker.state("inspection/detect/variant", variant="conveyor_160", rung=1, pinned=True)
    assert asker.ask("inspection/detect/variant/set", "auto")["ok"]
    asker.state("inspection/detect/variant", variant="conveyor_256", rung=0, pinned=False)
    reply = asker.ask("inspection/detect/variant/set", '{"variant": 1, "for_s": 0.05}')
    assert reply["ok"]
    asker.state("inspection/detect/variant", pinned=False, rung=0)  # it has expired
    reply = asker.ask("inspection/detect/variant/set", "conveyor_95")
    assert not reply["ok"]
    assert "did you mean 'conveyor_96'" in reply["said"]


def test_a_threshold_changes_what_the_model_finds(device: Device) -> None:
    """And is kept by what is opened next."""
    _, asker, _ = device
    reply = asker.ask("inspection/detect/min_score/set", "1")
    assert reply["said"] == "min_score of inspection/detect is 1.0, it was 0.5"
    asker.state("inspection/parts", count=0)
    settings = {"min_score": 1.0, "max_iou": 0.5, "max_count": 100}
    asker.state("inspection/detect/settings", values=settings)
    assert asker.ask("inspection/set", "OFF")["ok"]
    asker.state("inspection/state", state="paused")
    assert asker.ask("inspection/set", "ON")["ok"]
    asker.state("inspection/state", state="running")
    before = len(asker.heard)
    wait_until(
        lambda: [o.topic for o in asker.heard[before:]].count(f"{BELOW}inspection/parts") > 5,
        "more results",
    )
    assert asker.newest("inspection/parts")["count"] == 0
    assert asker.ask("inspection/detect/min_score/set", "0.5")["ok"]
    wait_until(lambda: asker.newest("inspection/parts")["count"] > 0, "something to be found")


def test_a_snapshot_comes_as_a_picture(device: Device) -> None:
    _, asker, _ = device
    before = len(asker.heard)
    assert asker.ask("inspection/parts/snapshot/set", "now")["ok"]
    topic = f"{BELOW}inspection/parts/snapshot"
    wait_until(lambda: any(one.topic == topic for one in asker.heard[before:]), "a picture")
    [picture] = [one for one in asker.heard[before:] if one.topic == topic]
    seen = cv2.imdecode(np.frombuffer(picture.payload, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert min(seen.shape[:2]) > 100
    properties: Any = picture.properties
    assert properties.ContentType == "image/jpeg"
    assert not picture.retain


def test_a_client_of_mqtt_3_finds_the_reply_on_the_topic_of_the_device(
    device: Device, system_program: Callable[[str, str], str]
) -> None:
    running, asker, folder = device
    program = system_program("mosquitto_pub", "mosquitto-clients")
    port = (folder / "device.yaml").read_text().partition("port: ")[2].split()[0]
    for topic, payload, said in (
        ("pump/set", "ON", "'pump' is on already (running)"),
        ("inspection/detect/variant/set", "auto", "inspection/detect follows heat and load"),
        ("inspection/faulty/min_score/set", "0", "min_score of inspection/faulty is 0.0 already"),
        ("inspection/belt/snapshot/set", "x", "a picture of "),
        ("set", "reload", "inspection, pump unchanged"),
    ):
        after = len(asker.heard)
        command = [program, "-V", "311", "-p", port, "-q", "1", "-t", BELOW + topic, "-m", payload]
        subprocess.run(command, check=True, timeout=20)
        reply = asker.reply(topic, after)
        assert reply["ok"], running.log()
        assert reply["said"].startswith(said)


def test_a_changed_file_is_reloaded_by_command_by_signal_and_by_hand(device: Device) -> None:
    """The other pipeline runs on; the fixture sees at the end that it lost nothing."""
    running, asker, folder = device
    file = folder / "inspection_demo.yaml"
    text = file.read_text()

    def live() -> float:
        return float(asker.newest("inspection/detect/settings")["values"]["min_score"])

    file.write_text(text.replace("min_score: 0.5", "min_score: 0.6"))
    assert asker.ask("set", "reload")["said"] == "inspection started anew; pump unchanged"
    wait_until(lambda: live() == 0.6, "another threshold")
    file.write_text(text.replace("min_score: 0.5", "min_score: 0.7"))
    running._process.send_signal(signal.SIGHUP)
    wait_until(lambda: live() == 0.7, "one more")
    file.write_text(text.replace("min_score: 0.5", "min_scor: 0.7"))
    reply = asker.ask("set", "reload")
    assert not reply["ok"]
    assert "did you mean 'min_score'" in reply["said"]
    running._process.send_signal(signal.SIGHUP)
    wait_until(lambda: running.log().count("reload refused") == 2, "a line in the log")
    asker.state("inspection/state", state="running")
    file.write_text(text)
    assert _by_hand(folder, "reload") == "inspection started anew; pump unchanged"
    said = _by_hand(folder, "tune", "detect", "max_count", "-3")
    assert said == (
        "edgeapp: stage 'detect': max_count must be a whole number from 1 to 1000, not -3"
    )
    said = _by_hand(folder, "tune", "inspection/detect", "max_count", "50")
    assert said == "max_count of inspection/detect is 50, it was 100"


def _by_hand(folder: Path, *arguments: str) -> str:
    command = [str(COMMAND), *arguments, "--device", str(folder / "device.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("inspection/set", "maybe", "the payload here is ON or OFF"),
        ("inspection/detect/variant/set", "{", "its payload is not JSON"),
        ("inspection/set", bytes(1_000_000), "its payload has 1,000,000 bytes"),
        ("inspection/set", b"\xff\xfe\x00", "its payload is not UTF-8"),
        ("inspection/detect/min_score/set", "2", "must be a number from 0.001 to 1, not 2"),
        ("inspection/detect/labels/set", "x", "cannot be changed while it runs"),
        ("inspection/nothing/min_score/set", "1", "there is no stage 'nothing'"),
        ("inspection/detect/set", "1", "there is no such command"),
        ("nobody/set", "ON", "there is no pipeline 'nobody'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_wrong_is_answered_and_nothing_stops(
    device: Device, topic: str, payload: bytes | str, why: str
) -> None:
    running, asker, _ = device
    reply = asker.ask(topic, payload)
    assert not reply["ok"]
    assert why in reply["said"]
    assert not running.ended()


def test_a_flood_of_commands_is_answered_in_part_and_nothing_stops(device: Device) -> None:
    running, asker, _ = device
    after = len(asker.heard)
    before = running.log().count("command done")
    for _ in range(2_000):
        last = asker._client.publish(f"{BELOW}pump/set", "ON", 1)
    reply = asker.reply("", after)
    assert "commands were refused: at most" in reply["said"]
    last.wait_for_publish(60)
    assert running.log().count("command done") - before < 1_000
    after = len(asker.heard)

    def answered() -> bool:
        asker.publish("pump/set", "ON")
        return any(one.topic == f"{BELOW}reply" for one in asker.heard[after:])

    wait_until(answered, "an answer when it is over")


def test_what_the_device_file_does_not_allow_is_not_done_nor_what_is_retained(
    system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """The retained one waits on the broker before the device comes, and after each reconnect."""
    pump = tmp_path / "pump.yaml"
    pump.write_text(PUMP)
    with Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path) as broker:
        with Asker(broker.port) as asker:
            asker.publish("pump/set", "OFF", retain=True)
            more = "  commands: [enable]"
            with Running(tmp_path, pump, port=broker.port, more=more) as running:
                reply = asker.reply("pump/set", 0)
                assert not reply["ok"]
                assert reply["said"].startswith("it is retained")
                for verb, topic, payload in (
                    ("reload", "set", "reload"),
                    ("tune", "pump/window/hop_s/set", "1"),
                    ("snapshot", "pump/window/snapshot/set", ""),
                    ("pin", "pump/window/variant/set", "auto"),
                ):
                    reply = asker.ask(topic, payload)
                    assert not reply["ok"]
                    assert f"'{verb}' is not allowed here" in reply["said"]
                asker.state("pump/state", state="running")
                broker.stop()
                broker.start()
                wait_until(lambda: running.log().count("broker reached") == 2, "a reconnect")
                wait_until(lambda: running.log().count("it is retained") >= 2, "it is told again")
                wait_until(asker._client.is_connected, "the asker is back")
                assert asker.ask("pump/set", "OFF")["ok"]
                asker.state("pump/state", state="paused")
                code, _ = running.stop()
        assert code == 0
        assert "Traceback" not in running.log()


def test_a_device_that_sends_nothing_can_be_commanded_too(
    system_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    """And forgets nothing of what it holds at the broker when it stops."""
    quiet = tmp_path / "quiet.yaml"
    quiet.write_text(PUMP.replace("  send: {output: mqtt}\n", ""))
    with (
        Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path) as broker,
        Asker(broker.port) as asker,
        Running(tmp_path, quiet, port=broker.port, more="  commands: [enable]") as running,
    ):
        asker.state("pump/state", state="running")
        assert asker.ask("pump/set", "off")["ok"]
        asker.state("pump/state", state="paused")
        code, _ = running.stop()
        assert code == 0
        asker.state("pump/state", state="stopped")
