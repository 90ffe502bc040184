from pathlib import Path

import pytest

from edgeapp.core.clock import FakeClock
from tests.runtime.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A device with a real clock."""
    return Rig(tmp_path)


@pytest.fixture
def stepped_rig(tmp_path: Path) -> Rig:
    """A device with a fake clock, for stepped runs."""
    return Rig(tmp_path, clock=FakeClock())
