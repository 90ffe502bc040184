"""The tracker against ByteTrack's reference implementation, on scenes with known truth."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import pytest

from edgeapp.testing import context
from edgeapp.transforms.track import Track, TrackOptions
from tests.transforms.moving import filmed
from tests.transforms.tracking_scenes import SEEDS, WORLDS, Box, Frame, digest, scene
from tests.transforms.tracking_scores import Scores, scores

MARGIN = 2.0
"""Points that a scene may score lower than with the reference."""


@pytest.fixture(scope="module")
def reference(repo: Path) -> dict[str, dict[str, float | str]]:
    """What ByteTrack's authors' code scores; the script beside the file made it."""
    text = (repo / "tests" / "reference" / "bytetrack_scores.json").read_text()
    read: dict[str, dict[str, float | str]] = json.loads(text)
    return read


def ours(frames: Sequence[Frame]) -> list[list[tuple[int, Box]]]:
    """What our tracker tells for each frame, with its defaults."""
    stage = Track(TrackOptions(), context())
    told = []
    for packet in filmed(frames):
        tracks = stage.process(packet)
        boxes: list[Box] = [(a, b, c, d) for a, b, c, d in tracks.xyxy.tolist()]
        told.append(list(zip(tracks.ids.tolist(), boxes, strict=True)))
    return told


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_tracks_as_well_as_the_reference(
    reference: dict[str, dict[str, float | str]],
) -> None:
    """Every scene: IDF1 and MOTA at least the reference's, less two points."""
    worse = []
    print(f"\n{'scene':<24}{'IDF1':>7}{'MOTA':>7}{'switches':>9}   reference")
    for name in WORLDS:
        own: list[Scores] = []
        theirs = [reference[f"{name}/{seed}"] for seed in SEEDS]
        for seed, their in zip(SEEDS, theirs, strict=True):
            frames = scene(name, seed)
            assert digest(frames) == their["detections"], "the scenes changed: make the file anew"
            own.append(scores(frames, ours(frames)))
        idf1, mota = mean(one.idf1 for one in own), mean(one.mota for one in own)
        their_idf1, their_mota, their_switches = (
            [float(their[key]) for their in theirs] for key in ("idf1", "mota", "switches")
        )
        print(
            f"{name:<24}{idf1:7.1f}{mota:7.1f}{sum(one.switches for one in own):9}"
            f"{mean(their_idf1):9.1f}{mean(their_mota):7.1f}{sum(their_switches):9.0f}"
        )
        if idf1 < mean(their_idf1) - MARGIN or mota < mean(their_mota) - MARGIN:
            worse.append(name)
    assert not worse
