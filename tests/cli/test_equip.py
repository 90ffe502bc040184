"""What pipelines need of the process that is to run them, at its start and at a reload."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeapp.cli.run import _equip
from edgeapp.config.device import DeviceConfig
from edgeapp.plan.load import load
from edgeapp.service.control.server import RefusedError
from tests.runtime.rig import Rig

OFFLINE: Any = SimpleNamespace(endpoint=None)
ONLINE: Any = SimpleNamespace(endpoint="broker:1883")


def test_models_get_a_pool_once_and_others_none(repo: Path, pump: Path, tmp_path: Path) -> None:
    device = DeviceConfig("d", tmp_path, None, None)
    belt = load([repo / "pipelines/inspection_demo.yaml"], device=device, open_models=False)
    kit = Rig(tmp_path).kit
    assert _equip(ONLINE, load([pump], device=device), kit) is kit
    with_pool = _equip(ONLINE, belt, kit)
    assert with_pool.pool is not None
    assert _equip(ONLINE, belt, with_pool) is with_pool


def test_who_sends_for_the_first_time_needs_a_restart(
    repo: Path, pump: Path, tmp_path: Path
) -> None:
    """There is no connection to a broker, and a reload makes none."""
    device = DeviceConfig("d", tmp_path, None, None)
    belt = load([repo / "pipelines/inspection_demo.yaml"], device=device, open_models=False)
    kit = Rig(tmp_path).kit
    with pytest.raises(RefusedError, match="to begin takes a restart"):
        _equip(OFFLINE, belt, kit)
    assert _equip(OFFLINE, load([pump], device=device), kit) is kit
