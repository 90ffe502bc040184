"""The discovery message: every field of it against what Home Assistant documents."""

import importlib
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import (
    Detections,
    Event,
    Features,
    Labels,
    Mask,
    Packet,
    Pose,
    Score,
    Tracks,
    event_id,
)
from edgeapp.config.device import read_device
from edgeapp.outputs.encoder import BodyEncoder
from edgeapp.plan.arriving import arriving
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.plan.tuning import settings_of
from edgeapp.service.discovery.payload import Discovery, discover, discovery_topic
from edgeapp.service.discovery.results import Names
from tests.service.discovery.home_assistant import mistakes

ALL = frozenset({"enable", "pin", "tune", "snapshot", "reload"})
EXAMPLES = (
    "crop_health",
    "inspection_demo",
    "predictive_maintenance",
    "smart_camera",
    "sound_events",
    "visual_servo",
)
KNOWN = {
    ("field", "health"): Names(labels=("soil", "weak", 'odd "label" }} ö 😀')),
    ("many", "all"): Names(features=(("x.rms", "m/s²"), ("x.crest", "1"))),
}

MANY = """
name: many
stages:
  camera: {source: camera, device: 0}
  found:
    model: detector
    layout: yolox
    variants: [{file: MODELS/conveyor_256.onnx}, {file: MODELS/conveyor_96.onnx, name: auto}]
    labels: MODELS/conveyor_labels.txt
  follow: {transform: track}
  who: {output: mqtt, from: [found, follow], retain: true, on_change: count, ttl_s: 30}
  here: {output: mqtt, from: follow, topic: door/who, every_s: 5, ttl_s: 2}
  picture: {output: snapshot, from: found, shows: best}
  seen: {output: mqtt, from: found, topic: both}
  kept: {output: mqtt, from: follow, topic: both}
  bear: {source: bearing}
  numbers: {transform: features}
  odd: {transform: anomaly}
  all: {output: mqtt, from: [numbers, odd]}
  room: {source: sounds, rate_hz: 16000}
  windows: {transform: window, length_samples: 15600, hop_samples: 3840}
  bands: {transform: logmel, preset: yamnet}
  listen:
    model: sound
    variants: [MODELS/sounds_small.onnx]
    labels: MODELS/sounds_labels.txt
  hear: {output: mqtt}
  heard: {transform: episodes, from: listen, label: siren}
  alarm: {output: mqtt}
"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Plan]:
    """All examples, and one pipeline with all that an output may say."""
    repo = Path(__file__).resolve().parents[3]
    folder = tmp_path_factory.mktemp("plans")
    (folder / "device.yaml").write_text("device: porch-1")
    many = folder / "many.yaml"
    many.write_text(MANY.replace("MODELS", str(repo / "pipelines" / "models")))
    files = [many]
    for name in EXAMPLES:
        file = repo / "pipelines" / f"{name}.yaml"
        if name == "smart_camera":  # its models are fetched; any picture's detector will do here
            text = file.read_text(encoding="utf-8")
            models = repo / "pipelines" / "models"
            text = text.replace("models/yolox_nano.onnx", str(models / "conveyor_96.onnx"))
            text = text.replace(
                "models/lightweight_person_192.onnx", str(models / "conveyor_160.onnx")
            )
            text = text.replace("one-by-one-person-detection.mp4", "/dev/video0")
            file = folder / "smart_camera.yaml"
            file.write_text(text)
        files.append(file)
    device = read_device(folder / "device.yaml")
    return {
        name: load([file], device=device, open_models=False)[0]
        for name, file in zip(("many", *EXAMPLES), files, strict=True)
    }


def said(plans: Any, *names: str, commands: frozenset[str] = ALL, **more: Any) -> Discovery:
    return discover(
        "porch-1",
        [plans[name] for name in names],
        prefix="edgeapp",
        commands=commands,
        known=KNOWN,
        **more,
    )


def components(discovery: Discovery) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(discovery.payload)["cmps"]
    return found


@pytest.mark.parametrize("commands", [ALL, frozenset()], ids=["all commands", "no commands"])
@pytest.mark.parametrize("name", [*EXAMPLES, "many"])
def test_every_field_is_as_documented(plans: Any, name: str, commands: frozenset[str]) -> None:
    found = said(plans, name, commands=commands)
    topic = discovery_topic("homeassistant", "porch-1", "edgeapp")
    assert topic == "homeassistant/device/edgeapp-porch-1/config"
    assert list(mistakes(topic, found.payload)) == []
    assert not found.left_out


def test_a_device_with_all_of_them_is_as_documented_too(plans: Any) -> None:
    found = said(plans, "many", *EXAMPLES, hardware="Raspberry Pi 4 Model B")
    assert list(mistakes("homeassistant/device/edgeapp-porch-1/config", found.payload)) == []
    assert json.loads(found.payload)["dev"]["hw"] == "Raspberry Pi 4 Model B"


def test_the_check_of_the_fields_finds_what_is_wrong(plans: Any) -> None:
    """So that the tests above can fail."""
    message = json.loads(said(plans, "many").payload)
    topic = "homeassistant/device/edgeapp-porch-1/config"

    def wrong(*path: str, value: object = None, topic: str = topic) -> list[str]:
        copy = json.loads(json.dumps(message))
        inner = copy
        for key in path[:-1]:
            inner = inner[key]
        if path and value is None:
            del inner[path[-1]]
        elif path:
            inner[path[-1]] = value
        return list(mistakes(topic, json.dumps(copy).encode()))

    assert wrong(topic="homeassistant/device/porch.1/config")
    assert wrong("o")
    assert wrong("o", "nmae", value="x")
    assert wrong("dev", "ids")
    assert wrong("dev", "vendor", value="x")
    assert wrong("cmps", "many.enabled", "unique_id")
    assert wrong("cmps", "many.enabled", "command_topic")
    assert wrong("cmps", "many.enabled", "unit_of_measurement", value="x")
    assert wrong("cmps", "many.enabled", "p", value="swich")
    assert wrong("cmps", "many.here.count", "state_class", value="mean")
    assert wrong("cmps", "many.here.count", "device_class", value="people")
    assert wrong("cmps", "many.here.count", "expire_after", value="soon")
    assert wrong("cmps", "many.here.count", "entity_category", value="config")
    assert wrong("cmps", "many.here.count", "state_topic", value="a/#")
    assert wrong(
        "cmps", "many.here.count", "unique_id", value=message["cmps"]["connection"]["unique_id"]
    )
    assert wrong("cmps", "two words", value=message["cmps"]["connection"])
    assert wrong() == []


def test_without_commands_nothing_can_be_steered(plans: Any) -> None:
    found = components(said(plans, "many", "smart_camera", commands=frozenset()))
    assert {one["p"] for one in found.values()} == {"sensor", "binary_sensor", "event", "image"}
    assert "command_topic" not in json.dumps(found)
    assert found["porch.running"]["p"] == "binary_sensor"


def test_ids_are_stable_and_names_are_read_by_people(plans: Any) -> None:
    found = components(said(plans, "many"))
    assert found["many.here.count"]["unique_id"] == "edgeapp-porch-1.many.here.count"
    assert found["many.here.count"]["name"] == "Many here count"
    assert found["many.here.count"]["state_topic"] == "edgeapp/porch-1/door/who"
    assert found["many.follow.option.min_hits"]["name"] == "Many follow min hits"
    assert said(plans, "many").payload == said(plans, "many").payload


def test_each_command_has_its_place(plans: Any) -> None:
    found = components(said(plans, "many"))
    below = "edgeapp/porch-1/"
    assert found["reload"]["command_topic"] == f"{below}set"
    assert found["many.enabled"]["command_topic"] == f"{below}many/set"
    pin = found["many.found.pin"]
    assert pin["command_topic"] == f"{below}many/found/variant/set"
    assert pin["options"] == ["auto", "conveyor_256"]  # and a variant called auto cannot be told
    assert found["many.camera.take"]["command_topic"] == f"{below}many/camera/snapshot/set"
    assert found["many.camera.snapshot"]["image_topic"] == f"{below}many/camera/snapshot"
    hits = found["many.follow.option.min_hits"]
    assert hits["command_topic"] == f"{below}many/follow/min_hits/set"
    assert (hits["p"], hits["step"]) == ("number", 1)
    assert hits["min"] >= 1


def test_a_number_has_the_bounds_of_its_option(plans: Any) -> None:
    for plan in plans.values():
        found = components(said({"it": plan}, "it"))
        for stage in plan.stages.values():
            for option, value in settings_of(stage).items():
                number = found.get(f"{plan.name}.{stage.id}.option.{option}", {})
                if number.get("p") == "number" and isinstance(value, int | float):
                    assert number["min"] <= value <= number["max"], (stage.id, option)


def test_a_value_expires_when_its_output_says_so(plans: Any) -> None:
    found = components(said(plans, "many"))
    assert found["many.who.tracks.count"]["expire_after"] == 30
    assert found["many.here.count"]["expire_after"] == 10  # twice its pace, which is longer
    assert "expire_after" not in found["many.alarm.event"]


def test_what_does_not_fit_is_left_out_the_least_important_first(plans: Any) -> None:
    whole = said(plans, "many", "smart_camera")
    for max_bytes in range(2_000, len(whole.payload) + 1_000, 1_500):
        found = said(plans, "many", "smart_camera", max_bytes=max_bytes)
        assert len(found.payload) <= max_bytes
        assert set(found.components) | set(found.left_out) == set(whole.components)
        assert not list(mistakes("homeassistant/device/edgeapp-porch-1/config", found.payload))
    assert not said(plans, "many", "smart_camera", max_bytes=len(whole.payload) + 1_000).left_out
    some = said(plans, "many", "smart_camera", max_bytes=12_000)
    assert "many.enabled" in some.components
    assert "many.follow.option.min_hits" in some.left_out


def test_a_component_that_vanished_is_removed_by_its_platform_alone(plans: Any) -> None:
    found = said(plans, "many", vanished={"old.gone.count": "sensor", "many.here.count": "sensor"})
    assert components(found)["old.gone.count"] == {"p": "sensor"}
    assert "unique_id" in components(found)["many.here.count"]  # it is back
    assert "old.gone.count" not in found.components


def test_what_arrives_at_an_output_is_known(plans: Any) -> None:
    comes = arriving(plans["many"])
    assert comes["who"] == (Detections, Tracks)
    assert comes["all"] == (Features, Score)


# -- templates ----------------------------------------------------------------------------------

BOX = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.6, 0.6]], np.float32)
FOUND = Detections(BOX, np.array([0.9, 0.5], np.float32), np.zeros(2, np.int32), ("cat",))
TRACKS = Tracks(FOUND.xyxy, FOUND.scores, FOUND.classes, FOUND.labels, ids=np.array([1, 2]))
HEARD = event_id("heard", random.Random(1))
SIREN = Event("new", HEARD, "sound", "siren", 0, facts={"zone": "a"})


def message(value: Any, *, replay: bool = False) -> dict[str, Any]:
    body = BodyEncoder("many", "x").encode(Packet(value, "camera", 0, 1, 0, 10**9, 0, 0, 0, ()))
    envelope = {"id": "porch-1/1/1", "time": "2026-11-22T12:03:04.567Z", "clock": "synced"}
    return {**envelope, "age_ms": 1.0, "replay": replay, **json.loads(body)}


@pytest.fixture(scope="module")
def render() -> Any:
    """Renders a template as Home Assistant does: sandboxed jinja2, with `value_json` where it is."""
    pytest.importorskip("jinja2", reason="jinja2 is needed to evaluate templates")
    sandbox = importlib.import_module("jinja2.sandbox")
    undefined = importlib.import_module("jinja2").StrictUndefined
    environment = sandbox.ImmutableSandboxedEnvironment(undefined=undefined)

    def rendered(template: str, payload: object) -> str:
        value = payload if isinstance(payload, str) else json.dumps(payload)
        variables: dict[str, Any] = {"value": value, "this": {"state": "as before"}}
        if not isinstance(payload, str):
            variables["value_json"] = payload
        text: str = environment.from_string(template).render(variables)
        return text.strip()

    return rendered


@pytest.mark.parametrize(
    ("component", "payload", "state"),
    [
        ("connection", "online", "ON"),
        ("connection", "stopped", "OFF"),
        ("outbox", {"store": "memory", "problem": "no space", "dead": 2}, "ON"),
        ("outbox", {"store": "disk", "problem": "", "dead": 2}, "OFF"),
        ("dead", {"store": "disk", "problem": "", "dead": 2}, "2"),
        ("many.enabled", {"state": "running", "why": ""}, "ON"),
        ("many.enabled", {"state": "failed", "why": "it broke"}, "ON"),
        ("many.enabled", {"state": "paused", "why": ""}, "OFF"),
        ("many.state", {"state": "waiting", "why": "no camera"}, "waiting"),
        (
            "many.found.variant",
            {"variant": "conveyor_96", "rung": 1, "pinned": True},
            "conveyor_96",
        ),
        ("many.found.pin", {"variant": "conveyor_256", "rung": 1, "pinned": True}, "conveyor_256"),
        ("many.found.pin", {"variant": "conveyor_256", "rung": 1, "pinned": False}, "auto"),
        ("many.follow.option.min_hits", {"values": {"min_hits": 3}}, "3"),
        ("many.here.count", message(TRACKS), "2"),
        ("many.here.count", message(TRACKS, replay=True), ""),
        ("many.who.detections.count", message(FOUND), "2"),
        ("many.who.detections.count", message(TRACKS), ""),
        ("many.who.tracks.count", message(TRACKS), "2"),
        ("many.seen.count", {**message(FOUND), "stage": "seen"}, "2"),
        ("many.seen.count", {**message(TRACKS), "stage": "kept"}, ""),
        ("many.all.score.score", message(Score(1.25)), "1.25"),
        ("many.all.score.score", message(Score(float("nan"))), "None"),
        ("many.all.score.score", message(Score(0.0, ready=False, progress=0.376)), "None"),
        ("many.all.score.learned", message(Score(0.0, ready=False, progress=0.376)), "38.0"),
        (
            "many.all.features.value.x.rms",
            message(Features(np.array([0.5, 3.0]), ("x.rms", "x.crest"), ("m/s²", "1"))),
            "0.5",
        ),
        ("many.all.features.value.x.rms", message(Score(1.0)), ""),
        ("many.hear.label", message(Labels(np.array([0.2, 0.7], np.float32), ("a", "b"))), "b"),
        ("many.hear.label", message(Labels(np.array([], np.float32), ())), "None"),
        (
            "many.hear.label",
            message(Labels(np.array([0.7], np.float32), ("a",)), replay=True),
            "as before",
        ),
        ("many.alarm.on.heard.siren", message(SIREN), "ON"),
        ("many.alarm.on.heard.siren", message(SIREN, replay=True), ""),
        (
            "many.alarm.on.heard.siren",
            message(Event("end", HEARD, "sound", "siren", 0)),
            "OFF",
        ),
        (
            "many.alarm.on.heard.siren",
            message(Event("end", event_id("heard-x", random.Random(1)), "sound", "siren", 0)),
            "",
        ),
    ],
)
def test_templates_read_our_messages(
    plans: Any, render: Any, component: str, payload: object, state: str
) -> None:
    assert render(components(said(plans, "many"))[component]["value_template"], payload) == state


def test_an_event_is_rendered_as_the_json_that_is_asked_for(plans: Any, render: Any) -> None:
    """Also when it comes late: what happened, happened."""
    event = components(said(plans, "many"))["many.alarm.event"]
    for replay in (False, True):
        told = json.loads(render(event["value_template"], message(SIREN, replay=replay)))
        assert told["event_type"] in event["event_types"]
        assert (told["label"], told["facts"], told["replay"]) == ("siren", {"zone": "a"}, replay)


def test_areas_and_poses_are_read_whatever_a_label_holds(plans: Any, render: Any) -> None:
    odd = KNOWN["field", "health"].labels[2]
    mask = message(Mask(np.array([[0, 1, 2, 2]], np.uint8), ("soil", "weak", odd)))
    field = components(said(plans, "crop_health"))
    areas = [one for id_, one in field.items() if id_.startswith("field.health.area.")]
    assert [render(one["value_template"], mask) for one in areas] == ["25.0", "25.0", "50.0"]
    pose = message(Pose(np.array([0.0121, -0.0033, 0.05]), np.zeros(3), "marker 7", 0.3))
    gripper = components(said(plans, "visual_servo"))
    assert render(gripper["gripper.steer.y_m"]["value_template"], pose) == "-0.0033"


def test_the_device_is_there_only_while_it_is_online(plans: Any, render: Any) -> None:
    whole = json.loads(said(plans, "many").payload)
    template = whole["availability"][0]["value_template"]
    states = {status: render(template, status) for status in ("online", "offline", "stopped")}
    assert states == {"online": "online", "offline": "offline", "stopped": "offline"}
    [device, pipeline] = whole["cmps"]["many.here.count"]["availability"]
    assert (device["topic"], device["value_template"]) == ("edgeapp/porch-1/status", template)
    assert pipeline["topic"] == "edgeapp/porch-1/many/state"
    assert render(pipeline["value_template"], {"state": "running"}) == "online"
    assert render(pipeline["value_template"], {"state": "waiting"}) == "offline"
    [own] = whole["cmps"]["connection"]["availability"]
    assert render(own["value_template"], "offline") == "online"


def templates(config: Mapping[str, Any]) -> Iterator[str]:
    for key, value in config.items():
        if key.endswith("_template"):
            yield value
        elif isinstance(value, dict):
            yield from templates(value)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    yield from templates(one)


def test_every_template_parses(plans: Any) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is needed to evaluate templates")
    environment = importlib.import_module("jinja2.sandbox").ImmutableSandboxedEnvironment()
    whole = json.loads(said(plans, "many", *EXAMPLES).payload)
    found = list(templates(whole))
    assert len(found) > 100
    for template in found:
        environment.parse(template)
