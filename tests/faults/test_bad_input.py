"""Broken files and sources that are not there: a clear sentence or a counted drop.

In each trial a healthy pipeline runs beside the one with the trouble, and loses nothing.
"""

import http.server
import json
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.trial import Trial, attempt, refused
from tests.pipelines.device import REPO
from tests.servers.mosquitto import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Unharmed = Callable[..., None]
MODEL = REPO / "pipelines" / "models" / "conveyor_96.onnx"
LABELS = REPO / "pipelines" / "models" / "conveyor_labels.txt"


def watching(device: object, *options: str, model: Path = MODEL, labels: object = LABELS) -> str:
    """A pipeline that answers every picture of a camera."""
    camera = ", ".join(["source: camera", f"device: {json.dumps(str(device))}", *options])
    return f"""
name: other
stages:
  camera: {{{camera}}}
  detect: {{model: detector, variants: ["{model}"], labels: "{labels}"}}
  found: {{output: jsonl, file: found.jsonl}}
"""


def listening(device: object, *options: str) -> str:
    """A pipeline that answers every block of a recording of the pump."""
    return f"""
name: other
stages:
  pump: {{source: vibration, device: "{device}", rate_hz: 10, block_s: 1, {", ".join(options)}}}
  window: {{transform: window, length_s: 10, hop_s: 5}}
  features: {{transform: features}}
  found: {{output: jsonl, file: found.jsonl}}
"""


# -- video ------------------------------------------------------------------------------------


Clip = Callable[[str], Path]

LAYOUTS = {
    "index at the end": [],
    "index at the start": ["-movflags", "+faststart"],
    "fragmented": ["-movflags", "+frag_keyframe+empty_moov"],
}
FRAMES = 60


@pytest.fixture
def clip(tmp_path: Path, data_dir: Path, system_program: Callable[[str, str], str]) -> Clip:
    """Makes the first six seconds of the person clip an MP4 file of the layout."""
    ffmpeg = system_program("ffmpeg", "ffmpeg")

    def make(layout: str) -> Path:
        file = tmp_path / "clip.mp4"
        source = data_dir / "video" / "one-by-one-person-detection.mp4"
        encode = ["-frames:v", str(FRAMES), "-vf", "scale=192:108", "-g", "10", "-an"]
        command = [ffmpeg, "-v", "error", "-i", str(source), *encode, *LAYOUTS[layout], str(file)]
        subprocess.run(command, check=True, timeout=60)
        return file

    return make


@pytest.mark.parametrize("part", [0.02, 0.4, 0.9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_video(
    tmp_path: Path, clip: Clip, unharmed: Unharmed, layout: str, part: float
) -> None:
    """What is there is answered and what is missing is said, or the file cannot be decoded."""
    file = clip(layout)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])

    def enough(log: str) -> bool:
        return "unavailable, retrying" in log or '"pipeline": "other", "ending": "finished"' in log

    trial = attempt(tmp_path, watching(file, "speed: fast"), until=enough)
    unharmed(trial)
    camera = trial.stage("other", "camera")
    assert trial.stage("other", "found")["done"] == camera["emitted"] < FRAMES
    if camera["emitted"]:
        assert trial.pipelines["other"]["ending"] == "finished"
        if layout != "fragmented":  # which does not announce how much there is
            assert trial.told("video ends early", f'"missing": {FRAMES - camera["emitted"]}')
    else:
        assert layout == "index at the end" or part < 0.1
        assert trial.told("source unavailable", "is it complete?", level="warning")
    assert trial.code == 0


def test_a_video_that_is_something_else(tmp_path: Path, unharmed: Unharmed) -> None:
    """Random bytes, said once however often it is tried again."""
    file = tmp_path / "clip.mp4"
    file.write_bytes(random.Random(1).randbytes(100_000))
    trial = attempt(tmp_path, watching(file), until=lambda log: "retrying" in log)
    unharmed(trial)
    assert trial.code == 0
    [event] = [event for event in trial.events if event["event"].startswith("source unav")]
    assert "is not a video that can be decoded" in event["problem"]


