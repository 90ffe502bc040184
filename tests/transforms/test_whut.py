"""A real pump rig: what a baseline of one state says of the others.

Learned on the first 60 % of a state, held out its last 40 %, windows of 5 s that do not overlap.
`python -m benchmarks.whut_matrix` prints the matrices; docs/vibration.md shows them.

With all channels, states 2, 3 and 4 are told apart cleanly, and so is state 1. What is special:

- State 5 was not at rest: both pressures climb by more than seven of the standard deviations that
  they had while learning. That the end of this recording alarms is right: it is not what was
  learned. `test_state_5_alarms_because_its_pressures_climb` shows it.
- State 1 ends with spikes of a flow meter, three windows long, and slow drifts of vibration.
- Vibration alone does not tell 3, 4 and 5 apart: their four velocity levels wander over the same
  ranges. One pump alone varies so little that a baseline of state 1 sees all others; those of 2 to
  5, which wandered while they were learned, have limits too wide to see state 1 below them.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.whut_matrix import ALL, LEARNED, VIBRATION, alarm_matrix, as_markdown, windows_of


@pytest.fixture
def recordings(data_dir: Path) -> Path:
    return data_dir / "vibration"


@cache
def matrix(channels: tuple[str, ...], folder: Path) -> NDArray[np.float64]:
    return alarm_matrix(channels, folder)


@pytest.mark.slow
def test_with_all_channels_states_2_to_4_alarm_for_others_and_not_for_themselves(
    recordings: Path,
) -> None:
    rates = matrix(ALL, recordings)
    print(as_markdown(rates))
    for base in (2, 3, 4):
        row = rates[base - 1]
        assert row[base - 1] <= 0.15
        assert np.delete(row, base - 1).min() >= 0.80


@pytest.mark.slow
def test_every_state_sees_every_other_with_all_channels(recordings: Path) -> None:
    rates = matrix(ALL, recordings)
    assert rates[~np.eye(5, dtype=bool)].min() >= 0.80


@pytest.mark.slow
def test_state_1_alarms_for_the_spikes_of_a_flow_meter_only(recordings: Path) -> None:
    assert matrix(ALL, recordings)[0, 0] <= 0.15
    levels = held_out_and_learned(1, recordings)
    assert levels["flow2"] > 10


@pytest.mark.slow
def test_state_5_alarms_because_its_pressures_climb(recordings: Path) -> None:
    """And not because its vibration changed: that stays below the limits."""
    assert matrix(ALL, recordings)[4, 4] > 0.15
    assert matrix(VIBRATION, recordings)[4, 4] <= 0.15
    levels = held_out_and_learned(5, recordings)
    assert min(levels["pre1"], levels["pre2"]) > 10
    assert max(levels[name] for name in VIBRATION) < 3


@pytest.mark.slow
def test_vibration_alone_tells_one_pump_from_more_but_not_three_from_five(recordings: Path) -> None:
    rates = matrix(VIBRATION, recordings)
    print(as_markdown(rates))
    assert np.diag(rates).max() <= 0.15
    assert rates[0, 1:].min() >= 0.80
    assert rates[2:, 2:].max() <= 0.20


def held_out_and_learned(state: int, folder: Path) -> dict[str, float]:
    """How far each channel's level goes in the held-out part, at the furthest.

    In standard deviations of the learned part, from its mean.
    """
    values = [packet.value for packet in windows_of(state, ALL, folder)]
    columns = [values[0].names.index(f"{name}.mean") for name in ALL]
    levels = np.array([value.values[columns] for value in values])
    learned = int(LEARNED * len(levels))
    before, after = levels[:learned], levels[learned:]
    furthest = np.abs(after - before.mean(axis=0)).max(axis=0) / before.std(axis=0)
    return dict(zip(ALL, furthest.tolist(), strict=True))
