"""Clips of whole pipelines: their pre-roll, and what a kill leaves behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.actions.clips import coded, read
from tests.pipelines.device import REPO, Running
from tests.servers.mosquitto import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PRE_S, POST_S = 2.0, 1.0
FPS = 20

FINDER = '''
import numpy as np

from edgeapp.api import Context, Detections, Image, Options, Packet, transform


class LampOptions(Options):
    """None."""


@transform("lamp", stateless=True)
class Lamp:
    """Find the lamp, when it is lit."""

    def __init__(self, options: LampOptions, context: Context) -> None:
        pass

    def process(self, packet: Packet[Image]) -> Detections:
        n = int(packet.value.pixels[70:90, 130:150].mean() > 128)
        return Detections(
            np.full((n, 4), 0.5, np.float32),
            np.ones(n, np.float32),
            np.zeros(n, np.int32),
            ("lamp",),
            packet.value,
        )
'''


def film(file: Path, lit: list[tuple[int, int]]) -> None:
    """A video with its time in every picture, and a lamp that is lit in some of them."""
    last = lit[-1][1] + 6 * FPS
    with av.open(str(file), "w") as mp4:
        stream = mp4.add_stream("libx264", FPS, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for n in range(last):
            pixels = coded(n * 1_000_000_000 // FPS).pixels.copy()
            if any(first <= n < end for first, end in lit):
                pixels[66:94, 126:154] = 255
            mp4.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        mp4.mux(stream.encode(None))


@pytest.mark.parametrize(
    "reads", ["[camera, found]", "found"], ids=["with the camera", "with the detections"]
)
def test_twenty_of_twenty_clips_begin_before_their_cause(tmp_path: Path, reads: str) -> None:
    """At least the pre-roll, as told by the time that is drawn in the pictures themselves."""
    chance = random.Random(3)
    lit, at = [], 3 * FPS
    for _ in range(20):
        at += chance.randint(round((PRE_S + POST_S + 0.5) * FPS), 6 * FPS)
        lit.append((at, at + chance.randint(1, FPS)))
        at = lit[-1][1]
    film(tmp_path / "lamp.mp4", lit)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "lamp.py").write_text(FINDER)
    pipeline = tmp_path / "lamp.yaml"
    pipeline.write_text(f"""
name: lamp
stages:
  camera: {{source: camera, device: lamp.mp4, speed: fast}}
  found: {{transform: lamp, lane: own}}
  clip:
    action: save_clip
    from: {reads}
    folder: clips
    pre_s: {PRE_S}
    post_s: {POST_S}
    keep_free_mb: 0
    when_full: wait
""")
    with Running(tmp_path, pipeline) as running:
        code, summary = running.wait()
    assert code == 0, running.log()
    assert summary["pipelines"][0]["unaccounted"] == []
    clips = [read(file) for file in sorted((tmp_path / "data" / "lamp" / "clips").iterdir())]
    assert len(clips) == 20
    for clip, (first, end) in zip(clips, lit, strict=True):
        assert clip.drawn_ms[0] <= (first / FPS - PRE_S) * 1000
        assert clip.drawn_ms[-1] >= ((end - 1) / FPS + POST_S) * 1000
        assert clip.drawn_ms == list(range(clip.drawn_ms[0], clip.drawn_ms[-1] + 1, 1000 // FPS))
        assert clip.stamped_ms == clip.drawn_ms


WRITER = """
import os, signal, sys, time
from pathlib import Path

def say(line):
    os.write(1, f"{line}\\n".encode())  # at once: the two processes share this pipe

sys.path.insert(0, "tests/actions")  # not as `tests.actions`: some package installs a `tests`
from clips import coded, found, packet, saver

folder, codec = Path(sys.argv[1]), sys.argv[2]
pictures = [coded(n * 40_000_000) for n in range(50)]
for _ in range(int(sys.argv[3])):
    if (child := os.fork()) == 0:
        with saver(folder, codec=codec, pre_s=0.2, post_s=0.2, max_s=1) as stage:
            say("writing")
            for n in range(1_000_000):
                t_s = n / 25
                stage.act(packet(pictures[n % 50], t_s))
                stage.act(found(t_s, "person"))
                time.sleep(0.004)
    say(child)
    os.waitpid(child, 0)
    say("dead")
