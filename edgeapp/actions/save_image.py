"""Saving pictures, with the boxes that were found in them."""

from typing import Any

from edgeapp.actions._drawing import with_boxes
from edgeapp.actions._numbered import NumberedFiles
from edgeapp.api import (
    BadPacket,
    Context,
    Detections,
    Event,
    Field,
    Image,
    Options,
    OutputPath,
    Packet,
    Phase,
    Unavailable,
    action,
)
from edgeapp.core.opencv import cv2
from edgeapp.core.whole_file import write_whole


class SaveImageOptions(Options):
    """Where the pictures go, and how many stay."""

    folder: OutputPath = Field(
        examples=["pictures"],
        description="Folder for the pictures; a relative one lies in the pipeline's data.",
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
    phase: Phase = Field(
        default="end",
        description="Of events: in which phase the best picture so far is saved. At the end it is "
        "the best of all.",
    )


@action("save_image")
class SaveImage:
    """Save pictures as JPEG files, with what was found drawn in; keep the newest.

    Of an event its best picture is saved, as it is: the event's box is that of its latest moment,
    and need not fit. Files are numbered, `<pipeline>-<stage>-00000001.jpg` and so on, so that
    names sort by time of capture whatever the wall clock did. Numbers go on after a restart, even
    when someone took the files away. A file appears complete or not at all.
    """

    def __init__(self, options: SaveImageOptions, context: Context) -> None:
        self._options = options
        self._files = NumberedFiles(options.folder, ".jpg", context)
        self._found = False

    def act(self, packet: Packet[Detections | Image | Event], /) -> None:
        """Write one file; delete what is beyond `keep_newest`.

        Raises:
            Unavailable: the folder cannot be written, such as when the disk is full.
            BadPacket: the detections, or the event, come without their picture.
        """
        if isinstance(packet.value, Event) and packet.value.phase != self._options.phase:
            return
        data = self._encoded(packet.value)
        try:
            if not self._found:
                self._files.open()
                self._found = True
            file = self._files.next()
            write_whole(file, data, draft=NumberedFiles.part_of(file))
            self._files.keep(len(data))
            while len(self._files) > self._options.keep_newest:
                self._files.delete_oldest()
        except OSError as error:
            raise Unavailable(
                f"pictures cannot be saved in '{self._options.folder}': {error.strerror}"
            ) from error

    def _encoded(self, value: Detections | Image | Event) -> Any:
        image = value if isinstance(value, Image) else value.image
        if image is None:
            what = "this event carries" if isinstance(value, Event) else "these detections carry"
            raise BadPacket(f"{what} no picture", reason="no_picture")
        pixels = image.pixels
        if isinstance(value, Detections) and self._options.boxes and len(value):
            pixels = with_boxes(image, value)
        written, data = cv2.imencode(
            ".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self._options.quality]
        )
        if not written:
            raise BadPacket(f"a picture of {image.size} pixels cannot be a JPEG", reason="size")
        return data
