import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeapp.api import FakeClock, Features, Packet, Score
from edgeapp.testing import Ran, packets, run_stage
from edgeapp.transforms import _learned
from edgeapp.transforms._learned import MOST_ROWS, Learned
from edgeapp.transforms.anomaly import Anomaly, AnomalyOptions

NAMES = ("x.rms", "x.peak", "x.crest")
LEARN: dict[str, Any] = {"learn_windows": 40}


def features(count: int, *, seed: int = 1, names: tuple[str, ...] = NAMES) -> Iterator[Features]:
    rng = np.random.default_rng(seed)
    for row in 5 + rng.normal(size=(count, len(names))):
        yield Features(row, names, ("1",) * len(names))


def strange() -> Features:
    return Features(np.array([5.0, 5.0, 50.0]), NAMES, ("1",) * 3)


def stored(folder: Path) -> Path:
    return folder / "test" / "stage" / "baseline"


def run(values: Iterator[Features] | list[Features], folder: Path, **options: Any) -> Ran:
    return run_stage(Anomaly, {**LEARN, **options}, packets(values), data_dir=folder)


def test_it_learns_first_says_how_far_and_then_scores(tmp_path: Path) -> None:
    ran = run([*features(60), strange()], tmp_path)
    learning, scored = ran.values[:40], ran.values[40:]
    assert [score.ready for score in learning] == [False] * 40
    assert [score.progress for score in learning] == [n / 40 for n in range(1, 41)]
    assert all(score.value == 0 for score in learning)
    assert all(score.ready and score.progress == 1 for score in scored)
    assert sum(score.value > 1 for score in scored[:-1]) <= 2
    assert scored[-1].value > 3


def test_a_score_says_what_it_is_made_of_and_which_feature_did_it(tmp_path: Path) -> None:
    score: Score = run([*features(40), strange()], tmp_path).values[-1]
    assert score.value == pytest.approx(max(score.parts["t2"], score.parts["q"]) ** 0.5)
    named = [name for name in score.parts if name not in {"t2", "q"}]
    assert named[0] == "x.crest"
    assert score.parts["x.crest"] > 0.9
    assert sum(score.parts[name] for name in named) == pytest.approx(1)


def test_learning_lasts_as_long_in_stream_time_as_asked_for(tmp_path: Path) -> None:
    """A gap of an hour between two windows is not an hour of learning."""
    early = list(packets(features(30), rate_hz=2))
    late = [
        packet._replace(t_ns=packet.t_ns + 3600 * 10**9, seq=packet.seq + 30, lost=0)
        for packet in packets(features(40), rate_hz=2)
    ]
    late[0] = late[0]._replace(lost=1)
    spans = [packet._replace(span_ns=10**9) for packet in early + late]
    ran = run_stage(Anomaly, {"learn_s": 30}, spans, data_dir=tmp_path)
    ready = [score.ready for score in ran.values]
    # 1 s + 29 x 0.5 s before the gap, 1 s + 27 x 0.5 s after it
    assert ready.index(True) == 58


def test_a_baseline_survives_a_restart_and_scores_the_same(tmp_path: Path) -> None:
    new = list(features(10, seed=2))
    at_once = run([*features(40), *new], tmp_path).values[40:]
    restarted = run(new, tmp_path).values
    assert restarted == at_once


def test_half_finished_learning_survives_a_restart(tmp_path: Path) -> None:
    rows = list(features(50))
    run(rows[:25], tmp_path)
    ran = run(rows[25:], tmp_path)
    assert ran.values[0].progress == 26 / 40
    assert ran.values[-1] == run_at_once(rows, tmp_path / "other").values[-1]


def run_at_once(rows: list[Features], folder: Path) -> Ran:
    folder.mkdir()
    return run(rows, folder)


