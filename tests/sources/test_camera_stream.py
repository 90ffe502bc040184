"""A camera on the network: a real RTSP server, frozen and killed; HTTP; passwords."""

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.api import Context, Emit, Image, Stopping, Unavailable
from edgeapp.core.clock import MonotonicClock
from edgeapp.sources import _stream
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.testing.stage import context
from tests.held_up import again_if_held_up
from tests.servers.mosquitto import free_port
from tests.servers.motion_jpeg import motion_jpeg
from tests.servers.rtsp import RtspServer, skip_without_gstreamer

pytest.importorskip("av", reason="streams need PyAV: pip install 'edgeapp[video]'")


class Frames:
    """An `emit` that calls `then` on its n-th picture, and keeps the last one and all times."""

    def __init__(self, n: int, then: Any) -> None:
        self.times_ns: list[int] = []
        self.last: Any = None
        self._n, self._then = n, then

    def __call__(
        self, value: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
    ) -> None:
        assert t_ns is not None
        assert span_ns == lost == 0
        self.times_ns.append(t_ns)
        self.last = value.pixels
        if len(self.times_ns) == self._n:
            self._then()


def stop() -> None:
    raise Stopping


def nothing() -> None:
    """Let it go on."""


def read(url: str, emit: Emit[Image], **options: Any) -> None:
    """Read a stream, with patience: of a busy machine silence says nothing."""
    checked = CameraOptions.model_validate({"device": url, "silence_s": 60, **options})
    surroundings: Context = context("camera", clock=MonotonicClock())
    _stream.read(checked, surroundings, emit)


@pytest.fixture
def clip(data_dir: Path) -> Path:
    """A clip that the server plays, 640 x 360."""
    skip_without_gstreamer()
    return data_dir / "video" / "bottle-detection.mp4"


@pytest.mark.slow
def test_rtsp_pictures_arrive_with_rising_times(clip: Path) -> None:
    with RtspServer(clip) as server:
        frames = Frames(30, stop)
        with pytest.raises(Stopping):
            read(server.url, frames)
    assert frames.last.shape == (360, 640, 3)
    assert frames.last.mean() > 10, "not a black picture"
    assert frames.times_ns == sorted(frames.times_ns)


@pytest.mark.slow
def test_rtsp_rate_is_limited(clip: Path) -> None:
    with RtspServer(clip) as server:
        frames = Frames(6, stop)
        with pytest.raises(Stopping):
            read(server.url, frames, rate_hz=5)
    # The first pictures may come in a rush, being those that were probed.
    steps = np.diff(frames.times_ns[1:]) / 1e9
    assert np.median(steps) > 0.1
    assert steps.min() > 0.06, "a third of the period, behind a picture that was late"


@pytest.mark.slow
@again_if_held_up(1.0)
def test_frozen_camera_is_unavailable_within_its_silence(clip: Path) -> None:
    """The connection stays open and nothing comes: that ends in Unavailable, not in waiting."""
    frozen_at: list[float] = []
    with RtspServer(clip) as server:

        def freeze() -> None:
            server.freeze()
            frozen_at.append(time.monotonic())

        frames = Frames(20, freeze)
        with pytest.raises(Unavailable, match="sent no picture for 3 s"):
            read(server.url, frames, silence_s=3)
        print(f"frozen camera noticed after {time.monotonic() - frozen_at[0]:.2f} s")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="sent no video within 3 s"):
            read(server.url, Frames(1, nothing), silence_s=3)
        print(f"frozen camera given up at opening after {time.monotonic() - began:.2f} s")
        server.thaw()
        again = Frames(1, stop)
        with pytest.raises(Stopping):
            read(server.url, again)
    assert len(frames.times_ns) >= 20


