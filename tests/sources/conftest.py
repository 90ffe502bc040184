"""Tiny recordings, made on the spot, and a way to run a camera over them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import FakeClock, Image, Stopping, Surroundings
from edgeapp.core.opencv import cv2
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources.camera import Camera
from edgeapp.testing.stage import LogBook
from edgeapp.testing.stage import context as stage_context


@dataclass
class Shot:
    """One emitted picture, and what the clock said then."""

    pixels: Any
    t_ns: int | None
    lost: int
    clock_ns: int


@dataclass
class Run:
    """What one run of a camera gave."""

    shots: list[Shot] = field(default_factory=list)
    log: LogBook = field(default_factory=LogBook)
    clock: FakeClock = field(default_factory=lambda: FakeClock(5_000_000_000))

    @property
    def times_s(self) -> list[float]:
        return [round((shot.t_ns or 0) / 1e9, 4) for shot in self.shots]

    @property
    def greys(self) -> list[int]:
        """Mean brightness of each picture: tells the tiny recordings' frames apart."""
        return [round(float(shot.pixels.mean())) for shot in self.shots]


RunCamera = Callable[..., Run]


@pytest.fixture
def run_camera(tmp_path: Path) -> RunCamera:
    """Run a camera until it ends, or until it has emitted `stop_after` pictures."""

    def run(stop_after: int = 10_000, into: Run | None = None, **options: Any) -> Run:
        result = into or Run()
        checked = CameraOptions.model_validate(options, context=Surroundings(tmp_path, tmp_path))
        context = stage_context("camera", clock=result.clock, log=result.log)

        def emit(
            value: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
        ) -> None:
            assert span_ns == 0
            result.shots.append(Shot(value.pixels, t_ns, lost, result.clock.now_ns()))
            if len(result.shots) == stop_after:
                raise Stopping

        try:
            Camera(checked, context).run(emit)
        except Stopping:
            assert len(result.shots) == stop_after
        return result

    return run


def write_video(path: Path, *, frames: int = 20, fps: float = 10.0) -> Path:
    """A small Motion-JPEG clip whose n-th frame has brightness 10 n (modulo 250)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    assert writer.isOpened()
    for n in range(frames):
        writer.write(np.full((48, 64, 3), 10 * n % 250, np.uint8))
    writer.release()
    return path


def write_image(path: Path, grey: int) -> Path:
    """A small image of one brightness."""
    assert cv2.imwrite(str(path), np.full((48, 64, 3), grey, np.uint8))
    return path
