"""The camera source's options, and what sort of thing its `device` names."""

import glob
import re
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, ValidationInfo, WithJsonSchema, field_validator, model_validator

from edgeapp.api import Field, Needs, Options, Secret, Surroundings

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What a folder is searched for, in lower case."""

_NETWORK = re.compile(r"(rtsp|rtsps|http|https)://", re.IGNORECASE)
_SLOW_TO_OPEN_S = 5.0
"""What a camera may need to begin, beside `silence_s`."""
_V4L2 = re.compile(r"\d{1,3}|/dev/.+")


class DeviceKind(Enum):
    """What sort of thing `device` names; the value is how users call it."""

    V4L2 = "a camera of this machine"
    STREAM = "a network stream"
    VIDEO = "a video file"
    IMAGES = "a set of images"


_USED_BY = {
    "size": {DeviceKind.V4L2},
    "speed": {DeviceKind.VIDEO, DeviceKind.IMAGES},
    "loop": {DeviceKind.VIDEO, DeviceKind.IMAGES},
    "username": {DeviceKind.STREAM},
    "password": {DeviceKind.STREAM},
    "transport": {DeviceKind.STREAM},
    "silence_s": {DeviceKind.V4L2, DeviceKind.STREAM},
}


class CameraDevice(Options):
    """Where pictures come from."""

    # A device with a password in it is refused; pydantic must not print it in doing so.
    model_config = ConfigDict(hide_input_in_errors=True)

    device: Annotated[str, WithJsonSchema({"type": ["string", "integer"]})] = Field(
        examples=["/dev/video0"],
        description="A camera's number or path (0, /dev/video0), a stream (rtsp://, http://), a "
        "video file, or images: one file, a folder or a pattern such as shots/*.jpg. Relative "
        "paths start at the pipeline's file.",
    )
    size: tuple[int, int] | None = Field(
        None,
        description="Width and height to ask of a camera of this machine; it may give another.",
    )
    username: Secret | None = Field(
        None, description="Where the user name for a stream is: cred:name or env:NAME."
    )
    password: Secret | None = Field(
        None, description="Where the password for a stream is: cred:name or env:NAME."
    )
    transport: Literal["tcp", "udp"] = Field(
        "tcp", description="How an RTSP stream travels; udp loses pictures rather than delay them."
    )
    silence_s: float = Field(
        3.0, ge=0.5, le=60, description="Without a picture for so long, a camera counts as gone."
    )

    def longest_wait_s(self) -> float:
        """To open it and to wait for a picture, each bounded by `silence_s`."""
        return 2 * self.silence_s + _SLOW_TO_OPEN_S

    @field_validator("device", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number(cls, device: object) -> object:
        return str(device) if isinstance(device, int) and not isinstance(device, bool) else device

    @field_validator("device")
    @classmethod
    def _findable(cls, device: str, info: ValidationInfo) -> str:
        if _NETWORK.match(device):
            _check_url(device)
            if find_spec("av") is None:
                raise ValueError(
                    "streams need PyAV, which is not installed: pip install 'edgeapp[video]'"
                )
            return device
        if "://" in device:
            raise ValueError("streams are rtsp://, rtsps://, http:// or https://")
        if _V4L2.fullmatch(device):
            return device
        path = Path(device).expanduser()
        if isinstance(info.context, Surroundings):
            path = info.context.folder / path
        if not path.exists() and not glob.has_magic(str(path)):
            raise ValueError(
                f"there is no file '{path}'; give a video, a folder of images, a camera's number "
                "or a stream's address"
            )
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError(f"'{path}' is neither a file nor a folder, but a pipe or the like")
        if kind_of(str(path)) is DeviceKind.IMAGES and not images_of(str(path)):
            raise ValueError(
                f"there are no images in '{path}' ({', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        return str(path.absolute())

    def needs(self) -> Needs:
        """The camera, also where it is only numbered."""
        if not self.device.isdecimal():
            return super().needs()
        return super().needs() | Needs(nodes=frozenset({f"/dev/video{self.device}"}))

    @field_validator("size")
    @classmethod
    def _positive(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError("width and height are at least 1")
        return size

    @model_validator(mode="after")
    def _used(self) -> Self:
        kind = kind_of(self.device)
        for name in sorted(self.model_fields_set):
            if kind not in _USED_BY.get(name, {kind}):
                raise ValueError(f"'{name}' means nothing for {kind.value}; leave it out")
        if (self.username is None) != (self.password is None):
            raise ValueError("'username' and 'password' go together")
        return self


class CameraOptions(CameraDevice):
    """Where the pictures come from, and how fast."""

    rate_hz: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Pictures per second at most; the rest is left out. For images: how many per "
        "second (10 if not given).",
    )
    speed: Literal["real_time", "fast"] = Field(
        "real_time", description="Play files at their own pace, or as fast as they are processed."
    )
    loop: bool = Field(False, description="Start files again when they end.")


def _check_url(url: str) -> None:
    """Refuse a URL that holds credentials or names no host, without repeating it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("this is not an address that can be read; is the port a number?") from None
    if "@" in parts.netloc:
        raise ValueError(
            "an address holds no user name and no password: take them out and give 'username' "
            "and 'password' by reference (cred:name or env:NAME)"
        )
    if not parts.hostname:
        raise ValueError("the address names no host")


def kind_of(device: str) -> DeviceKind:
    """What sort of thing a device names; paths are absolute, or relative to where we are."""
    if _NETWORK.match(device):
        return DeviceKind.STREAM
    if _V4L2.fullmatch(device):
        return DeviceKind.V4L2
    path = Path(device)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return DeviceKind.IMAGES
    if not path.exists() and glob.has_magic(device):
        return DeviceKind.IMAGES
    return DeviceKind.VIDEO


def images_of(device: str) -> list[Path]:
    """The image files of a folder or pattern in natural order: shot2 before shot10."""
    path = Path(device)
    if path.is_dir():
        found = list(path.iterdir())
    elif path.exists():
        return [path]
    else:
        found = [Path(file) for file in glob.glob(device, recursive=True)]  # noqa: PTH207 - absolute
    return sorted((p for p in found if p.suffix.lower() in IMAGE_SUFFIXES), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [
        (int(digits or -1), text.casefold())
        for digits, text in re.findall(r"(\d+)|(\D+)", str(path))
    ]
