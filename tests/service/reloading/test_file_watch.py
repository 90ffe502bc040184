"""Files that change are seen, and acted upon once they have settled."""

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from edgeapp.config.places import Places
from edgeapp.service.control.server import RefusedError
from edgeapp.service.reloading.file_watch import FileWatch, Seen, seen
from edgeapp.service.reloading.pipeline_files import Given
from edgeapp.testing.stage import LogBook


class Bench:
    """A watch that is stepped, over what the test says that there is."""

    def __init__(self) -> None:
        self.now: Seen = {Path("a"): (1,)}
        self.reloads: list[Seen] = []
        self.raises: Exception | None = None
        self.log = LogBook()
        self.watch = FileWatch(lambda: dict(self.now), self._reload, self.log)

    async def _reload(self) -> None:
        self.reloads.append(dict(self.now))
        if self.raises is not None:
            raise self.raises

    def steps(self, *states: tuple[int, ...] | None) -> int:
        """Look at each of these; how many reloads there were so far."""
        for state in states:
            if state is not None:
                self.now = {Path("a"): state}
            asyncio.run(self.watch.step())
        return len(self.reloads)


def test_what_stays_as_it_is_is_left_alone() -> None:
    assert Bench().steps(None, None, None) == 0


def test_a_change_is_acted_upon_once_at_the_second_look() -> None:
    bench = Bench()
    assert bench.steps((2,)) == 0
    assert bench.steps((2,)) == 1
    assert bench.steps((2,), (2,)) == 1


def test_what_is_being_written_is_waited_for() -> None:
    bench = Bench()
    assert bench.steps((2,), (3,), (4,), (5,)) == 0
    assert bench.steps((5,)) == 1


def test_what_changes_back_before_it_settles_is_no_change() -> None:
    assert Bench().steps((2,), (1,), (1,)) == 0


@pytest.mark.parametrize("error", [RefusedError("wrong"), RuntimeError("a bug")])
def test_what_is_refused_or_crashes_ends_no_watch(error: Exception) -> None:
    bench = Bench()
    bench.raises = error
    assert bench.steps((2,), (2,), (2,), (3,), (3,)) == 2
    crashes = 0 if isinstance(error, RefusedError) else 2
    assert bench.log.said("error") == ["crashed"] * crashes


def test_all_files_are_seen_those_that_come_and_go_too(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "data", None)
    places.pipelines.mkdir()
    given = Given((), (), places, places.pipelines)
    looks = [seen(given)]
    belt = places.pipelines / "belt.yaml"
    changes: tuple[Callable[[], object], ...] = (
        lambda: belt.write_text("name: belt"),
        lambda: belt.write_text("name: band"),
        lambda: os.utime(belt, ns=(0, 0)),
        lambda: (tmp_path / "new").write_text("name: band") and (tmp_path / "new").rename(belt),
        lambda: places.device_file.write_text("device: x"),
        (tmp_path / "conf.d").mkdir,
        lambda: (tmp_path / "conf.d" / "1.yaml").write_text("device: y"),
        belt.unlink,
        lambda: places.pipelines.rename(tmp_path / "away"),
        lambda: places.pipelines.write_text(""),
    )
    for change in changes:
        change()
        looks.append(seen(given))
    differing = [after != before for before, after in pairwise(looks)]
    assert differing == [True, True, True, True, True, False, True, True, False, True]


def test_named_files_are_seen_wherever_they_are(tmp_path: Path) -> None:
    belt, gone = tmp_path / "belt.yaml", tmp_path / "gone.yaml"
    belt.write_text("name: belt")
    found = seen(Given((belt, gone)))
    assert set(found) == {belt, gone}
    assert len(found[gone]) == 1
