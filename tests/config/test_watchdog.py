"""The section `watchdog` of a device file, and what a pipeline file says of its worth."""

from pathlib import Path

import pytest

from edgeapp.config.device import read_device
from edgeapp.config.names import problem_with
from edgeapp.config.watchdog import WatchdogConfig, WatchdogFile
from edgeapp.document.render import render_all
from edgeapp.errors import ConfigError
from edgeapp.plan.load import load
from edgeapp.watchdog.checks import COLDEST_TRIP_C, HOTTEST_TRIP_C, MOST_MARGIN_C
from edgeapp.watchdog.limits import BatteryGoal, Limits


def complained(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_device(file)
    return render_all(caught.value.complaints, color=False)


def test_nothing_needs_to_be_said(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text("device: d\n")
    assert read_device(file).watchdog == WatchdogConfig()
    assert WatchdogConfig().margin_c == Limits(4).margin_c
    assert WatchdogConfig().cpu_share == Limits(4).cpu_share
    assert WatchdogConfig().swaps_per_h == Limits(4).swaps_per_h


def test_all_of_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text(
        "watchdog:\n  enabled: false\n  trip_c: 75\n  margin_c: 2\n  board: raspberry-pi-4\n"
        "  sensor: cpu-thermal\n  cpu_share: 0.8\n  cores_without_sensor: 1.5\n  power_w: 6\n"
        "  battery: {for_h: 8, reserve: 0.1, capacity_wh: 20}\n  swaps_per_h: 10\n"
    )
    goal = BatteryGoal(8 * 3600, 0.1, 20)
    assert read_device(file).watchdog == WatchdogConfig(
        enabled=False,
        trip_c=75,
        margin_c=2,
        board="raspberry-pi-4",
        sensor="cpu-thermal",
        cpu_share=0.8,
        cores_without_sensor=1.5,
        power_w=6,
        battery=goal,
        swaps_per_h=10,
    )


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("trip_c: hot", "device.yaml:2:11: watchdog.trip_c must be a number from 40 to 125"),
        ("trip_c: 20", "watchdog.trip_c must be a number from 40 to 125, not 20"),
        ("cpu_share: 90", "watchdog.cpu_share must be a number greater than 0 and not greater"),
        ("battery: {}", "needs the option 'for_h'"),
        ("battery: {for_h: 8, reserve: 1}", "watchdog.battery.reserve must be"),
        ("bord: x", "did you mean 'board'?"),
        ("board: raspberry-pi4", "did you mean 'raspberry-pi-4'?"),
        ("enabled: 1", "watchdog.enabled must be true or false"),
        ("margin_c: .inf", "watchdog.margin_c must be a number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, said: str, complaint: str) -> None:
    file = tmp_path / "device.yaml"
    file.write_text(f"watchdog:\n  {said}\n")
    told = complained(file)
    assert complaint in told
    assert f"{file}:2:" in told


def test_the_bounds_are_those_that_a_governor_can_work_with() -> None:
    fields = WatchdogFile.model_json_schema()["properties"]
    trip, margin = (fields[name] for name in ("trip_c", "margin_c"))
    [number, _] = trip["anyOf"]
    assert (number["minimum"], number["maximum"]) == (COLDEST_TRIP_C, HOTTEST_TRIP_C)
    assert margin["maximum"] == MOST_MARGIN_C


def test_every_option_says_what_it_is_for() -> None:
    schema = WatchdogFile.model_json_schema()
    for group in (schema, *schema["$defs"].values()):
        for name, option in group["properties"].items():
            assert option.get("description"), name


def test_a_pipeline_cannot_be_called_governor() -> None:
    assert problem_with("governor") == (
        "the name 'governor' is taken by the framework",
        "choose another",
    )


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("weight: 0", "weight must be a number greater than 0"),
        ("weight: heavy", "weight must be a number greater than 0"),
        ("critical: 1", "critical must be true or false, not 1"),
        ("wieght: 2", "did you mean 'weight'?"),
    ],
)
def test_what_a_pipeline_says_of_its_worth_is_checked(
    tmp_path: Path, said: str, complaint: str
) -> None:
    file = tmp_path / "belt.yaml"
    file.write_text(f"name: belt\n{said}\nstages:\n  s: {{source: bearing}}\n")
    device = tmp_path / "device.yaml"
    device.write_text("device: d\n")
    with pytest.raises(ConfigError) as caught:
        load([file], device=read_device(device))
    told = render_all(caught.value.complaints, color=False)
    assert complaint in told
    assert f"{file}:2:" in told
