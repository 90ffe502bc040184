"""The smart camera on a real clip: from the file, and from a camera on the network that fails."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.pipelines.device import REPO, Running, with_files
from tests.servers.mosquitto import Listener, Mosquitto, wait_until
from tests.servers.rtsp import RtspServer, skip_without_gstreamer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOPIC = "edgeapp/test/porch/announce"
ALL = "edgeapp/test/porch/all"


@pytest.fixture
def pipeline(tmp_path: Path, data_dir: Path) -> Path:
    """The example, with its clip and its two models where it looks for them."""
    return with_files(
        tmp_path,
        "smart_camera.yaml",
        [(data_dir / "video" / name, name) for name in ("one-by-one-person-detection.mp4",)]
        + [
            (data_dir / "models" / name, f"models/{name}")
            for name in ("yolox_nano.onnx", "lightweight_person_192.onnx")
        ],
    )


def validator(payload: str = "detections") -> jsonschema.Draft202012Validator:
    schema = json.loads((REPO / "docs" / "schemas" / f"{payload}.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def announced(listener: Listener, topic: str = TOPIC) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in listener.payloads(topic)]


def iou(a: list[float], b: list[float]) -> float:
    """Of two boxes [x, y, width, height]."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inner = max(0.0, wide) * max(0.0, high)
    return inner / (a[2] * a[3] + b[2] * b[3] - inner)


def test_every_frame_of_the_file_arrives_with_the_boxes_it_should_have(
    tmp_path: Path, pipeline: Path, system_program: Callable[[str, str], str]
) -> None:
    """1,394 frames through a real broker: in order, valid, and equal to a separate decoder's."""
    broker = system_program("mosquitto", "mosquitto")
    subscriber = system_program("mosquitto_sub", "mosquitto-clients")
    text = pipeline.read_text() + "  all: {output: mqtt, from: detect}\n"
    pipeline.write_text(text)
    with (
        Mosquitto(broker, tmp_path) as mosquitto,
        Listener(subscriber, mosquitto.port, "edgeapp/#") as listener,
        Running(tmp_path, pipeline, "--set", "camera.speed=fast", port=mosquitto.port) as running,
    ):
        code, _ = running.wait()
        listener.wait_for("edgeapp/test/status", "stopped")
        messages = announced(listener, ALL)
        events = announced(listener)
    assert code == 0, running.log()
    assert [message["seq"] for message in messages] == list(range(1394))
    assert len({message["id"] for message in messages + events}) == len(messages) + len(events)
    check = validator()
    for message in messages:
        check.validate(message)
    assert {message["variant"] for message in messages} == {"yolox_nano"}
    the_six_come_and_go(events)
    expected = json.loads((REPO / "tests" / "reference" / "expected_boxes.json").read_text())
    compared = 0
    for frame, boxes in expected["yolox_nano"].items():
        sure = [box for box in boxes if box["score"] >= 0.47]  # what the file was made for
        found = messages[int(frame)]
        for box in sure:
            left, top, right, bottom = box["box"]
            best = max(iou(f, [left, top, right - left, bottom - top]) for f in found["boxes"])
            assert best >= 0.9, (frame, box)
            compared += 1
        assert sum(score >= 0.47 for score in found["scores"]) == len(sure)
    assert compared >= 10
    print(f"\n{len(messages)} frames, {len(events)} events, {compared} boxes compared")
    assert len(list((tmp_path / "data").rglob("*.jpg"))) == 6


def the_six_come_and_go(events: list[dict[str, Any]]) -> None:
    """What the hand-made list says, as a subscriber sees it: six visits, exits and stays."""
    check = validator("event")
    for event in events:
        check.validate(event)
    assert {event["label"] for event in events} == {"person"}
    for kind in ("track", "line", "zone"):
        named = {
            phase: [e["event"] for e in events if e["kind"] == kind and e["phase"] == phase]
            for phase in ("new", "end")
        }
        assert len(named["new"]) == len(set(named["new"])) == 6, kind
        assert sorted(named["new"]) == sorted(named["end"]), kind
    crossings = [event["facts"] for event in events if event["kind"] == "line"]
    assert [facts["track"] for facts in crossings[::2]] == [1, 2, 3, 4, 5, 6]
    assert (crossings[-1]["out"], crossings[-1]["in"]) == (6, 0)


def test_a_network_camera_is_answered_through_freeze_kill_and_return(
    tmp_path: Path, pipeline: Path, data_dir: Path, system_program: Callable[[str, str], str]
) -> None:
    """Silence is noticed, retried, and the next epoch begins when the camera is back."""
    skip_without_gstreamer()
    broker = system_program("mosquitto", "mosquitto")
    subscriber = system_program("mosquitto_sub", "mosquitto-clients")
    pipeline.write_text(pipeline.read_text() + "  all: {output: mqtt, from: detect}\n")
    clip = data_dir / "video" / "one-by-one-person-detection.mp4"
    with (
        Mosquitto(broker, tmp_path) as mosquitto,
        RtspServer(clip) as server,
        Listener(subscriber, mosquitto.port, ALL) as listener,
        Running(
            tmp_path, pipeline, "--set", f"camera.device={server.url}", port=mosquitto.port
        ) as running,
    ):

        def epochs() -> list[int]:
            return [message["epoch"] for message in announced(listener, ALL)]

        wait_until(lambda: len(epochs()) >= 5, "frames from the network")
        server.freeze()
        frozen = time.monotonic()
        wait_until(lambda: "unavailable" in running.log(), "the silence is noticed")
        noticed_s = time.monotonic() - frozen
        before = max(epochs())
        thawed = time.monotonic()
        server.thaw()
        wait_until(lambda: max(epochs()) > before, "frames again after the freeze")
        reopened_s = time.monotonic() - thawed
        log_length = len(running.log())
        killed = time.monotonic()
        server.kill()
        wait_until(lambda: "unavailable" in running.log()[log_length:], "the loss is noticed")
        lost_s = time.monotonic() - killed
        before = max(epochs())
        started = time.monotonic()
        server.start()
        wait_until(lambda: max(epochs()) > before, "frames again after the restart")
        returned_s = time.monotonic() - started
        code, _ = running.stop(signal.SIGTERM)
        messages = announced(listener, ALL)
    print(
        f"\nsilence noticed after {noticed_s:.1f} s, frames {reopened_s:.1f} s after thaw; "
        f"kill noticed after {lost_s:.1f} s, frames {returned_s:.1f} s after the restart"
    )
    assert code == 0
    assert "Traceback" not in running.log()
    check = validator()
    for message in messages:
        check.validate(message)
    keys = [(message["epoch"], message["seq"]) for message in messages]
    assert keys == sorted(set(keys))
