"""The field of the example: what is told of it is what was drawn."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import FakeClock
from edgeapp.outputs.bodies import MaskBody
from edgeapp.plan.load import load
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import status_of
from edgeapp.runtime.stepped import run_stepped
from tests.pipelines.device import REPO, Running
from tests.runtime.rig import Rig

FILE = REPO / "pipelines" / "crop_health.yaml"
TRUTH = json.loads((FILE.parent / "field" / "truth.json").read_text())
ONCE = ["eyes.loop=false", "eyes.speed=fast"]


def told(folder: Path, *sets: str) -> dict[str, list[dict[str, Any]]]:
    """The messages of one pass over the field, by topic."""
    [plan] = load([FILE], sets=[*ONCE, *sets], device=DeviceConfig("d", folder, None, None))
    rig = Rig(folder, clock=FakeClock())
    pipeline = Pipeline(plan, rig.kit)
    outcome = run_stepped(pipeline)
    assert outcome.ending == "finished", rig.log.events
    assert status_of(pipeline).unaccounted() == []
    bodies: dict[str, list[dict[str, Any]]] = {}
    for message in rig.uplink.messages:
        msgspec.json.decode(message.body, type=MaskBody)
        bodies.setdefault(message.topic, []).append(json.loads(message.body))
    return bodies


def test_area_fractions_are_within_two_points_of_what_was_drawn(tmp_path: Path) -> None:
    pictures = told(tmp_path, "health.every_s=0")["field/health"]
    assert len(pictures) == len(TRUTH) == 3
    worst = 0.0
    for picture, drawn in zip(pictures, TRUTH, strict=True):
        areas = picture["areas"]
        assert sum(areas.values()) == pytest.approx(1)
        assert areas["dark"] == areas["glare"] == 0
        worst = max([worst, *(abs(areas[label] - drawn[label]) for label in drawn)])
    print(f"\nfurthest from the truth: {worst:.4f}")
    assert worst <= 0.02
    assert max(drawn["weak"] for drawn in TRUTH) > 0.3, "there is something to see"


def test_without_the_exposure_of_the_red_camera_the_answer_is_wrong(tmp_path: Path) -> None:
    """The truth is no accident of the thresholds."""
    first = told(tmp_path, "index.red_gain=1.0")["field/health"][0]
    assert first["areas"]["healthy"] < 0.6 * TRUTH[0]["healthy"]


def test_the_alarm_comes_when_more_than_a_fifth_is_weak(tmp_path: Path) -> None:
    bodies = told(tmp_path)
    [alarm] = bodies["field/alarm"]
    assert alarm["seq"] == 2
    assert alarm["areas"]["weak"] > 0.2
    assert [body["seq"] for body in bodies["field/health"]] == [0, 2]


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path: Path) -> None:
    """As a process of its own, with the broker that comes along."""
    with Running(tmp_path, FILE, "--for", "5s") as running:
        code, summary = running.wait()
    assert code == 0, running.log()
    [field] = summary["pipelines"]
    assert field["unaccounted"] == []
    assert "Traceback" not in running.log()
