"""The calibration of a device: whole or not at all, strict, and for this device alone."""

import dataclasses
import json
import os
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.watchdog.checks import impossible
from edgeapp.watchdog.limits import Limits, Prior
from edgeapp.watchdog.prior_file import (
    HeatDevice,
    PriorFileError,
    prior_file,
    read_calibrated,
    read_prior,
    write_prior,
)

DEVICE = HeatDevice("aarch64", "Cortex-A76", 4)
PRIOR = Prior("raspberry-pi-5", board_tau_s=420.0, die_k_per_core=3.1)
FACTS: dict[str, Any] = {
    "measured": "2026-05-01T10:00:00Z",
    "sensor": "cpu-thermal",
    "samples": 600,
    "error_k": 0.4,
    "device": DEVICE,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = prior_file(tmp_path / "data")
    write_prior(path, PRIOR, **FACTS)
    return path


def test_what_was_written_is_read(file: Path) -> None:
    assert read_prior(file, DEVICE) == PRIOR
    kept = read_calibrated(file, DEVICE)
    assert kept is not None
    assert (kept.sensor, kept.samples, kept.error_k) == ("cpu-thermal", 600, 0.4)
    assert [path.name for path in file.parent.iterdir()] == ["thermal.json"]


def test_a_device_that_was_never_calibrated_has_no_file(tmp_path: Path) -> None:
    assert read_prior(prior_file(tmp_path), DEVICE) is None


@pytest.mark.parametrize("other", [HeatDevice("aarch64", "Cortex-A72", 4), None])
def test_heat_of_another_device_is_refused(file: Path, other: HeatDevice | None) -> None:
    """A board that was swapped, or the file of a colleague."""
    with pytest.raises(PriorFileError, match=r"another device: run 'edgeapp calibrate'"):
        read_prior(file, other)


@pytest.mark.parametrize(
    "change",
    [
        {"board_tau_s": 0},
        {"die_k_per_core": -1},
        {"trip_c": 1000},
        {"trip_c": "80"},
        {"idle_k": None},
        {"colour": "red"},
    ],
    ids=str,
)
def test_numbers_that_no_device_has_are_refused(file: Path, change: dict[str, Any]) -> None:
    kept = json.loads(file.read_text())
    kept["prior"].update(change)
    file.write_text(json.dumps(kept))
    with pytest.raises(PriorFileError, match=r"is no calibration: .*; run 'edgeapp calibrate'"):
        read_prior(file, DEVICE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3.0])
def test_what_cannot_be_true_is_not_written(file: Path, value: float) -> None:
    before = file.read_bytes()
    with pytest.raises(PriorFileError, match="cannot be true"):
        write_prior(file, replace(PRIOR, board_tau_s=value), **FACTS)
    assert file.read_bytes() == before


def test_another_version_is_measured_again(file: Path) -> None:
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(PriorFileError, match="of version 2, not 1"):
        read_prior(file, DEVICE)


def test_what_is_read_is_what_a_governor_can_begin_with(file: Path) -> None:
    """A file that was edited must not keep the device from being governed."""
    facts = json.loads(file.read_text())
    for name, value in product(dataclasses.asdict(PRIOR), (-1.0, 0.0, 1e-9, 30.0, 130.0, 1e6)):
        if name == "board":
            continue
        file.write_text(json.dumps(facts | {"prior": facts["prior"] | {name: value}}))
        with suppress(PriorFileError):
            prior = read_prior(file, DEVICE)
            assert prior is not None
            assert impossible([], Limits(4), prior) == []


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(prior_file(tmp_path))
    with pytest.raises(PriorFileError, match="Not a regular file"):
        read_prior(prior_file(tmp_path), DEVICE)


def test_a_folder_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    prior_file(tmp_path).mkdir()
    with pytest.raises(PriorFileError, match="cannot be read"):
        read_prior(prior_file(tmp_path), DEVICE)


@given(position=st.integers(0, 700), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_a_sentence_or_still_a_device(
    position: int, byte: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = prior_file(tmp_path_factory.mktemp("data"))
    write_prior(file, PRIOR, **FACTS)
    text = bytearray(file.read_bytes())
    position = min(position, len(text) - 1)
    text[position] = byte
    file.write_bytes(bytes(text[:position] if cut else text))
    try:
        prior = read_prior(file, DEVICE)
    except PriorFileError:
        return
    assert prior is not None
    assert 0 < prior.board_tau_s <= 36_000
