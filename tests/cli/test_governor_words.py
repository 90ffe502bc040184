"""What people read of the watchdog: in `edgeapp status`, and in `edgeapp check`."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import main
from edgeapp.cli.governor_words import governor_lines
from edgeapp.config.device import DeviceConfig
from edgeapp.plan.load import load
from edgeapp.service.governing.ladder_doubts import ladder_doubts
from edgeapp.watchdog.costs import costs_file
from tests.service.governing.governed import belt, keep_costs

COOL: dict[str, Any] = {
    "level": "nominal",
    "reason": "nothing is scarce",
    "binding": "none",
    "infeasible": False,
    "detectors": [],
    "die_celsius": None,
    "headroom_ratio": None,
    "trip_in_s": None,
    "chosen_cores": 0.3,
    "allowed_cores": 1.8,
    "not_measured": [],
}


@pytest.fixture
def models(repo: Path) -> Path:
    folder = repo / "pipelines" / "models"
    if not (folder / "conveyor_256.onnx").exists():
        pytest.skip(f"no conveyor_256.onnx in {folder}")
    return folder


def test_a_device_without_a_care_takes_one_line() -> None:
    assert list(governor_lines(COOL)) == ["watchdog: nominal, pipelines take 0.30 of 1.80 cores"]


def test_what_does_not_hold_for_good_is_not_said_to_be_allowed() -> None:
    short = COOL | {"chosen_cores": 0.53, "allowed_cores": 0.19}
    [line] = governor_lines(short)
    assert line == "watchdog: nominal, pipelines take 0.53 cores, 0.19 would hold for good"


def test_whose_costs_are_not_known_is_told_with_what_to_do() -> None:
    _, line = governor_lines(COOL | {"not_measured": ["porch", "hall"]})
    assert line == "  what it costs is unknown: porch, hall; measure it with 'edgeapp bench'"


def test_heat_is_told_with_its_reason() -> None:
    hot = COOL | {
        "level": "serious",
        "reason": "the heat of the next 5 minutes allows 0.30 cores",
        "binding": "heat_300s",
        "infeasible": True,
        "detectors": ["throttling"],
        "die_celsius": 79.2,
        "headroom_ratio": 0.97,
        "trip_in_s": 95.0,
    }
    first, second = governor_lines(hot)
    assert first == (
        "watchdog: serious, die 79.2 °C, headroom 0.97, too hot in 1:35, "
        "pipelines take 0.30 of 1.80 cores, found: throttling, even the least is too much"
    )
    assert second == (
        "  held back by heat (5 minutes ahead): the heat of the next 5 minutes allows 0.30 cores"
    )


def test_check_tells_of_costs_that_are_of_other_models(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = belt(tmp_path, models)
    keep_costs(plan, tmp_path)
    (tmp_path / "device.yaml").write_text(f"data_dir: {tmp_path}\n")
    arguments = ["check", str(plan.file), "--device", str(tmp_path / "device.yaml"), "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["ladders"] == []

    costs = costs_file(tmp_path, "belt")
    costs.write_text(costs.read_text().replace('"sha256": "', '"sha256": "0'))
    assert main(arguments) == 0
    [doubt] = json.loads(capsys.readouterr().out)["ladders"]
    assert "is no costs file" in doubt


def test_check_tells_of_a_rung_that_is_no_better_than_a_cheaper_one(
    tmp_path: Path, models: Path
) -> None:
    plan = belt(tmp_path, models)
    keep_costs(plan, tmp_path)
    device = DeviceConfig("d", tmp_path, None, None)
    assert ladder_doubts([plan], device) == []
    costs = costs_file(tmp_path, "belt")
    costs.write_text(costs.read_text().replace('"cpu_s": 0.012', '"cpu_s": 0.09'))
    [doubt] = ladder_doubts([plan], device)
    assert "conveyor_160" in doubt


def test_check_tells_of_an_accuracy_that_nobody_knows(tmp_path: Path, models: Path) -> None:
    plan = belt(tmp_path, models)
    keep_costs(plan, tmp_path)
    costs = costs_file(tmp_path, "belt")
    costs.write_text(costs.read_text().replace('"accuracy": 0.8', '"accuracy": null'))
    device = DeviceConfig("d", tmp_path, None, None)
    [doubt] = ladder_doubts([plan], device)
    assert "nobody says how accurate 'detect/conveyor_160' is" in doubt
    assert plan.file is not None
    plan.file.write_text(plan.file.read_text().replace(
        f"{models / 'conveyor_160.onnx'}", f"{{file: {models / 'conveyor_160.onnx'}, accuracy: 0.8}}"
    ))  # fmt: skip
    [better] = load([plan.file], device=device, open_models=False)
    assert ladder_doubts([better], device) == []
