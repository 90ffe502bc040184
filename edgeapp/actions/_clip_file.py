"""One MP4 file that is being written: hidden until it is whole, then there at once."""

import os
from contextlib import suppress
from fractions import Fraction
from io import SEEK_CUR, SEEK_SET, FileIO
from pathlib import Path
from typing import Any, Literal

from edgeapp.actions._numbered import NumberedFiles
from edgeapp.actions._ring import Shot
from edgeapp.core.whole_file import sync_folder

Codec = Literal["h264", "mjpeg"]

_TICKS = 90_000
"""Of the file's clock in a second: what video has used since MPEG-1."""
_X264 = {"preset": "superfast", "crf": "26", "bf": "0", "g": "60"}
"""Cheap: half the work of x264's `veryfast` for half as many bytes again. No frames out of order
(`bf`), and a place to seek to every few seconds (`g`)."""
_LIMITED_RANGE, _BT601 = 1, 6
"""As FFmpeg numbers them: what JPEGs become here, said in the file so that players agree."""


class ClipFile:
    """An MP4 whose pictures bear the times at which they were taken. For one thread.

    It is written under a hidden name, brought to the disk, and renamed: whoever finds it finds it
    whole, kills and power cuts included. Needs PyAV. Any method may raise OSError, or the
    FFmpegError of PyAV, which `failures` lists.
    """

    def __init__(self, file: Path, codec: Codec, about: str, first: Shot) -> None:
        """Open the hidden file and write the first picture. `about` becomes the MP4's comment."""
        import av

        self._av = av
        self.file = file
        self._part = NumberedFiles.part_of(file)
        self.first_ns = self.last_ns = first.t_ns
        self.shots = 0
        self._ticks = -1
        self._target = _Target(self._part.open("xb", buffering=0))
        try:
            self._decoder = av.CodecContext.create("mjpeg", "r")
            (picture,) = self._decoder.decode(av.Packet(first.jpeg))
            self._mp4 = av.open(self._target, "w", format="mp4")
            self._mp4.metadata["comment"] = about
            self._encode = codec == "h264"
            self._stream = self._h264() if self._encode else self._mp4.add_stream("mjpeg")
            self._stream.width, self._stream.height = picture.width, picture.height
            self._stream.pix_fmt = "yuv420p" if self._encode else "yuvj420p"
            self._stream.time_base = Fraction(1, _TICKS)
            self.add(first)
        except BaseException:
            self.discard()
            raise

    @property
    def bytes(self) -> int:
        """Size of the file so far."""
        return self._target.size

    def add(self, shot: Shot) -> None:
        """Write a picture, later than all before it."""
        ticks = (shot.t_ns - self.first_ns) * _TICKS // 1_000_000_000
        self._ticks = ticks = max(ticks, self._ticks + 1)
        packet = self._av.Packet(shot.jpeg)
        if self._encode:
            for picture in self._decoder.decode(packet):
                frame = picture.reformat(format="yuv420p")
                frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
                frame.pict_type = 0  # JPEGs say that each is a key frame; x264 is to decide that
                self._mp4.mux(self._stream.encode(frame))
        else:
            packet.stream = self._stream
            packet.pts = packet.dts = ticks
            packet.time_base = Fraction(1, _TICKS)
            packet.is_keyframe = True
            self._mp4.mux(packet)
        self.last_ns = shot.t_ns
        self.shots += 1

    def complete(self) -> None:
        """Write what the file still lacks, and bring it to the disk; it is hidden still."""
        if self._encode:
            self._mp4.mux(self._stream.encode(None))
        self._mp4.close()
        self._target.sync()
        self._target.close()

    def publish(self) -> None:
        """Give the completed file its name."""
        self._part.replace(self.file)
        sync_folder(self.file.parent)

    def discard(self) -> None:
        """Give the file up; nothing of it stays."""
        self._target.close()
        if hasattr(self, "_mp4"):
            with suppress(*failures()):  # FFmpeg remembers why the file was given up
                self._mp4.close()  # into the void, so that its own memory is freed
        self._part.unlink(missing_ok=True)

    def _h264(self) -> Any:
        stream = self._mp4.add_stream("libx264", options=dict(_X264))
        context = stream.codec_context
        context.thread_count = 1
        context.time_base = Fraction(1, _TICKS)
        context.color_range, context.colorspace = _LIMITED_RANGE, _BT601
        return stream


def failures() -> tuple[type[Exception], ...]:
    """What writing a clip may raise."""
    import av.error

    return OSError, av.error.FFmpegError


class _Target:
    """The file as FFmpeg sees it. Once closed it swallows what comes: FFmpeg always says goodbye."""

    def __init__(self, file: FileIO) -> None:
        self._file: FileIO | None = file
        self._at = 0
        self.size = 0

    def write(self, data: Any) -> int:
        count = len(data)
        rest = memoryview(data)
        while rest and self._file is not None:
            rest = rest[self._file.write(rest) :]
        self._at += count
        self.size = max(self.size, self._at)
        return count

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        base = {SEEK_SET: 0, SEEK_CUR: self._at}.get(whence, self.size)
        self._at = base + offset
        if self._file is not None:
            self._file.seek(self._at)
        return self._at

    def tell(self) -> int:
        return self._at

    def sync(self) -> None:
        """Have what was written on the disk.

        Raises:
            OSError: it is not, as when the disk is full.
        """
        assert self._file is not None
        os.fsync(self._file.fileno())

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
