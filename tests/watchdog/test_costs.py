"""The costs file: whole or not at all, and refused where its numbers are not true."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeapp.watchdog.costs import (
    VERSION,
    Costs,
    CostsError,
    DeviceFacts,
    RungCosts,
    StageCosts,
    costs_file,
    read_costs,
    this_device,
    write_costs,
)

A, B = "a" * 64, "b" * 64
MODELS = {"detect": [A, B]}
DEVICE = DeviceFacts("aarch64", "Cortex-A76", 4, {"onnxruntime": "1.31.0"})


def costs(**changes: Any) -> Costs:
    rungs = (
        RungCosts(100, 0.03, 0.031, 0.05, "large", A, 12.5, 0.8),
        RungCosts(100, 0.01, 0.011, 0.02, "small", B, 4.0),
    )
    stages = (
        StageCosts("cam", "camera", (RungCosts(100, 0.001, None, None),)),
        StageCosts("detect", "detector", rungs),
    )
    made = Costs(VERSION, "porch", "2026-05-01T10:00:00Z", DEVICE, stages)
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = costs_file(tmp_path, "porch")
    write_costs(path, costs())
    return path


def test_what_was_written_is_read(file: Path) -> None:
    assert file.parts[-2:] == ("costs", "porch.json")
    assert read_costs(file, MODELS, DEVICE) == costs()
    assert [path.name for path in file.parent.iterdir()] == ["porch.json"]


@pytest.mark.parametrize(
    "models",
    [{"detect": [A]}, {"detect": [B, A]}, {"detect": [A, A]}, {"detect": [A, B], "more": [A]}],
)
def test_other_models_are_refused(file: Path, models: dict[str, list[str]]) -> None:
    """Another file, another order, fewer or more: each has other numbers."""
    with pytest.raises(CostsError, match=r"measured with other models of '(detect|more)'"):
        read_costs(file, models, DEVICE)


def test_another_device_or_library_is_refused(file: Path) -> None:
    newer = msgspec.structs.replace(DEVICE, libraries={"onnxruntime": "1.32.0"})
    for device in (newer, None):
        with pytest.raises(CostsError, match="measured on another device: measure again"):
            read_costs(file, MODELS, device)


def test_another_version_is_refused(file: Path) -> None:
    write_costs(file, costs(version=VERSION + 1))
    with pytest.raises(CostsError, match="is of version 2, not 1"):
        read_costs(file, MODELS, DEVICE)


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CostsError, match="'edgeapp bench' writes it"):
        read_costs(tmp_path / "no.json", MODELS, DEVICE)


def test_a_damaged_file_is_refused_whatever_the_damage(file: Path) -> None:
    text = file.read_bytes()
    for cut in range(0, len(text) - 2, 7):
        file.write_bytes(text[:cut])
        with pytest.raises(CostsError, match="is no costs file"):
            read_costs(file, MODELS, DEVICE)


@pytest.mark.parametrize(
    ("key", "value"),
    [("cpu_s", -1), ("cpu_s", "1"), ("sha256", "x"), ("packets", 1.5), ("cpu_ms", 1)],
)
def test_a_value_that_cannot_be_is_refused(file: Path, key: str, value: object) -> None:
    content = json.loads(file.read_text())
    content["stages"][1]["rungs"][0][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(CostsError, match="is no costs file"):
        read_costs(file, MODELS, DEVICE)


@pytest.mark.parametrize(("rungs", "twice"), [([], False), (None, True)])
def test_stages_that_make_no_sense_are_refused(
    file: Path, rungs: list[object] | None, twice: bool
) -> None:
    facts = json.loads(file.read_text())
    stages = facts["stages"]
    if rungs is not None:
        stages[0]["rungs"] = rungs
    facts["stages"] = [*stages, stages[1]] if twice else stages
    file.write_text(json.dumps(facts))
    with pytest.raises(CostsError, match=r"no costs file|a stage twice"):
        read_costs(file, MODELS, DEVICE)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "porch.json")
    with pytest.raises(CostsError, match="Not a regular file"):
        read_costs(tmp_path / "porch.json", MODELS, DEVICE)


def test_a_write_that_fails_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_costs(file, costs(pipeline="other"))
    assert read_costs(file, MODELS, DEVICE) == costs()
    assert [path.name for path in file.parent.iterdir()] == ["porch.json"]


def test_this_device_is_told_the_same_twice() -> None:
    assert this_device() == this_device()
    assert this_device().cpu
    assert "onnxruntime" in this_device().libraries