@pytest.mark.slow
@again_if_held_up(1.0)
def test_pause_within_the_silence_is_survived(clip: Path) -> None:
    """One that is longer than half of it, when FFmpeg's first wait has been given up."""
    with RtspServer(clip) as server, ExitStack() as at_the_end:

        def pause() -> None:
            server.freeze()
            thaw = threading.Timer(5.4, server.thaw)
            thaw.start()
            at_the_end.callback(thaw.join)
            at_the_end.callback(thaw.cancel)

        frames = Frames(20, pause)
        threshold = 60

        def emit(
            value: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0
        ) -> None:
            frames(value, t_ns=t_ns, span_ns=span_ns, lost=lost)
            if len(frames.times_ns) == threshold:
                raise Stopping

        with pytest.raises(Stopping):
            read(server.url, emit, silence_s=10)
    assert np.diff(frames.times_ns).max() > 1e9, "there was a pause"


@pytest.mark.slow
def test_killed_camera_is_unavailable_and_found_again(clip: Path) -> None:
    with RtspServer(clip) as server:
        with pytest.raises(Unavailable, match=r"was lost|ended the stream"):
            read(server.url, Frames(10, server.kill))
        with pytest.raises(Unavailable, match="refuses connections"):
            read(server.url, Frames(1, nothing))
        server.start()
        with pytest.raises(Stopping):
            read(server.url, Frames(10, stop))


@pytest.mark.slow
def test_camera_with_a_password(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Special characters are no trouble; a wrong password is told, but not which."""
    monkeypatch.setenv("CAM_USER", "me")
    monkeypatch.setenv("CAM_PASSWORD", "p@ss:w/rd")
    monkeypatch.setenv("CAM_WRONG", "hunter2")
    with RtspServer(clip, ("me", "p@ss:w/rd")) as server:
        with pytest.raises(Stopping):
            read(server.url, Frames(2, stop), username="env:CAM_USER", password="env:CAM_PASSWORD")
        with pytest.raises(Unavailable, match="check 'username' and 'password'") as refused:
            read(server.url, Frames(1, stop), username="env:CAM_USER", password="env:CAM_WRONG")
        assert_hides(refused.value, "hunter2")
        with pytest.raises(Unavailable, match="has no such stream") as missing:
            read(
                server.url.replace("/cam", "/hunter2"),
                Frames(1, stop),
                username="env:CAM_USER",
                password="env:CAM_PASSWORD",
            )
        assert_hides(missing.value, "hunter2")


def assert_hides(error: BaseException, secret: str) -> None:
    """Neither the error nor what a traceback would print beneath it holds the secret."""
    assert secret not in str(error)
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_nobody_there_is_unavailable_without_noise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAM", "hunter2")
    url = f"rtsp://127.0.0.1:{free_port()}/token-hunter2"
    with pytest.raises(Unavailable, match="refuses connections") as gone:
        read(url, Frames(1, nothing), username="env:CAM", password="env:CAM")
    assert_hides(gone.value, "hunter2")
    assert capfd.readouterr() == ("", "")


def test_broken_pyav_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, says `check`; and yet it cannot be imported."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    monkeypatch.setattr("edgeapp.sources._camera_options.find_spec", lambda _: "there")
    with pytest.raises(Unavailable, match=r"pip install 'edgeapp\[video\]'"):
        read("rtsp://cam/", Frames(1, nothing))


@pytest.mark.slow
def test_http_motion_jpeg_ends_in_unavailable() -> None:
    """A camera's stream has no end of its own; when it ends, the camera is gone."""
    hang_up = threading.Event()
    hang_up.set()
    with motion_jpeg(30, hang_up) as url:
        frames = Frames(31, nothing)
        with pytest.raises(Unavailable, match=r"was lost|ended the stream"):
            read(url, frames)
    assert len(frames.times_ns) in {29, 30}
    assert frames.last.mean() == pytest.approx(99, abs=2)


@pytest.mark.slow
@again_if_held_up(1.0)
def test_silent_http_camera_is_unavailable() -> None:
    with motion_jpeg(30, threading.Event()) as url:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"sent no picture for 5 s"):
            read(url, Frames(31, nothing), silence_s=5)
        print(f"silent HTTP camera noticed after {time.monotonic() - began:.2f} s")
