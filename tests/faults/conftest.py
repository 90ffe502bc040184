"""The healthy neighbour's run alone, which every trial is measured against; disks to be hurt."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.trial import Trial, attempt, check_counts, counts
from tests.servers.disk import Disk, DisksMissingError


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """What the neighbour does when nobody is beside it."""
    trial = attempt(tmp_path_factory.mktemp("alone"))
    assert trial.code == 0
    assert len(trial.answers) == 66
    return trial


@pytest.fixture
def unharmed(alone: Trial) -> Callable[[Trial], None]:
    """Checks that the neighbour lost nothing, and that all counts add up."""

    def check(trial: Trial, *, tracebacks: int = 0) -> None:
        assert counts(trial) == counts(alone)
        assert trial.answers == alone.answers
        check_counts(trial)
        assert len(trial.exceptions) == tracebacks, trial.exceptions
        assert not any("Traceback" in line for line in trial.said), trial.said

    return check


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """Makes disks, or skips where this machine cannot mount any and says why."""
    with ExitStack() as disks:

        def make(name: str = "a", *, size_mb: int = 64) -> Disk:
            place = tmp_path / name
            place.mkdir()
            try:
                return disks.enter_context(Disk(place, size_mb=size_mb))
            except DisksMissingError as error:
                pytest.skip(str(error))

        yield make