"""


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_kill_9_while_writing_leaves_no_broken_file(tmp_path: Path, codec: str) -> None:
    """Killed at 25 random instants: what has its name is whole, what has not is cleaned up."""
    chance = random.Random(codec)
    trials, interrupted, seen = 25, 0, set[Path]()

    def unfinished() -> list[Path]:
        return list((tmp_path / "clips").glob(".*.part"))

    parent = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), codec, str(trials)],
        cwd=REPO, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent, parent.stdout as told, ExitStack() as failed:
        failed.callback(os.killpg, parent.pid, signal.SIGKILL)
        for trial in range(trials):
            said = {told.readline().strip(), told.readline().strip()}
            (child,) = said - {"writing"}
            assert len(unfinished()) <= 1  # what the trial before left is gone already
            time.sleep(chance.uniform(0.02, 0.5))
            if trial == 1:  # which takes long on a slow disk
                wait_until(lambda: any((tmp_path / "clips").glob("*.mp4")), "a clip is whole")
            if trial % 5:  # the others die whatever they do: before their first file, between two
                wait_until(lambda: _caught(int(child), unfinished), "a file is begun")  # noqa: B023  called here
            os.kill(int(child), signal.SIGKILL)
            assert told.readline().strip() == "dead"
            interrupted += len(unfinished())
            for file in set((tmp_path / "clips").glob("*.mp4")) - seen:
                clip = read(file)
                assert clip.drawn_ms
                assert len(clip.drawn_ms) == len(clip.stamped_ms)
                seen.add(file)
        failed.pop_all()
    assert interrupted > trials / 2, "the kills came too rarely while a file was open"
    assert seen


def _caught(pid: int, unfinished: Callable[[], list[Path]]) -> bool:
    """Whether a file is unfinished now that the process stands still; if not, it goes on."""
    os.kill(pid, signal.SIGSTOP)
    if unfinished():
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def test_the_clips_of_a_real_person(tmp_path: Path, data_dir: Path) -> None:
    """A real model on a real clip: whoever is found is in a clip, pre-roll and post-roll too."""
    pipeline = tmp_path / "porch.yaml"
    pipeline.write_text(f"""
name: porch
stages:
  camera:
    source: camera
    device: {data_dir / "video" / "one-by-one-person-detection.mp4"}
    speed: fast
    rate_hz: 5
  detect:
    model: detector
    variants: [{data_dir / "models" / "lightweight_person_192.onnx"}]
    labels: [person]
    min_score: 0.6
  people: {{transform: keep, label: person, steady_s: 0.3}}
  results: {{output: jsonl, file: people.jsonl}}
  clip:
    action: save_clip
    from: [camera, people]
    folder: clips
    codec: mjpeg
    width: 320
    pre_s: {PRE_S}
    post_s: {POST_S}
    keep_free_mb: 0
    when_full: wait
""")
    with Running(tmp_path, pipeline) as running:
        code, _ = running.wait()
    assert code == 0, running.log()
    data = tmp_path / "data" / "porch"
    lines = (data / "people.jsonl").read_text().splitlines()
    seen_s = np.array([json.loads(line)["seq"] / 5 for line in lines])  # 5 of its 10 a second
    files = sorted((data / "clips").glob("*.mp4"))
    assert len(files) > 1
    covered = np.zeros(len(seen_s), bool)
    for file in files:
        with av.open(str(file)) as mp4:
            about = json.loads(mp4.metadata["comment"])
            times = [frame.time or 0 for frame in mp4.decode(video=0)]
        first_s = about["first_t_ns"] / 1e9
        inside = (first_s <= seen_s) & (seen_s <= first_s + times[-1])
        assert first_s <= max(0, seen_s[inside][0] - PRE_S)
        covered |= inside
    assert covered.all()
