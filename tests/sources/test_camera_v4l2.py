"""Cameras of this machine that are not there. One that is needs hardware."""

from pathlib import Path

import pytest

from edgeapp.api import Unavailable
from tests.sources.conftest import RunCamera


def test_camera_that_is_not_plugged_in_is_unavailable(
    run_camera: RunCamera, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not Path("/dev/video61").exists()
    with pytest.raises(Unavailable, match="no camera at /dev/video61; is it plugged in"):
        run_camera(device=61)
    assert capfd.readouterr() == ("", "")


def test_device_that_is_no_camera_is_unavailable(
    run_camera: RunCamera, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unavailable, match="camera /dev/null cannot be opened"):
        run_camera(device="/dev/null", size=[640, 480])
    assert capfd.readouterr() == ("", "")