def test_a_video_that_vanishes_and_returns_while_it_loops(
    tmp_path: Path, clip: Clip, unharmed: Unharmed
) -> None:
    """It is waited for, and answered again under the next epoch."""
    file = clip("index at the start")
    away = file.with_suffix(".away")
    shutil.copy(file, away)
    moves = iter(["begun", "gone", "back"])
    now = next(moves)

    def enough(log: str) -> bool:
        nonlocal now
        if now == "begun" and (tmp_path / "data" / "other" / "found.jsonl").exists():
            file.unlink()
            now = next(moves)
        elif now == "gone" and "is gone" in log:
            away.rename(file)
            now = next(moves)
        return now == "back" and "source available again" in log

    trial = attempt(tmp_path, watching(file, "speed: fast", "loop: true"), until=enough)
    unharmed(trial)
    assert trial.code == 0
    assert trial.told("source unavailable", "is gone")
    rows = (tmp_path / "data" / "other" / "found.jsonl").read_text().splitlines()
    assert len(rows) == trial.stage("other", "camera")["emitted"]


# -- pictures -----------------------------------------------------------------------------------


@pytest.fixture
def shots(tmp_path: Path, data_dir: Path) -> Path:
    """A folder of five pictures: one is cut short, one is zeros, one is empty."""
    folder = tmp_path / "shots"
    folder.mkdir()
    good = sorted((data_dir / "images").glob("*.jpg"))
    for number, file in enumerate((good[0], good[1], good[2], good[0], good[1])):
        shutil.copy(file, folder / f"shot{number}.jpg")
        (folder / f"shot{number}.jpg").chmod(0o644)
    (folder / "shot1.jpg").write_bytes(good[1].read_bytes()[:200])
    (folder / "shot2.jpg").write_bytes(bytes(10_000))
    (folder / "shot3.jpg").write_bytes(b"")
    return folder


def test_broken_pictures_in_a_folder(tmp_path: Path, shots: Path, unharmed: Unharmed) -> None:
    """The broken ones are named, once each, and counted as lost before the next good one."""
    trial = attempt(tmp_path, watching(shots, "speed: fast"))
    unharmed(trial)
    assert trial.code == 0
    assert trial.stage("other", "found")["done"] == 2
    for broken in ("shot1.jpg", "shot2.jpg", "shot3.jpg"):
        assert trial.told("image cannot be decoded, skipped", broken)
    rows = (tmp_path / "data" / "other" / "found.jsonl").read_text().splitlines()
    assert [json.loads(row)["lost"] for row in rows] == [0, 3]


def test_a_folder_with_a_pipe_a_folder_and_a_dead_link_among_the_pictures(
    tmp_path: Path, shots: Path, unharmed: Unharmed
) -> None:
    """Whatever is called a picture is not waited for."""
    os.mkfifo(shots / "shot5.jpg")
    (shots / "shot6.jpg").mkdir()
    (shots / "shot7.jpg").symlink_to("nowhere")
    trial = attempt(tmp_path, watching(shots, "speed: fast"))
    unharmed(trial)
    assert trial.code == 0
    assert trial.stage("other", "found")["done"] == 2


# -- recordings ---------------------------------------------------------------------------------


@pytest.fixture
def pump(tmp_path: Path, data_dir: Path) -> Path:
    """A minute of a real pump, ten samples a second, six channels."""
    lines = (data_dir / "vibration" / "whut_1pump.csv").read_text().splitlines()[:601]
    file = tmp_path / "pump.csv"
    file.write_text("\n".join(line.rstrip(",") for line in lines) + "\n")
    return file


@pytest.mark.parametrize("bad", ["nan", "inf", "", "-", "1e999"])
def test_no_number_in_a_recording(tmp_path: Path, pump: Path, unharmed: Unharmed, bad: str) -> None:
    """Its block is dropped and counted as lost; the first one is named with line and column."""
    lines = pump.read_text().splitlines()
    for line in (105, 305):
        cells = lines[line].split(",")
        cells[3] = bad
        lines[line] = ",".join(cells)
    pump.write_text("\n".join(lines) + "\n")
    trial = attempt(tmp_path, listening(pump, "speed: fast"))
    unharmed(trial)
    assert trial.code == 0
    assert trial.stage("other", "pump")["emitted"] == 60 - 2
    assert trial.told("samples cannot be used", "line 106 has", "in column 4")
    rows = (tmp_path / "data" / "other" / "found.jsonl").read_text().splitlines()
    assert sum(json.loads(row)["lost"] for row in rows) == 2
    assert not any("NaN" in row or "Infinity" in row for row in rows)


