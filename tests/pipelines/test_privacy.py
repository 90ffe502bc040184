"""What a mask hides is nowhere: searched for in all that a running device gives away."""

import subprocess
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeapp.core.payload import Image
from edgeapp.service.recordings.recording import Recording
from tests.pipelines.device import COMMAND
from tests.pipelines.test_clips import FINDER
from tests.servers.mosquitto import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SIZE = (320, 192)
MAGENTA = (255, 0, 255)

PIPELINE = """
name: door
stages:
  camera: {source: camera, device: pictures, rate_hz: 10, loop: true}
  private: {transform: mask, regions: {neighbour: REGION}}
  found: {transform: lamp}
  still: {action: save_image, folder: stills, keep_newest: 50, lane: own}
  whole: {action: save_image, from: private, folder: wholes, keep_newest: 50, lane: own}
  clip: {action: save_clip, from: [private, found], folder: clips, pre_s: 0.5, post_s: 0.5,
         max_s: 2, lane: own}
"""
LEFT = "[[0, 0], [0.4, 0], [0.4, 1], [0, 1]]"
RIGHT = "[[0.85, 0], [1, 0], [1, 1], [0.85, 1]]"


def pictures(folder: Path) -> None:
    """Pictures with a magenta neighbour on their left, and in some a lamp that is lit."""
    folder.mkdir()
    for number in range(20):
        pixels = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        pixels[20:170, 20:100] = MAGENTA
        if number % 20 in range(5, 9):
            pixels[66:94, 126:154] = 255
        cv2.imwrite(str(folder / f"{number:02}.png"), pixels)


def shows_magenta(pixels: NDArray[np.uint8]) -> bool:
    """Whether any pixel is near the colour of the neighbour, which no lossy codec hides."""
    blue, green, red = (pixels[..., channel].astype(int) for channel in range(3))
    return bool(((blue > 120) & (red > 120) & (green < 100)).any())


def decoded(file: Path) -> list[NDArray[np.uint8]]:
    """Every picture of a file."""
    if file.suffix == ".mp4":
        with av.open(str(file)) as clip:
            frames = [frame.to_ndarray(format="bgr24") for frame in clip.decode(video=0)]
        return [np.asarray(frame, np.uint8) for frame in frames]
    if file.suffix == ".edgerec":
        values = [packet.value for packet in Recording(file).packets()]
        return [value.pixels for value in values if isinstance(value, Image)]
    pixels = cv2.imread(str(file))
    assert pixels is not None, file
    return [np.asarray(pixels, np.uint8)]


@pytest.mark.parametrize(
    ("region", "hidden"), [(LEFT, True), (RIGHT, False)], ids=["masked", "elsewhere"]
)
def test_no_pixel_of_a_masked_region_is_given_away(
    tmp_path: Path, region: str, hidden: bool
) -> None:
    """Snapshots, clips, taps before and behind the mask, and the recording.

    With the mask elsewhere the same search finds the neighbour in all of them.
    """
    pictures(tmp_path / "pictures")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "lamp.py").write_text(FINDER)
    file = tmp_path / "door.yaml"
    file.write_text(PIPELINE.replace("REGION", region))
    device = tmp_path / "device.yaml"
    data = tmp_path / "data"
    device.write_text(f"device: here\ndata_dir: {data}\n")
    recording = tmp_path / "door.edgerec"
    around = ("--device", str(device))
    with subprocess.Popen(
        [COMMAND, "record", file, "--out", recording, "--plain", *around],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until((data / "control.sock").exists, "the control socket is there")
            for stage in ("camera", "private", "found"):
                subprocess.run(
                    [COMMAND, "tap", stage, "--count", "5", "--save", tmp_path / stage, *around],
                    check=True,
                    capture_output=True,
                    timeout=PATIENCE_S * 5,
                )
            clips = data / "door" / "clips"
            wait_until(lambda: len(list(clips.glob("*.mp4"))) >= 2, "two clips are written")
            time.sleep(0.2)
        finally:
            process.terminate()
        assert process.wait(PATIENCE_S * 5) == 0
    kinds = {
        "stills": list((data / "door" / "stills").glob("*.jpg")),
        "wholes": list((data / "door" / "wholes").glob("*.jpg")),
        "clips": list(clips.glob("*.mp4")),
        "tap of the camera": list((tmp_path / "camera").glob("*.png")),
        "tap of the mask": list((tmp_path / "private").glob("*.png")),
        "tap of the finder": list((tmp_path / "found").glob("*.png")),
        "recording": [recording],
    }
    for kind, files in kinds.items():
        seen = [pixels for one in files for pixels in decoded(one)]
        assert len(seen) >= 5, kind
        assert any(map(shows_magenta, seen)) is not hidden, kind
    print({kind: sum(len(decoded(one)) for one in files) for kind, files in kinds.items()})
