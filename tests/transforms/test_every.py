import pytest
from pydantic import ValidationError

from edgeapp.api import Score
from edgeapp.testing import packets, run_stage
from edgeapp.transforms.every import Every

TEN = [Score(float(n)) for n in range(10)]


def test_one_in_three_packets() -> None:
    ran = run_stage(Every, {"packets": 3}, packets(TEN))
    assert [score.value for score in ran.values] == [0, 3, 6, 9]


def test_one_in_two_and_a_half_seconds_keeps_the_rate_on_average() -> None:
    ran = run_stage(Every, {"seconds": 2.5}, packets(TEN))
    assert [score.value for score in ran.values] == [0, 3, 5, 8]


def test_after_a_pause_the_next_packet_passes_and_then_the_rate_holds() -> None:
    early, late = list(packets(TEN))[:3], list(packets(TEN))[7:]
    ran = run_stage(Every, {"seconds": 2}, [*early, *late])
    assert [score.value for score in ran.values] == [0, 2, 7, 9]


def test_a_reopened_source_begins_anew() -> None:
    stream = [*packets(TEN[:2]), *packets(TEN[5:], epoch=1)]
    ran = run_stage(Every, {"packets": 4}, stream)
    assert [score.value for score in ran.values] == [0, 5, 9]


@pytest.mark.parametrize("options", [{}, {"seconds": 1, "packets": 2}])
def test_it_needs_one_measure_exactly(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="either seconds or packets"):
        run_stage(Every, options, [])