def test_a_column_that_is_missing(tmp_path: Path, pump: Path) -> None:
    """Nothing starts; the columns that there are, are named."""
    said = refused(tmp_path, listening(pump, "channels: [vib1, vib9]"))
    assert "there is no column 'vib9'; there are: time, pre1, pre2, vib1" in said
    assert "p0.yaml:4" in said


def test_a_recording_that_loses_a_column_while_it_loops(
    tmp_path: Path, pump: Path, unharmed: Unharmed
) -> None:
    """The source waits, names the column, and goes on when it is back."""
    whole = pump.read_text()
    moves = iter(["begun", "gone", "back"])
    now = next(moves)

    def enough(log: str) -> bool:
        nonlocal now
        if now == "begun" and (tmp_path / "data" / "other" / "found.jsonl").exists():
            pump.write_text("\n".join(",".join(line.split(",")[:4]) for line in whole.splitlines()))
            now = next(moves)
        elif now == "gone" and "source unavailable" in log:
            pump.write_text(whole)
            now = next(moves)
        return now == "back" and "source available again" in log

    options = ("channels: [vib1, vib4]", "speed: fast", "loop: true")
    trial = attempt(tmp_path, listening(pump, *options), until=enough)
    unharmed(trial)
    assert trial.code == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"a,b\n", b"\n" * 1000, b"x" * 200_000])
def test_a_recording_that_is_none(tmp_path: Path, content: bytes) -> None:
    """Nothing starts."""
    file = tmp_path / "pump.csv"
    file.write_bytes(content)
    assert str(file) in refused(tmp_path, listening(file))


# -- models -------------------------------------------------------------------------------------


def damaged(how: str) -> bytes:
    """A real model's bytes, damaged."""
    data, chance = bytearray(MODEL.read_bytes()), random.Random(how)
    match how:
        case "random":
            return chance.randbytes(len(data))
        case "empty":
            return b""
        case "zeros":
            return bytes(len(data))
        case "half":
            return bytes(data[: len(data) // 2])
        case "a byte short":
            return bytes(data[:-1])
    for _ in range(40):  # "flipped": where the graph is described
        data[chance.randrange(2000)] ^= 1 << chance.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("how", ["random", "empty", "zeros", "half", "a byte short", "flipped"])
def test_a_model_that_is_damaged(tmp_path: Path, shots: Path, how: str) -> None:
    """Nothing starts; the file is named, at its place."""
    file = tmp_path / "bad.onnx"
    file.write_bytes(damaged(how))
    said = refused(tmp_path, watching(shots, model=file))
    assert "'bad.onnx' " in said
    assert "p0.yaml:5" in said


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lightweight_person_192.onnx", "the model knows 1 classes, but 'labels' names"),
        ("silero_vad.onnx", "a detector has one input [1, 3, height, width] float32, not"),
        ("deeplabv3_257.onnx", "a detector has one input [1, 3, height, width] float32, not"),
        ("vww_96_int8.tflite", "is not an ONNX model"),
    ],
)
def test_a_model_of_another_shape(
    tmp_path: Path, shots: Path, data_dir: Path, name: str, sentence: str
) -> None:
    """Nothing starts; what it has and what is wanted are said."""
    said = refused(tmp_path, watching(shots, model=data_dir / "models" / name))
    assert sentence in said


def test_a_model_that_is_replaced_by_rubbish_after_the_check(
    tmp_path: Path, clip: Clip, unharmed: Unharmed
) -> None:
    """The stage waits for a model that it can use; its packets are counted."""
    model = tmp_path / "model.onnx"
    shutil.copy(MODEL, model)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "vandal.py").write_text(
        "from pathlib import Path\n"
        "from edgeapp.api import *\n"
        "@transform('vandal')\n"
        "class Vandal:\n"
        "    def __init__(self, options: Options, context: Context) -> None:\n"
        f"        Path({str(model)!r}).write_bytes(b'rubbish')\n"
        "    def process(self, packet: Packet[Detections]) -> Detections | None:\n"
        "        return packet.value\n"
    )
    text = watching(clip("index at the start"), "speed: fast", model=model)
    # Stages open from the last to the first: this one just before `detect`.
    trial = attempt(tmp_path, text.replace("  found:", "  vandal: {transform: vandal}\n  found:"))
    unharmed(trial)
    assert trial.code == 0
    assert trial.told("unavailable, retrying", "is not an ONNX model", level="warning")
    assert trial.stage("other", "detect")["dropped"] == {"unavailable": FRAMES}


