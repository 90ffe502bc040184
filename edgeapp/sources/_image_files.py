"""Images from files: one, a folder, or whatever a pattern finds."""

from pathlib import Path

import numpy as np

from edgeapp.api import Context, Emit, Image, Unavailable
from edgeapp.core.opencv import cv2
from edgeapp.sources._camera_options import CameraOptions, images_of
from edgeapp.sources._pace import NS, RealTime

_DEFAULT_RATE_HZ = 10.0
_LARGEST = 256 << 20
"""Bytes of a file that is still taken for one picture."""


def read(options: CameraOptions, context: Context, emit: Emit[Image]) -> None:
    """Emit the images in natural order, evenly spaced in stream time.

    A broken image is logged once, skipped, and counted as lost before the next one. The set is
    looked up anew on each round of a loop.

    Raises:
        Unavailable: there is no image, or not one that can be decoded.
    """
    period_ns = round(NS / (options.rate_hz or _DEFAULT_RATE_HZ))
    real_time = RealTime(context)
    broken: set[Path] = set()
    t_ns = lost = 0
    while True:
        emitted = 0
        files = images_of(options.device)
        broken.intersection_update(files)
        for file in files:
            context.sleep(0)  # a stop is noticed between the pictures that go on, too
            image = _decoded(file)
            if image is None:
                lost += 1
                if file not in broken:
                    broken.add(file)
                    context.log.warning("image cannot be decoded, skipped", file=str(file))
            else:
                if options.speed == "real_time":
                    real_time.wait_for(t_ns)
                emit(image, t_ns=t_ns, lost=lost)
                emitted, lost = emitted + 1, 0
            t_ns += period_ns
        if not emitted:
            raise Unavailable(
                f"none of the {len(files)} images in '{options.device}' can be decoded"
                if files
                else f"there are no images in '{options.device}'"
            )
        if not options.loop:
            return


def _decoded(file: Path) -> Image | None:
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:  # a pipe would hold us up
            return None
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError:
        return None  # it went away since it was listed, or may not be read
    if not data.size:
        return None
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return None if pixels is None else Image(np.asarray(pixels, np.uint8))
