"""How well a baseline tells the states of a real pump rig apart.

The recordings (WHUT pipelines data set, 10 Hz, eight channels, about eleven minutes each) show the
rig with one to five pumps running. The stages of a real pipeline learn from the first 60 % of one
state, in windows of 5 s that do not overlap, and then score its last 40 % and all of the others.

    python -m benchmarks.whut_matrix
"""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import DATA, Row
from edgeapp.sources.vibration import Vibration
from edgeapp.testing import run_source, run_stage
from edgeapp.transforms.anomaly import Anomaly
from edgeapp.transforms.features import FeaturesOfSignal
from edgeapp.transforms.window import Window

STATES = (1, 2, 3, 4, 5)
"""Pumps running."""
VIBRATION = ("vib1", "vib2", "vib3", "vib4")
ALL = ("pre1", "pre2", *VIBRATION, "flow1", "flow2")
LEARNED = 0.6
"""The fraction of a state, from its beginning, that is learned; the rest is held out."""
WINDOW_S = 5.0


def windows_of(state: int, channels: tuple[str, ...], folder: Path) -> list[Any]:
    """The features of a state's windows, as packets, oldest first."""
    recording = {
        "device": f"whut_{state}pump.csv",
        "rate_hz": 10,
        "channels": channels,
        "speed": "fast",
        "block_s": WINDOW_S,
    }
    blocks = run_source(Vibration, recording, folder=folder).packets
    windows = run_stage(Window, {"length_s": WINDOW_S}, blocks).packets
    return run_stage(FeaturesOfSignal, {}, windows, burst=64).packets


def alarm_matrix(channels: tuple[str, ...], folder: Path) -> NDArray[np.float64]:
    """The fraction of windows of state j that alarm against a baseline of state i, (5, 5).

    To alarm is to score above 1. On the diagonal only windows that were not learned count.
    """
    windows = {state: windows_of(state, channels, folder) for state in STATES}
    matrix = np.empty((len(STATES), len(STATES)))
    for row, base in enumerate(STATES):
        learned = int(LEARNED * len(windows[base]))
        stream = list(chain(windows[base], *(windows[s] for s in STATES if s != base)))
        scores = run_stage(Anomaly, {"learn_windows": learned}, stream).values
        assert [score.ready for score in scores] == [n >= learned for n in range(len(stream))]
        alarms = np.array([score.value > 1 for score in scores])
        begin = len(windows[base])
        matrix[row, row] = alarms[learned:begin].mean()
        for column, state in enumerate(STATES):
            if state != base:
                end = begin + len(windows[state])
                matrix[row, column] = alarms[begin:end].mean()
                begin = end
    return matrix


def as_markdown(matrix: NDArray[np.float64]) -> str:
    """The matrix in per cent."""
    lines = [
        "| learned on | " + " | ".join(f"{state} pump" for state in STATES) + " |",
        "|---|" + "---:|" * len(STATES),
    ]
    for state, row in zip(STATES, matrix, strict=True):
        lines.append(f"| {state} pump | " + " | ".join(f"{rate:.0%}" for rate in row) + " |")
    return "\n".join(lines)


def rows() -> list[Row]:
    """Measure."""
    matrix = alarm_matrix(ALL, DATA / "vibration")
    judged = []
    for base in (2, 3, 4):
        row = matrix[base - 1]
        own, others = row[base - 1], np.delete(row, base - 1).min()
        judged.append(
            Row(
                f"pump rig, learned on state {base}: held out, least of the others",
                "<= 15%, >= 80%",
                f"{own:.0%}, {others:.0%}",
                bool(own <= 0.15 and others >= 0.8),
            )
        )
    return judged


def main() -> None:
    """Print both matrices."""
    folder = DATA / "vibration"
    for title, channels in (("Vibration channels only", VIBRATION), ("All channels", ALL)):
        print(f"{title}: windows that alarm (diagonal: held out)\n")
        print(as_markdown(alarm_matrix(channels, folder)) + "\n")
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
