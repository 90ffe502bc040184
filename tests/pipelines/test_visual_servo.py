"""The marker of the example: poses as they were drawn, in time, or nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.config.device import DeviceConfig
from edgeapp.core.clock import FakeClock
from edgeapp.core.meters import LATE
from edgeapp.plan.load import load
from edgeapp.runtime.pipeline import Pipeline
from edgeapp.runtime.status import PipelineStatus, status_of
from edgeapp.runtime.stepped import run_stepped
from tests.pipelines.device import REPO, Running
from tests.runtime.rig import Rig

FILE = REPO / "pipelines" / "visual_servo.yaml"
TRUTH = json.loads((FILE.parent / "servo" / "truth.json").read_text())
SEEN = [number for number, pose in enumerate(TRUTH) if pose is not None]
ONCE = ["eye.loop=false", "eye.speed=fast"]
SETPOINT_M = np.array([0.0, 0.0, 0.3])
SLOW = '''
"""A stage that now and then takes longer than the robot can wait."""

from typing import TypeVar

from edgeapp.api import Context, Options, Packet, Payload, transform

Any = TypeVar("Any", bound=Payload)


class SlowOptions(Options):
    """None."""


@transform("slow")
class Slow:
    """Take 30 ms, and 80 ms for the packets 2, 3 and 8."""

    def __init__(self, options: SlowOptions, context: Context) -> None:
        self._context = context

    def process(self, packet: Packet[Any]) -> Any:
        """The same, later."""
        self._context.sleep(0.08 if packet.seq in {2, 3, 8} else 0.03)
        return packet.value
'''


def told(
    folder: Path, file: Path, *sets: str, plugins: Path | None = None
) -> tuple[list[dict[str, Any]], PipelineStatus]:
    """The messages of one approach, and what became of every picture."""
    device = DeviceConfig("d", folder, plugins, None)
    [plan] = load([file], sets=[*ONCE, *sets], device=device)
    rig = Rig(folder, clock=FakeClock())
    pipeline = Pipeline(plan, rig.kit)
    outcome = run_stepped(pipeline)
    assert outcome.ending == "finished", rig.log.events
    status = status_of(pipeline)
    assert status.unaccounted() == []
    assert {message.priority for message in rig.uplink.messages} == {"critical"}
    return [json.loads(message.body) for message in rig.uplink.messages], status


def position_m(body: dict[str, Any]) -> Any:
    return np.array([body["x_m"], body["y_m"], body["z_m"]])


def test_each_error_is_within_2_mm_and_a_degree_of_what_was_drawn(tmp_path: Path) -> None:
    """2 mm at the setpoint; farther away, in proportion: a pixel is worth more there."""
    bodies, _ = told(tmp_path, FILE, "error.deadband_mm=0", "error.deadband_deg=0")
    assert [body["seq"] for body in bodies] == SEEN
    worst_mm = worst_deg = 0.0
    for body in bodies:
        drawn = TRUTH[body["seq"]]
        wrong_mm = (position_m(body) - (drawn["position_m"] - SETPOINT_M)) * 1000
        worst_mm = max(worst_mm, float(abs(wrong_mm).max()) * 0.3 / drawn["position_m"][2])
        wrong_rad = np.array(body["rotation_rad"]) - drawn["rotation_rad"]
        worst_deg = max(worst_deg, float(np.degrees(np.linalg.norm(wrong_rad))))
    print(f"\nfurthest from the truth: {worst_mm:.2f} mm at 300 mm, {worst_deg:.2f} degrees")
    assert worst_mm <= 2
    assert worst_deg <= 1


def test_it_nears_its_place_and_arrives(tmp_path: Path) -> None:
    """The marker comes closer in each picture; within the deadband the error is nothing."""
    bodies, _ = told(tmp_path, FILE, "error.deadband_mm=15", "error.deadband_deg=2")
    left_m = [float(np.linalg.norm(position_m(body))) for body in bodies]
    assert left_m == sorted(left_m, reverse=True)
    assert left_m[0] > 0.3
    assert bodies[-1]["x_m"] == bodies[-1]["y_m"] == bodies[-1]["z_m"] == 0
    assert bodies[-1]["rotation_rad"] == [0, 0, 0]


def test_of_a_hidden_marker_nothing_is_said(tmp_path: Path) -> None:
    """Silence is the message; it is no loss either."""
    bodies, _ = told(tmp_path, FILE)
    assert set(range(len(TRUTH))) - {body["seq"] for body in bodies} == {5, 6}
    assert [body["lost"] for body in bodies] == [0] * len(SEEN)


def test_what_comes_too_late_is_not_sent_and_counted(tmp_path: Path) -> None:
    """A stage takes 80 ms for three pictures; the deadline is 50."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "slow.py").write_text(SLOW)
    (tmp_path / "servo").symlink_to(FILE.parent / "servo")
    text = FILE.read_text()
    assert "\n  error:" in text
    slow = tmp_path / "slow_servo.yaml"
    slow.write_text(text.replace("\n  error:", "\n  slow: {transform: slow}\n  error:"))
    bodies, status = told(tmp_path, slow, plugins=tmp_path / "plugins")
    assert [body["seq"] for body in bodies] == [n for n in SEEN if n not in {2, 3, 8}]
    assert {body["seq"]: body["lost"] for body in bodies if body["lost"]} == {4: 2, 9: 1}
    [steer] = [stage for stage in status.stages if stage.id == "steer"]
    assert steer.dropped == {LATE: 3}


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path: Path) -> None:
    """As a process of its own, with the broker that comes along."""
    with Running(tmp_path, FILE, "--for", "5s") as running:
        code, summary = running.wait()
    assert code == 0, running.log()
    [gripper] = summary["pipelines"]
    assert gripper["unaccounted"] == []
    assert "Traceback" not in running.log()
