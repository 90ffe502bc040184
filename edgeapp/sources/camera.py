"""The camera source: which reader serves a device.

A device may be a camera of the machine, a network stream, a video file or a set of images. Each
has a module of its own, imported when it is used: a folder of images never loads PyAV.
"""

from edgeapp.api import Context, Emit, Image, source
from edgeapp.sources._camera_options import CameraOptions, DeviceKind, kind_of


def _is_live(options: CameraOptions) -> bool:
    return kind_of(options.device) in {DeviceKind.V4L2, DeviceKind.STREAM}


@source("camera", live=_is_live)
class Camera:
    """Pictures from a camera, a network stream, a video file or a folder of images."""

    def __init__(self, options: CameraOptions, context: Context) -> None:
        self._options = options
        self._context = context

    def run(self, emit: Emit[Image], /) -> None:
        """Emit until the files end; a camera or stream never ends by itself.

        Raises:
            Unavailable: the device cannot be opened, went silent, or gives no pictures.
        """
        options, context = self._options, self._context
        match kind_of(options.device):
            case DeviceKind.VIDEO:
                from edgeapp.sources import _video_file

                _video_file.read(options, context, emit)
            case DeviceKind.IMAGES:
                from edgeapp.sources import _image_files

                _image_files.read(options, context, emit)
            case DeviceKind.STREAM:
                from edgeapp.sources import _stream

                _stream.read(options, context, emit)
            case DeviceKind.V4L2:
                from edgeapp.sources import _v4l2

                _v4l2.read(options, context, emit)
