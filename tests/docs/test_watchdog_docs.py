"""What docs/watchdog.md shows of configuration, words and the public API is so."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from edgeapp.config.device import read_device
from edgeapp.plan.load import load
from edgeapp.uplink.notices import GovernorNotice
from edgeapp.watchdog import detectors
from edgeapp.watchdog.tick import Binding, Level


@pytest.fixture(scope="module")
def page(repo: Path) -> str:
    return (repo / "docs" / "watchdog.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_pipeline_and_the_section_of_the_device_file_are_right(
    page: str, tmp_path: Path
) -> None:
    pipeline, device = blocks(page, "yaml")
    for name in ("large.onnx", "small.onnx"):
        (tmp_path / name).write_text("")
    (tmp_path / "porch.yaml").write_text(pipeline)
    (tmp_path / "device.yaml").write_text(device)
    config = read_device(tmp_path / "device.yaml")
    [plan] = load([tmp_path / "porch.yaml"], device=config, open_models=False)
    assert (plan.weight, plan.critical) == (2, True)
    assert [variant.accuracy for variant in plan.stages["detect"].variants] == [0.41, 0.33]
    assert config.watchdog.trip_c == 75
    assert config.watchdog.battery is not None
    assert config.watchdog.battery.for_s == 8 * 3600


def test_the_example_for_programs_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = blocks(page, "python")
    exec(example, {})
    assert capsys.readouterr().out.startswith("small serious the heat of the next 30 s allows ")


def test_every_word_of_a_decision_is_told(page: str) -> None:
    told = set(re.findall(r"`([a-z_0-9]+)`", page))
    found = {
        value
        for name, value in vars(detectors).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    assert found >= {"throttling", "contention", "pressure"}
    assert told >= {*get_args(Binding), *get_args(Level), *found}


def test_the_state_that_is_shown_has_the_fields_of_the_notice(page: str) -> None:
    shown = re.search(r"^\{\"schema\".*?\}\}$", page, re.DOTALL | re.MULTILINE)
    assert shown is not None
    notice = msgspec.json.decode(shown[0], type=GovernorNotice)
    assert notice.stages[0].variant == "conveyor_96"
