"""A motion gate in front of a detector: what it misses, and what it saves, on real clips."""

from pathlib import Path

import pytest

from benchmarks.motion import CLIPS, HEAD, MOST_CPU, MOST_MISSED, compare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_next_to_nothing_is_missed_and_empty_stretches_cost_little(data_dir: Path) -> None:
    """Three clips, with YOLOX nano and the tracker, with the gate and without."""
    assert data_dir.is_dir()
    results = [result for clip in CLIPS for result in compare(clip)]
    print("\n" + "\n".join([HEAD, *map(str, results)]))
    events = {result.clip: result.events for result in results}
    assert events["car-detection"] >= 4  # as many cars as one sees; a track may break
    assert all(events.values())
    assert sum(r.missed for r in results) <= MOST_MISSED * sum(events.values())
    free, gated = (sum(r.empty_cpu_s[n] for r in results) for n in (0, 1))
    assert sum(r.empty_s for r in results) > 10
    assert gated <= MOST_CPU * free
    assert all(r.ratio < 1 for r in results if r.empty_s)
