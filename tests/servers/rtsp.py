"""A camera on the network to test with: GStreamer's RTSP server playing a clip."""

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers.mosquitto import free_port

PYTHON = "/usr/bin/python3"
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


def skip_without_gstreamer() -> None:
    """Skip the test, naming the packages, where GStreamer's RTSP server is missing."""
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "assert Gst.ElementFactory.find('rtph264pay') and Gst.ElementFactory.find('h264parse')"
    )
    try:
        found = subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode
    except FileNotFoundError:
        found = 1
    if found != 0:
        pytest.skip(f"no GStreamer RTSP server: sudo apt install {PACKAGES}")


class RtspServer:
    """Serves `clip` at `url` while in `with`; may be frozen, thawed, killed and started again.

    Give `credentials` to demand a user name and a password.
    """

    def __init__(self, clip: Path, credentials: tuple[str, str] | None = None) -> None:
        self._clip = clip
        self._credentials = credentials or ()
        self._port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self.url = f"rtsp://127.0.0.1:{self._port}/cam"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it listens."""
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [PYTHON, str(script), str(self._clip), str(self._port), *self._credentials],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the RTSP server does not start"

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a power cut would. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
