"""Reloads on the real process: the whole runtime, real models, and another pipeline at work."""

import pytest

from benchmarks.reloads import RELOADS, measured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_100_reloads_of_one_pipeline_cost_the_other_nothing_and_leave_nothing_behind() -> None:
    """Every answer of the other is there, no model is loaded again, and all that is held is flat."""
    found = measured()
    print(found)
    assert found["same"]
    assert found["answers"] > RELOADS
    assert (found["missing"], found["epochs"], found["dropped"]) == (0, [0], [])
    assert found["loads"] == {"conveyor_96.onnx": 1, "conveyor_160.onnx": 1}
    assert found["errors"] == []
    assert found["files_grown"] <= 0
    assert found["threads_grown"] <= 0
    assert found["rss_mb_grown"] <= 3
