"""The healthy neighbour's run alone, which every trial is measured against."""

from collections.abc import Callable

import pytest

from tests.faults.trial import Trial, attempt, check_counts, counts


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
