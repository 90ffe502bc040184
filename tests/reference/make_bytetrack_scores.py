"""Makes bytetrack_scores.json: how well ByteTrack's own implementation does on our scenes.

It needs the authors' package `yolox` (repository ifzhang/ByteTrack, commit d1bf019) and what that
imports to be importable; they are no dependency of ours, and nothing of theirs is in this
repository. Run it as `python -m tests.reference.make_bytetrack_scores` from the checkout.

Theirs was run unchanged, with the thresholds of its `tools/demo_track.py` (0.5, so that a track
begins at 0.6, as ours does; 0.8; a buffer of 30 frames at 30 a second) and the scene's usual rate.
Two old names were put in its way: `numpy.float`, which numpy has dropped, and an empty `torch`,
which it imports and does not use. lapx 0.11.1, cython-bbox 0.1.5, numpy 2.4.6, motmetrics 1.4.0.
"""

import json
import sys
import types
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.transforms.tracking_scenes import SEEDS, WORLDS, Box, Frame, digest, scene
from tests.transforms.tracking_scores import rate_hz, scores

_WIDTH, _HEIGHT = 1920, 1080


def theirs(frames: Sequence[Frame]) -> list[list[tuple[int, Box]]]:
    """What their tracker tells for each frame."""
    from yolox.tracker.basetrack import BaseTrack  # type: ignore[import-not-found]
    from yolox.tracker.byte_tracker import BYTETracker  # type: ignore[import-not-found]

    BaseTrack._count = 0
    arguments = types.SimpleNamespace(
        track_thresh=0.5, track_buffer=30, match_thresh=0.8, mot20=False
    )
    tracker = BYTETracker(arguments, frame_rate=rate_hz(frames))
    scale = np.array([_WIDTH, _HEIGHT, _WIDTH, _HEIGHT])
    told = []
    for frame in frames:
        rows = np.array([[*(scale * f.box), f.score] for f in frame.found]).reshape(-1, 5)
        tracks = tracker.update(rows, (_HEIGHT, _WIDTH), (_HEIGHT, _WIDTH))
        told.append([(int(t.track_id), tuple((t.tlbr / scale).tolist())) for t in tracks])
    return told


def main() -> None:
    """Run every scene and write the file."""
    stubs: dict[str, Any] = {
        name: types.ModuleType(name) for name in ("torch", "torch.nn", "torch.nn.functional")
    }
    stubs["torch"].nn = stubs["torch.nn"]
    stubs["torch.nn"].functional = stubs["torch.nn.functional"]
    sys.modules.update(stubs)
    np.float = float  # type: ignore[attr-defined]  # noqa: NPY001 - for theirs, not for us
    results = {}
    for name in WORLDS:
        for seed in SEEDS:
            frames = scene(name, seed)
            results[f"{name}/{seed}"] = {
                "detections": digest(frames),
                **{key: round(value, 2) for key, value in asdict(scores(frames, theirs(frames))).items()},
            }  # fmt: skip
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in results.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (Path(__file__).parent / "bytetrack_scores.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
