"""A camera of this machine, through OpenCV's V4L2."""

import math
import os

import numpy as np

from edgeapp.api import Context, Emit, Image, Unavailable
from edgeapp.core.opencv import cv2
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources._pace import RateLimit

_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


def read(options: CameraOptions, context: Context, emit: Emit[Image]) -> None:
    """Emit the camera's pictures, stamped by the clock as they arrive; never returns.

    Raises:
        Unavailable: it cannot be opened, was pulled out, or gave no picture for `silence_s`.
    """
    # OpenCV has no other way to bound a read here: whole seconds, read once in the process, so
    # the first camera's `silence_s` is everyone's.
    os.environ.setdefault(_SELECT_TIMEOUT, str(math.ceil(options.silence_s)))
    capture = _opened(options)
    try:
        limit = RateLimit(options.rate_hz)
        while capture.grab():
            t_ns = context.clock.now_ns()
            context.sleep(0)  # a stop is noticed between the pictures that go on, too
            if not limit.admits(t_ns):
                continue
            decoded, pixels = capture.retrieve()
            if decoded:
                emit(Image(np.asarray(pixels, np.uint8)), t_ns=t_ns)
        raise Unavailable(f"camera {options.device} gives no more pictures")
    finally:
        capture.release()


def _opened(options: CameraOptions) -> "cv2.VideoCapture":
    device = options.device
    wishes = []
    if options.size:
        wishes += [cv2.CAP_PROP_FRAME_WIDTH, options.size[0]]
        wishes += [cv2.CAP_PROP_FRAME_HEIGHT, options.size[1]]
    if device.isdecimal():
        capture = cv2.VideoCapture(int(device), cv2.CAP_V4L2, wishes)
    else:
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2, wishes)
    if capture.isOpened():
        return capture
    capture.release()
    path = f"/dev/video{device}" if device.isdecimal() else device
    if not os.path.exists(path):  # noqa: PTH110 - a device, not a file to work with
        raise Unavailable(f"there is no camera at {path}; is it plugged in?")
    if not os.access(path, os.R_OK | os.W_OK):
        raise Unavailable(f"camera {path} may not be opened; is the user in the group 'video'?")
    raise Unavailable(f"camera {path} cannot be opened; is another program using it?")
