"""The whole way: `edgeapp run` as a process, a real broker, and an independent client."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.device import Running
from tests.servers.mosquitto import Listener, Mosquitto, wait_until
from tests.service.discovery.home_assistant import mistakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TOPIC = "homeassistant/device/edgeapp-test/config"
PUMP = """
name: pump
stages:
  bear: {source: bearing}
  numbers: {transform: features}
  tell: {output: mqtt, every_s: 1, retain: true}
  odd: {transform: anomaly, from: numbers}
  trend: {output: mqtt, on_change: ready, ttl_s: 60}
  high: {transform: gate, from: odd, rise_above: 2.0, fall_below: 1.0}
  warn: {output: mqtt}
  eye: {source: conveyor, rate_hz: 5}
  small: {transform: resize, size: [64, 48]}
  picture: {output: snapshot, every_s: 1, retain: true}
"""
ASKED = "  home_assistant: {}\n  commands: [enable, pin, tune, snapshot, reload]"

System = Callable[[str, str], str]


def retained(client: str, port: int, topic: str) -> str | None:
    """What the broker keeps on a topic, as someone hears who asks only now."""
    asked = [client, "-p", str(port), "-t", topic, "-C", "1", "-W", "3", "--retained-only"]
    heard = subprocess.run(asked, capture_output=True, text=True, check=False)
    return heard.stdout.rstrip("\n") if heard.returncode == 0 else None


def components(payload: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload)["cmps"]
    return found


def test_a_device_is_discovered_kept_up_to_date_and_taken_back(
    tmp_path: Path, system_program: System
) -> None:
    client = system_program("mosquitto_sub", "mosquitto-clients")
    publish = system_program("mosquitto_pub", "mosquitto-clients")
    file = tmp_path / "pump.yaml"
    file.write_text(PUMP)
    broker = Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path)
    with broker, Listener(client, broker.port, "homeassistant/#") as listener:
        with Running(tmp_path, file, port=broker.port, more=ASKED) as device:

            def kept(topic: str) -> bool:
                return retained(client, broker.port, topic) is not None

            def learned() -> bool:
                told = listener.payloads(TOPIC)
                return bool(told) and "pump.tell.value.x.rms" in told[-1]

            wait_until(learned, "the names of the features")
            announced = listener.payloads(TOPIC)[-1]
            assert list(mistakes(TOPIC, announced.encode())) == []
            wait_until(lambda: retained(client, broker.port, TOPIC) == announced, "it is kept")
            found = components(announced)
            states = {one["state_topic"] for one in found.values() if "state_topic" in one}
            states -= {"edgeapp/test/pump/trend", "edgeapp/test/pump/warn"}
            for topic in sorted(states | {"edgeapp/test/status"}):
                wait_until(partial(kept, topic), topic)

            pressed = found["pump.high.option.rise_above"]["command_topic"]
            subprocess.run(
                [publish, "-p", str(broker.port), "-t", pressed, "-m", "2.5"], check=True
            )
            settings = found["pump.high.option.rise_above"]["state_topic"]
            wait_until(
                lambda: '"rise_above":2.5' in (retained(client, broker.port, settings) or ""),
                "the option that was set",
            )

            before = len(listener.payloads(TOPIC))
            born = [publish, "-p", str(broker.port), "-t", "homeassistant/status", "-m", "online"]
            subprocess.run(born, check=True)
            wait_until(lambda: len(listener.payloads(TOPIC)) > before, "the answer to a start")
            assert listener.payloads(TOPIC)[-1] == announced

            before = len(listener.payloads(TOPIC))
            broker.stop()
            broker.start()
            wait_until(lambda: len(listener.payloads(TOPIC)) > before, "said at the reconnect")
            device.stop()

        file.write_text(PUMP.replace("  warn: {output: mqtt}\n", ""))
        with Running(tmp_path, file, port=broker.port, more=ASKED) as device:
            removal = '"pump.warn.score":{"p":"sensor"}'
            wait_until(lambda: removal in listener.payloads(TOPIC)[-1], "the removal of a sensor")
            device.stop()

        with Running(tmp_path, file, port=broker.port) as device:
            wait_until(lambda: listener.payloads(TOPIC)[-1] == "", "the topic is emptied")
            assert retained(client, broker.port, TOPIC) is None
            device.stop()


def test_pictures_come_through_with_their_type(tmp_path: Path, system_program: System) -> None:
    """What the image component promises: a JPEG as it is; MQTT 5 says so too."""
    client = system_program("mosquitto_sub", "mosquitto-clients")
    file = tmp_path / "pump.yaml"
    file.write_text(PUMP)
    with (
        Mosquitto(system_program("mosquitto", "mosquitto"), tmp_path) as broker,
        Running(tmp_path, file, port=broker.port, more=ASKED) as device,
    ):
        asked = [client, "-p", str(broker.port), "-V", "5", "-t", "edgeapp/test/pump/picture", "-C",
                 "1", "-W", "30", "-F", "%C %P %x"]  # fmt: skip
        heard = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        device.stop()
    kind, *properties, body = heard.split()
    assert kind == "image/jpeg"
    assert any(one.startswith("id:test/1/") for one in properties), heard[:200]
    assert body.startswith("ffd8")
    assert body.endswith("ffd9")
