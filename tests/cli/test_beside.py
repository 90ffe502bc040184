"""What runs beside the pipelines."""

import asyncio
from pathlib import Path

import pytest

from edgeapp.cli.beside import _kept_up
from edgeapp.runtime import supervise
from edgeapp.runtime.app import App
from tests.runtime.rig import Rig


def test_what_crashes_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else commands, states or the heartbeat would stay away until the next restart."""
    monkeypatch.setattr(supervise, "RESTART_FIRST_S", 0.001)
    rig = Rig(tmp_path)
    begun = 0

    async def commands() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise OSError("a bug")

    asyncio.run(_kept_up("commands", commands, App([], rig.kit)))
    assert begun == 3
    assert [facts["what"] for _, _, facts in rig.log.events] == ["commands"] * 2