@pytest.mark.parametrize("labels", ["/dev/zero", "pipe", "large", "missing", "binary", "folder"])
def test_labels_that_are_none(tmp_path: Path, shots: Path, labels: str) -> None:
    """A device, a pipe or a gigabyte: refused at once, without reading on."""
    file = Path(labels) if labels.startswith("/") else tmp_path / labels
    match labels:
        case "pipe":
            os.mkfifo(file)
        case "large":
            with file.open("wb") as stream:
                stream.truncate(1 << 30)
        case "binary":
            file.write_bytes(b"\xff\xfe\0\1" * 100)
        case "folder":
            file.mkdir()
    said = refused(tmp_path, watching(shots, labels=file))
    assert f"'{file}' " in said
    assert "too large" in said if labels == "large" else "cannot be read" in said


# -- sources that are not there -----------------------------------------------------------------


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[int]:
    """A web server that answers everything with this; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _waits(trial: Trial, *words: str) -> None:
    assert trial.code == 0
    assert trial.told("source unavailable", *words, level="warning"), trial.events
    assert trial.stage("other", "camera")["emitted"] == 0
    assert "SECRET" not in json.dumps(trial.events)


SECRETS = ("username: env:CAMERA_USER", "password: env:CAMERA_PASSWORD")
KEPT = {"CAMERA_USER": "SECRETuser", "CAMERA_PASSWORD": "SECRETpass"}


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_stream_where_nobody_listens(tmp_path: Path, unharmed: Unharmed, scheme: str) -> None:
    """It is tried again and again; no password is shown."""
    url = f"{scheme}://127.0.0.1:{free_port()}/SECRETpath"
    trial = attempt(
        tmp_path,
        watching(url, *SECRETS),
        until=lambda log: "retrying" in log,
        environment=KEPT,
    )
    unharmed(trial)
    _waits(trial, "refuses connections")


def test_a_stream_whose_host_never_answers(tmp_path: Path, unharmed: Unharmed) -> None:
    """A socket that accepts and says nothing: given up after `silence_s`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/main"
        trial = attempt(
            tmp_path, watching(url, "silence_s: 0.5"), until=lambda log: "retrying" in log
        )
    unharmed(trial)
    _waits(trial, "sent no video within 0.5 s")


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html><body>Log in, please</body></html>"),
        (200, "video/mp4", random.Random(2).randbytes(50_000)),
        (200, "multipart/x-mixed-replace; boundary=x", b"--x\r\n\r\nnothing\r\n" * 100),
        (200, "video/mp4", b""),
        (404, "text/plain", b"no"),
        (401, "text/plain", b"no"),
        (500, "text/plain", b"no"),
    ],
)
def test_a_web_server_that_sends_no_video(
    tmp_path: Path, unharmed: Unharmed, status: int, kind: str, body: bytes
) -> None:
    """It is tried again and again; no password is shown."""
    with answering(status, kind, body) as port:
        url = f"http://127.0.0.1:{port}/SECRETpath"
        trial = attempt(
            tmp_path,
            watching(url, "silence_s: 1", *SECRETS),
            until=lambda log: "retrying" in log,
            environment=KEPT,
        )
    unharmed(trial)
    _waits(trial, "127.0.0.1")


def test_a_camera_that_is_not_there(tmp_path: Path, unharmed: Unharmed) -> None:
    """A device path without a device, then with something that is no camera."""
    trial = attempt(tmp_path, watching("/dev/video77"), until=lambda log: "retrying" in log)
    unharmed(trial)
    _waits(trial, "/dev/video77")


def test_a_device_that_is_no_camera(tmp_path: Path, unharmed: Unharmed) -> None:
    """/dev/zero never ends, and is not read."""
    trial = attempt(tmp_path, watching("/dev/zero"), until=lambda log: "retrying" in log)
    unharmed(trial)
    _waits(trial, "/dev/zero")


def test_a_pipe_instead_of_a_video(tmp_path: Path) -> None:
    """Opening it would never return: refused."""
    os.mkfifo(tmp_path / "clip.mp4")
    assert "clip.mp4" in refused(tmp_path, watching(tmp_path / "clip.mp4"))
