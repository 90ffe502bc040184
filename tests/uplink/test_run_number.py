import os
import random
from pathlib import Path

import pytest

from edgeapp.uplink.run_number import next_run
from tests.uplink.parts import ListLog


def test_the_number_rises_at_every_start(tmp_path: Path) -> None:
    log = ListLog()
    folder = tmp_path / "not" / "yet"
    assert [next_run(folder, log) for _ in range(4)] == [1, 2, 3, 4]
    assert log.events == []
    assert [path.name for path in folder.iterdir()] == ["run"]


@pytest.mark.parametrize("content", [b"", b"\x00\x00", b"-3\n", b"7.5", b"0\n", b"9" * 40, b"7\n8"])
def test_a_damaged_file_goes_on_from_the_clock(tmp_path: Path, content: bytes) -> None:
    """What is made of it is above any number of starts; counting goes on from there."""
    log = ListLog()
    (tmp_path / "run").write_bytes(content)
    first = next_run(tmp_path, log, wall_s=1_800_000_000.9)
    assert first >> 20 == 1_800_000_000
    assert next_run(tmp_path, log, wall_s=1_700_000_000) == first + 1 < 2**53
    assert [event for event, _ in log.events] == [
        "run number cannot be read: counting on from the clock"
    ]


def test_a_pipe_in_its_place_holds_up_no_start(tmp_path: Path) -> None:
    """Not even safe mode would come up; it is replaced."""
    os.mkfifo(tmp_path / "run")
    first = next_run(tmp_path, ListLog(), wall_s=1_800_000_000)
    assert next_run(tmp_path, ListLog()) == first + 1


def test_where_nothing_can_be_written_the_clock_is_the_number(tmp_path: Path) -> None:
    log = ListLog()
    (tmp_path / "file").write_text("no folder")
    assert next_run(tmp_path / "file", log, wall_s=1_800_000_000) >> 20 == 1_800_000_000
    assert "run number cannot be written: using the clock" in [event for event, _ in log.events]


def test_a_start_that_broke_off_while_writing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("41\n")
    (tmp_path / "run.tmp").write_text("4")
    assert next_run(tmp_path, ListLog()) == 42


def test_without_a_disk_and_a_clock_no_start_repeats_a_number(tmp_path: Path) -> None:
    """A clock without a battery shows the same at every start."""
    (tmp_path / "file").write_text("no folder")
    chance = random.Random(1)
    runs = [next_run(tmp_path / "file", ListLog(), wall_s=30.0, chance=chance) for _ in range(100)]
    assert len(set(runs)) == len(runs)


@pytest.mark.parametrize("wall_s", [-1e9, 0.0, 4e9, 1e15])
def test_whatever_the_clock_shows_every_json_reader_can_hold_the_number(
    tmp_path: Path, wall_s: float
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert 0 < next_run(tmp_path / "file", ListLog(), wall_s=wall_s) < 2**53