def test_a_power_cut_costs_a_minute_of_learning_at_most(tmp_path: Path) -> None:
    """What is on disk without the orderly end: one window a second, written once a minute."""
    seen = []

    def stream() -> Iterator[Packet[Features]]:
        for packet in packets(features(200)):
            if stored(tmp_path).exists():
                seen.append(Learned.load(stored(tmp_path)).windows)
            yield packet

    run_stage(Anomaly, {"learn_s": 1000}, stream(), data_dir=tmp_path)
    assert sorted(set(seen)) == [61, 121, 181]
    assert Learned.load(stored(tmp_path)).windows == 200


def test_another_relearn_word_forgets_the_baseline(tmp_path: Path) -> None:
    run(features(40), tmp_path, relearn="2026-01")
    kept = run(features(1), tmp_path, relearn="2026-01")
    assert kept.values[0].ready
    again = run(features(1), tmp_path, relearn="2026-02")
    assert again.values[0].progress == 1 / 40
    assert again.log.said("info") == ["learning again, as asked"]


def test_other_features_are_learned_anew(tmp_path: Path) -> None:
    run(features(40), tmp_path)
    ran = run(features(2, names=("x.rms", "y.rms")), tmp_path)
    assert [score.progress for score in ran.values] == [1 / 40, 2 / 40]
    ((_, event, facts),) = [logged for logged in ran.log.events if logged[0] == "warning"]
    assert event == "features changed, learning again"
    assert (facts["new"], facts["gone"]) == (["y.rms"], ["x.crest", "x.peak"])


@pytest.mark.parametrize("damage", ["empty", "half", "one bit", "another version", "a folder"])
def test_a_baseline_that_cannot_be_read_is_a_warning_and_learned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    with monkeypatch.context() as patch:
        if damage == "another version":
            patch.setattr(_learned, "_VERSION", 99)
        run(features(40), tmp_path)
    path = stored(tmp_path)
    whole = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "one bit":
        path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    elif damage == "a folder":
        path.unlink()
        path.mkdir()
    ran = run(features(2), tmp_path)
    assert [score.progress for score in ran.values] == [1 / 40, 2 / 40]
    assert ran.log.said("warning")[0] == "baseline cannot be read, learning again"


def test_a_full_disk_is_told_once_and_costs_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ran = run([*features(200), strange()], tmp_path)
        assert ran.values[-1].value > 3
        assert ran.log.said("warning") == ["baseline cannot be stored"]
        assert not stored(tmp_path).exists()


def test_a_baseline_that_could_not_be_stored_is_stored_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when learning ends and has room a minute later."""
    clock = FakeClock()
    fsync = os.fsync

    def full_at_first(fd: int) -> None:
        if clock.now_ns() < 50 * 10**9:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full_at_first)
    run_stage(Anomaly, LEARN, packets(features(120)), data_dir=tmp_path, clock=clock)
    assert Learned.load(stored(tmp_path)).windows == 40
    assert run(features(1), tmp_path).values[0].ready


def test_a_window_with_nan_is_dropped_and_not_learned(tmp_path: Path) -> None:
    bad = Features(np.array([1.0, np.nan, 1.0]), NAMES, ("1",) * 3)
    ran = run([*features(2), bad, *features(1)], tmp_path)
    assert [score.progress for score in ran.values] == [1 / 40, 2 / 40, 3 / 40]
    assert ran.dropped == {"not_finite": 1}


def test_long_learning_keeps_evenly_spread_windows_in_bounded_memory() -> None:
    learned = Learned(("n",), ("1",), "")
    for n in range(3 * MOST_ROWS):
        learned.add(np.array([float(n)]), 1)
    kept = learned.table()[:, 0]
    assert MOST_ROWS // 2 <= len(kept) <= MOST_ROWS
    assert set(np.diff(kept)) == {float(learned.stride)}
    assert kept[-1] >= 3 * MOST_ROWS - learned.stride
    assert (learned.windows, learned.learned_ns) == (3 * MOST_ROWS, 3 * MOST_ROWS)


def test_how_long_to_learn_is_given_once() -> None:
    with pytest.raises(ValidationError, match="either learn_s or learn_windows"):
        AnomalyOptions(learn_s=10, learn_windows=100)
