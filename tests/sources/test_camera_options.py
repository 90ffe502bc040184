"""What a camera's options accept, what they refuse, and what they never repeat."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeapp.api import Surroundings
from edgeapp.sources._camera_options import CameraOptions, DeviceKind, images_of, kind_of
from edgeapp.sources.camera import Camera
from tests.sources.conftest import write_image, write_video


def checked(folder: Path, **options: Any) -> CameraOptions:
    return CameraOptions.model_validate(options, context=Surroundings(folder, folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a clip and some images."""
    write_video(tmp_path / "clip.avi", frames=2)
    write_image(tmp_path / "still.png", 1)
    (tmp_path / "shots").mkdir()
    write_image(tmp_path / "shots" / "1.JPG", 1)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("device", "kind", "live"),
    [
        (0, DeviceKind.V4L2, True),
        ("12", DeviceKind.V4L2, True),
        ("/dev/video0", DeviceKind.V4L2, True),
        ("/dev/v4l/by-id/usb-cam", DeviceKind.V4L2, True),
        ("rtsp://10.0.0.7/main", DeviceKind.STREAM, True),
        ("RTSPS://cam.local:322/x", DeviceKind.STREAM, True),
        ("http://cam/mjpeg?fps=5", DeviceKind.STREAM, True),
        ("clip.avi", DeviceKind.VIDEO, False),
        ("still.png", DeviceKind.IMAGES, False),
        ("shots", DeviceKind.IMAGES, False),
        ("shots/*", DeviceKind.IMAGES, False),
    ],
)
def test_device_tells_what_it_is(
    folder: Path, device: object, kind: DeviceKind, live: bool
) -> None:
    options = checked(folder, device=device)
    assert kind_of(options.device) is kind
    assert Camera.__edgeapp_mark__.live(options) is live  # type: ignore[attr-defined]


def test_relative_files_start_at_the_pipelines_file(folder: Path) -> None:
    assert checked(folder, device="clip.avi").device == str(folder / "clip.avi")


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        ("nowhere.mp4", r"there is no file '.*nowhere\.mp4'; give a video"),
        ("empty", "there are no images in"),
        ("shots/*.png", "there are no images in"),
        ("ftp://cam/x", "streams are rtsp://"),
        ("rtsp:///main", "names no host"),
        ("rtsp://cam:port/main", "is the port a number"),
        (True, "string"),
    ],
)
def test_device_that_is_none_is_refused(folder: Path, device: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        checked(folder, device=device)


@pytest.mark.parametrize(
    "device",
    [
        "rtsp://admin:hunter2@10.0.0.7/main",
        "RTSP://admin:hunter2@10.0.0.7/main",
        "http://hunter2@cam/",
        "rtsp://admin:hunter2@[bad/main",
        "rtsp://admin:hun@ter2@10.0.0.7:99999/",
    ],
)
def test_password_in_an_address_is_refused_and_not_repeated(folder: Path, device: str) -> None:
    with pytest.raises(ValidationError) as refused:
        checked(folder, device=device)
    assert "hun" not in str(refused.value)
    assert "ter2" not in repr(refused.value)


def test_a_stream_without_its_library_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeapp.sources._camera_options.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match="streams need PyAV, which is not installed"):
        CameraOptions.model_validate({"device": "rtsp://10.0.0.7/main"})
    assert CameraOptions.model_validate({"device": "/dev/video0"})


def test_remedy_for_a_password_in_an_address(folder: Path) -> None:
    with pytest.raises(ValidationError, match=r"'username' and 'password' by reference"):
        checked(folder, device="rtsp://admin:x@cam/")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"device": "rtsp://cam/", "loop": True}, "'loop' means nothing for a network stream"),
        ({"device": "rtsp://cam/", "size": [9, 9]}, "'size' means nothing for a network stream"),
        ({"device": "clip.avi", "transport": "udp"}, "'transport' means nothing for a video file"),
        ({"device": 0, "speed": "fast"}, "'speed' means nothing for a camera of this machine"),
        ({"device": "shots", "password": "env:X"}, "'password' means nothing for a set of images"),
        ({"device": "rtsp://cam/", "password": "env:X"}, "go together"),
        ({"device": 0, "size": [0, 10]}, "at least 1"),
        ({"device": 0, "rate_hz": 0}, "greater than 0"),
    ],
)
def test_option_that_does_not_belong_is_refused(
    folder: Path, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        checked(folder, **options)


def test_images_are_in_natural_order(tmp_path: Path) -> None:
    names = ["a10.png", "a2.png", "B1.png", "a2b.png", "10.png", "9.png"]
    for name in names:
        write_image(tmp_path / name, 1)
    assert [path.name for path in images_of(str(tmp_path))] == [
        "9.png",
        "10.png",
        "a2.png",
        "a2b.png",
        "a10.png",
        "B1.png",
    ]
