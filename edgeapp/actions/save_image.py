"""Saving pictures, with the boxes that were found in them."""

import os
import re
from collections import deque
from pathlib import Path
from typing import Any

from edgeapp.actions._drawing import with_boxes
from edgeapp.api import (
    BadPacket,
    Context,
    Detections,
    Field,
    Image,
    Options,
    OutputPath,
    Packet,
    Unavailable,
    action,
)
from edgeapp.core.opencv import cv2


class SaveImageOptions(Options):
    """Where the pictures go, and how many stay."""

    folder: OutputPath = Field(
        description="Folder for the pictures; a relative one lies in the pipeline's data."
    )
    keep_newest: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="Keep so many pictures; older ones of this stage are deleted.",
    )
    boxes: bool = Field(
        default=True, description="Draw the boxes that were found, with label and score."
    )
    quality: int = Field(default=90, ge=1, le=100, description="JPEG quality.")


@action("save_image")
class SaveImage:
    """Save pictures as JPEG files, with what was found drawn in; keep the newest.

    Files are numbered, `<pipeline>-<stage>-00000001.jpg` and so on, so that names sort by time of
    capture whatever the wall clock did. Numbers go on after a restart, even when someone took the
    files away. A file appears complete or not at all.
    """

    def __init__(self, options: SaveImageOptions, context: Context) -> None:
        self._options = options
        self._prefix = f"{context.pipeline}-{context.id}"
        self._own = re.compile(rf"{re.escape(self._prefix)}-(\d{{8,}})\.jpg")
        self._memory = context.state_dir / "last_number"
        self._kept: deque[int] | None = None  # numbers of the files that are there, oldest first
        self._last = 0

    def act(self, packet: Packet[Detections | Image], /) -> None:
        """Write one file; delete what is beyond `keep_newest`.

        Raises:
            Unavailable: the folder cannot be written, such as when the disk is full.
            BadPacket: the detections come without their picture.
        """
        data = self._encoded(packet.value)
        try:
            if self._kept is None:
                self._kept = self._found()
            number = self._last + 1
            self._write(self._file(number), data)
            self._last = number
            self._kept.append(number)
            while len(self._kept) > self._options.keep_newest:
                self._file(self._kept[0]).unlink(missing_ok=True)
                self._kept.popleft()
            self._remember(number)
        except OSError as error:
            raise Unavailable(
                f"pictures cannot be saved in '{self._options.folder}': {error.strerror}"
            ) from error

    def _encoded(self, value: Detections | Image) -> Any:
        image = value.image if isinstance(value, Detections) else value
        if image is None:
            raise BadPacket("these detections carry no picture", reason="no_picture")
        pixels = image.pixels
        if isinstance(value, Detections) and self._options.boxes and len(value):
            pixels = with_boxes(image, value)
        written, data = cv2.imencode(
            ".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self._options.quality]
        )
        if not written:
            raise BadPacket(f"a picture of {image.size} pixels cannot be a JPEG", reason="size")
        return data

    def _found(self) -> deque[int]:
        """The numbers of this stage's files from earlier runs; cleans up after a power cut."""
        folder = self._options.folder
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob(f".{self._prefix}-*.jpg.part"):
            if self._own.fullmatch(rest.name[1 : -len(".part")]):
                rest.unlink(missing_ok=True)
        names = (self._own.fullmatch(path.name) for path in folder.iterdir())
        numbers = sorted(int(name[1]) for name in names if name)
        self._last = max([self._remembered(), *numbers[-1:]])
        return deque(numbers)

    def _file(self, number: int) -> Path:
        return self._options.folder / f"{self._prefix}-{number:08}.jpg"

    def _write(self, file: Path, data: Any) -> None:
        """All of the file or none of it, power cuts included."""
        part = file.with_name(f".{file.name}.part")
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(file)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _remembered(self) -> int:
        try:
            return int(self._memory.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0  # the files in the folder tell too

    def _remember(self, number: int) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        self._memory.write_text(f"{number}\n", encoding="ascii")
