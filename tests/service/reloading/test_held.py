"""Who holds what: pins that yield to heat or not, pauses of the watchdog and of a person."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeapp.core.dial import Setting
from edgeapp.runtime.app import App
from edgeapp.runtime.pipeline import WATCHDOG
from edgeapp.runtime.status import state_of
from edgeapp.service.control.server import Frame, RefusedError
from edgeapp.service.control.verbs import Verbs
from edgeapp.service.facts import facts
from tests.runtime.rig import Rig
from tests.service.governing.governed import belt


@pytest.fixture
def app(tmp_path: Path, repo: Path) -> App:
    models = repo / "pipelines" / "models"
    if not (models / "conveyor_256.onnx").exists():
        pytest.skip(f"no conveyor_256.onnx in {models}")
    return App([belt(tmp_path, models)], Rig(tmp_path).kit)


def answer(frames: AsyncIterator[Frame]) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        return (await anext(frames)).facts

    return asyncio.run(first())


def verbs(app: App, **more: Any) -> Verbs:
    return Verbs(app, device="d", say=lambda _: "", **more)


@pytest.mark.parametrize(("force", "rung"), [(False, 2), (True, 0)])
def test_only_a_forced_pin_goes_before_heat(app: App, force: bool, rung: int) -> None:
    request = {"stage": "detect", "variant": "conveyor_256", "for_s": 60, "force": force}
    said = answer(verbs(app).pin(request))
    assert (said["rung"], said["force"]) == (0, force)
    dial = app.pipelines[0].dials["detect"]
    dial.want(Setting(2), urgent=True)
    assert dial.wanted().rung == rung
    dial.want(Setting(1))
    assert dial.wanted().rung == 0


def test_what_is_no_switch_forces_nothing(app: App) -> None:
    said = answer(verbs(app).pin({"stage": "detect", "variant": "1", "force": "yes"}))
    assert said["force"] is False


def test_a_pipeline_that_the_watchdog_paused_says_so(app: App) -> None:
    [pipeline] = app.pipelines
    pipeline.pause(WATCHDOG)
    pipeline.state = "paused"
    assert state_of(pipeline) == ("paused", "by the watchdog")
    assert facts(app.status()[0])["why"] == "by the watchdog"
    with pytest.raises(RefusedError, match="held paused by the watchdog"):
        answer(verbs(app).resume({}))


def test_what_a_person_paused_too_stays_paused(app: App) -> None:
    [pipeline] = app.pipelines
    pipeline.pause()
    pipeline.pause(WATCHDOG)
    pipeline.resume(WATCHDOG)
    pipeline.state = "paused"
    assert pipeline.held
    assert state_of(pipeline) == ("paused", "")


def test_status_tells_what_the_governor_decided(app: App) -> None:
    told = answer(verbs(app, governor=lambda: {"level": "fair"}).status({"window_s": 0}))
    assert told["governor"] == {"level": "fair"}
    assert answer(verbs(app).status({"window_s": 0}))["governor"] is None
