"""OpenCV as the rest of edgeapp finds it."""

import subprocess
import sys


def test_opencv_works_on_the_calling_thread() -> None:
    from edgeapp.core.opencv import cv2

    assert cv2.getNumThreads() == 1


def test_import_of_the_plugins_interface_loads_no_opencv() -> None:
    """A vibration node never pays for it."""
    script = "import sys, edgeapp.api; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
