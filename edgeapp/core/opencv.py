"""OpenCV as edgeapp uses it: silent, and on the calling thread.

Import it as `from edgeapp.core.opencv import cv2`, and only in modules that handle pictures: a
vibration node never loads it. Its pool of threads is switched off for the whole process, because
work that hops to other threads escapes both the accounting and the isolation between pipelines.
What goes wrong is said by edgeapp itself; OpenCV and the FFmpeg inside it print nothing, unless
`OPENCV_LOG_LEVEL` or `OPENCV_FFMPEG_LOGLEVEL` is set already.
"""

import os

os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET

import cv2  # after the environment, which it reads while it is imported

cv2.setNumThreads(1)

__all__ = ["cv2"]
