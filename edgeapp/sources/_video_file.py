"""Video files, read by OpenCV's FFmpeg: what a bare read loop costs, and no copy more."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgeapp.api import Context, Emit, Image, Unavailable
from edgeapp.core.opencv import cv2
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources._pace import NS, RateLimit, RealTime

_FALLBACK_FPS = 25.0
_CREDIBLE_FPS = (0.01, 1000.0)


def read(options: CameraOptions, context: Context, emit: Emit[Image]) -> None:
    """Emit the file's pictures under its own time stamps, once or over and over.

    Raises:
        Unavailable: the file cannot be decoded, not even its first picture.
    """
    limit, real_time = RateLimit(options.rate_hz), RealTime(context)
    start_ns = 0
    while True:
        with _opened(options.device) as capture:
            timeline = _Timeline(capture, start_ns)
            frames = 0
            while capture.grab():
                frames += 1
                t_ns = timeline.next_ns()
                context.sleep(0)  # a stop is noticed between the pictures that go on, too
                if not limit.admits(t_ns):
                    continue
                if options.speed == "real_time":
                    real_time.wait_for(t_ns)
                decoded, pixels = capture.retrieve()
                if decoded:
                    emit(Image(np.asarray(pixels, np.uint8)), t_ns=t_ns)
            _look_at_end(options.device, frames, capture, context)
        if not options.loop:
            return
        start_ns = timeline.end_ns


@contextmanager
def _opened(file: str) -> Iterator["cv2.VideoCapture"]:
    if Path(file).exists() and not Path(file).is_file():  # opening a pipe might never end
        raise Unavailable(f"'{file}' is no file any more")
    capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise Unavailable(
                f"'{file}' is gone"
                if not Path(file).exists()
                else f"'{file}' is not a video that can be decoded; is it complete?"
            )
        yield capture
    finally:
        capture.release()


class _Timeline:
    """A file's own time stamps from `start_ns` on, made to rise where they are broken."""

    def __init__(self, capture: "cv2.VideoCapture", start_ns: int) -> None:
        fps = capture.get(cv2.CAP_PROP_FPS)
        if not _CREDIBLE_FPS[0] <= fps <= _CREDIBLE_FPS[1]:  # also when it is not a number
            fps = _FALLBACK_FPS
        self._capture = capture
        self._period_ns = round(NS / fps)
        self._start_ns = start_ns
        self._last_ns = start_ns - 1
        self.end_ns = start_ns
        """When the picture after the last one would be due."""

    def next_ns(self) -> int:
        """Stream time of the picture grabbed just now."""
        position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        t_ns = self.end_ns
        if math.isfinite(position_ms):
            stamped_ns = self._start_ns + round(position_ms * 1e6)
            if stamped_ns > self._last_ns:
                t_ns = stamped_ns
        self._last_ns = t_ns
        self.end_ns = t_ns + self._period_ns
        return t_ns


def _look_at_end(file: str, frames: int, capture: "cv2.VideoCapture", context: Context) -> None:
    """Say so when a file held less than it announced.

    MP4 announces a count, other containers an estimate from their duration: a hundredth and two
    frames fewer are no sign of damage.
    """
    if frames == 0:
        raise Unavailable(f"not one picture of '{file}' can be decoded")
    announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if math.isfinite(announced) and frames < announced * 0.99 - 2:
        context.log.warning(
            "video ends early: it is damaged or incomplete",
            file=file,
            frames=frames,
            announced=round(announced),
            missing=round(announced) - frames,
        )
