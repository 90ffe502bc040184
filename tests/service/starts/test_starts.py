"""A start counts as healthy when all was well for long enough, and says so once, whole."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgeapp.core.clock import NS, FakeClock
from edgeapp.runtime.status import PipelineStatus, State
from edgeapp.service.starts.healthy import HEALTHY_AFTER_S, LOOK_S, Healthy
from edgeapp.service.starts.start import Start, healthy_start, start_of
from edgeapp.testing import context
from edgeapp.testing.stage import LogBook

COUNTED = Start(id="0a1b2c3d-7")


def states(*pairs: tuple[str, State]) -> list[PipelineStatus]:
    return [PipelineStatus(name, state, "", ()) for name, state in pairs]


class World:
    """A device whose pipelines are as a script of (second, states) says, on a fake clock."""

    def __init__(
        self, folder: Path, script: Mapping[int, list[PipelineStatus]], start: Start = COUNTED
    ) -> None:
        self.clock = FakeClock()
        self.log = LogBook()
        self.kept: list[float] = []
        self._script = script
        self.ended_s: list[float] = []
        self.healthy = Healthy(
            start,
            folder,
            self._now,
            clock=self.clock,
            log=self.log,
            keep=self._keep,
            end=lambda: self.ended_s.append(self.clock.now_ns() / NS),
        )

    def _now(self) -> list[PipelineStatus]:
        at_s = self.clock.now_ns() // NS
        return self._script[max(second for second in self._script if second <= at_s)]

    async def _keep(self) -> None:
        self.kept.append(self.clock.now_ns() / NS)

    def said_after(self, most_s: float) -> float | None:
        """When it was said; None: not within so long."""

        async def sleep(seconds: float) -> None:
            self.clock.advance(seconds)
            if self.clock.now_ns() > most_s * NS:
                raise TimeoutError

        try:
            asyncio.run(self.healthy.run(sleep))
        except TimeoutError:
            return None
        return self.clock.now_ns() / NS


def test_a_start_is_healthy_once_all_pipelines_were_well_for_long_enough(tmp_path: Path) -> None:
    starting = states(("porch", "starting"), ("pump", "running"))
    running = states(("porch", "running"), ("pump", "waiting"))
    world = World(tmp_path, {0: starting, 7: running})
    assert world.said_after(100) == 7 + HEALTHY_AFTER_S
    assert healthy_start(tmp_path) == COUNTED.id
    assert world.kept == [7 + HEALTHY_AFTER_S]


@pytest.mark.parametrize("ill", ["failed", "stuck", "starting"])
def test_a_pipeline_that_is_ill_in_between_makes_the_time_start_again(
    tmp_path: Path, ill: State
) -> None:
    well = states(("porch", "running"))
    world = World(tmp_path, {0: well, 15: states(("porch", ill)), 16: well})
    assert world.said_after(100) == 16 + HEALTHY_AFTER_S


def test_a_pipeline_that_stays_ill_keeps_the_start_from_being_healthy(tmp_path: Path) -> None:
    ill = states(("porch", "failed"), ("pump", "running"))
    world = World(tmp_path, {0: ill})
    assert world.said_after(1_000) is None
    assert healthy_start(tmp_path) == ""
    assert world.kept == []


ON_TRIAL = Start(id="0a1b2c3d-7", trial_s=150)


def test_a_version_on_trial_that_is_not_well_in_time_ends_itself(tmp_path: Path) -> None:
    """Else it would be there for good where the installer, which waits for it, was killed."""
    world = World(tmp_path, {0: states(("porch", "failed"), ("pump", "running"))}, ON_TRIAL)
    assert world.said_after(1_000) == 150
    assert world.healthy.gave_up
    assert world.ended_s == [150]
    assert healthy_start(tmp_path) == ""


def test_a_version_on_trial_that_is_well_in_time_stays(tmp_path: Path) -> None:
    world = World(tmp_path, {0: states(("porch", "starting")), 130: []}, ON_TRIAL)
    assert world.said_after(1_000) == 150
    assert not world.healthy.gave_up
    assert world.ended_s == []
    assert healthy_start(tmp_path) == COUNTED.id


@pytest.mark.parametrize("said", ["", "-5", "1e3", "nan", "٣", "9" * 40])
def test_a_time_that_is_none_is_no_trial(said: str) -> None:
    assert start_of({"EDGEAPP_START_TRIAL_S": said}).trial_s is None


def test_without_pipelines_to_be_there_is_to_be_well(tmp_path: Path) -> None:
    assert World(tmp_path, {0: []}).said_after(100) == HEALTHY_AFTER_S


def test_a_disk_that_cannot_be_written_is_complained_about_once_and_tried_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.write_text("a file in its place")
    world = World(folder, {0: []})
    assert world.said_after(HEALTHY_AFTER_S + 10) is None
    folder.unlink()
    assert world.said_after(1_000) == HEALTHY_AFTER_S + 10 + LOOK_S
    assert healthy_start(folder) == COUNTED.id
    assert world.log.said("warning") == ["that all is well cannot be noted"]


def test_a_start_that_nobody_counts_writes_no_mark(tmp_path: Path) -> None:
    """Such as one by hand, beside an installation whose guard counts."""
    clock = FakeClock()
    healthy = Healthy(Start(), tmp_path, list, clock=clock, log=context("x").log)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    asyncio.run(healthy.run(sleep))
    assert list(tmp_path.iterdir()) == []


def test_what_the_guard_says_is_read_from_the_environment() -> None:
    said = {
        "EDGEAPP_START_ID": "0a1b2c3d-7",
        "EDGEAPP_START_MODE": "last-good",
        "EDGEAPP_START_WHY": "3 starts failed",
    }
    assert start_of(said) == Start("last-good", "3 starts failed", "0a1b2c3d-7")
    assert start_of({}) == Start()


def test_nonsense_of_the_guard_is_a_normal_start() -> None:
    """A start must never fail for what counts starts."""
    said = {
        "EDGEAPP_START_ID": "x" * 1_000,
        "EDGEAPP_START_MODE": "sideways",
        "EDGEAPP_START_WHY": "\x1b[2J" + "y" * 10_000,
    }
    start = start_of(said)
    assert (start.mode, start.id) == ("normal", "")
    assert "\x1b" not in start.why
    assert len(start.why) <= 300


@pytest.mark.parametrize("text", [b"\xff\xfe", b"", b"x" * 100_000])
def test_a_damaged_mark_is_the_mark_of_no_start(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "healthy").write_bytes(text)
    assert healthy_start(tmp_path) != COUNTED.id
