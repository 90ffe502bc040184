"""Swaps of models on the real process: the whole runtime, its threads, real models, a busy lane."""

from typing import Any

import pytest

from benchmarks.compare import worker

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]

SWAPS = 200


def seen(*arguments: object) -> dict[str, Any]:
    reading = worker("swaps", *arguments)
    print({key: value for key, value in reading.items() if key != "told"})
    assert reading["alike"] == 0, "a picture of which all models say the same shows nothing"
    assert (reading["faults"], reading["unaccounted"]) == (0, [])
    assert reading["dropped"] == {}
    assert reading["emitted"] == reading["answered"] + reading["shed"]
    assert (reading["doubled"], reading["disordered"], reading["wrong_trails"]) == (0, 0, 0)
    return reading


def test_200_forced_swaps_lose_double_and_disorder_nothing() -> None:
    """Each picture is answered once, in order, by the model that its trail names.

    Pictures come at the pace that keeps the lane busy, whichever rung answers. At last nobody asks
    for anything: the floor answers once the lease is over.
    """
    reading = seen("--swaps", SWAPS)
    assert reading["shed"] == 0
    assert reading["struck"] == []
    assert reading["swaps"] >= SWAPS
    assert min(reading["answered_by"]) > SWAPS
    assert reading["floor_s"] >= 4.5


def test_whatever_is_asked_of_a_dial_each_packet_is_answered_or_shed() -> None:
    """Wishes, urgent ones, pins, closed gates, leases that lapse, memory that is short, pauses.

    None is waited for, and one of the rungs is a file that is no model.
    """
    reading = seen("--swaps", 400, "--seed", 2, "--script", "wild")
    assert reading["shed"] > 0
    assert set(reading["struck"]) <= {3}
    assert set(reading["told"]) == {"variant cannot be used"}
    assert reading["swaps"] > 20
