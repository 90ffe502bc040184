"""Clips: where they begin and end, how much room they take, and what goes wrong."""

import errno
import os
import resource
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pydantic
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgeapp.actions._clip_options import SaveClipOptions
from edgeapp.actions._clip_writer import Room
from edgeapp.actions._ring import Ring, Shot
from edgeapp.actions.save_clip import SaveClip
from edgeapp.api import BadPacket, Image, Packet, Unavailable
from edgeapp.core.opencv import cv2
from edgeapp.testing.stage import LogBook
from tests.actions.clips import clips, coded, event, found, packet, read, saver, shot
from tests.servers.mosquitto import wait_until

RATE_HZ = 10


def film(first_s: float, last_s: float, rate_hz: float = RATE_HZ) -> list[Packet[Any]]:
    """The camera's pictures from one instant to another."""
    count = round((last_s - first_s) * rate_hz) + 1
    return [shot(first_s + n / rate_hz) for n in range(count)]


def in_time(*packets: Packet[Any]) -> list[Packet[Any]]:
    """Answers at once: each packet when its picture was taken, pictures first."""
    return sorted(packets, key=lambda one: (one.t_ns, not isinstance(one.value, Image)))


def run(stage: SaveClip, packets: Iterable[Packet[Any]]) -> None:
    with stage:
        for one in packets:
            stage.act(one)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "clips").iterdir())


def spans(folder: Path) -> list[tuple[int, int]]:
    """First and last picture of each clip, in ms, as drawn in the pictures."""
    return [(clip.drawn_ms[0], clip.drawn_ms[-1]) for clip in clips(folder)]


# -- where a clip begins and ends -----------------------------------------------------------------


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_clip_has_what_was_before_and_after_its_cause(tmp_path: Path, codec: str) -> None:
    """Every picture once, and the file's own times are those of capture."""
    run(saver(tmp_path, codec=codec), in_time(*film(0, 10), found(5.0, "person")))
    (clip,) = clips(tmp_path)
    assert clip.drawn_ms == list(range(4000, 6001, 100))
    assert clip.stamped_ms == clip.drawn_ms
    assert clip.about == {
        "pipeline": "test", "stage": "clip", "label": "person", "score": 0.9,
        "t_ns": 5_000_000_000, "first_t_ns": 4_000_000_000,
    }  # fmt: skip
    assert names(tmp_path) == ["test-clip-00000001.mp4"]


def test_uneven_pictures_keep_their_times(tmp_path: Path) -> None:
    """A network camera stutters; the clip must not smooth that over."""
    times = [0, 0.1, 0.37, 0.4, 0.401, 1.5, 1.6, 2.2]
    run(saver(tmp_path, codec="mjpeg"), [*map(shot, times), found(1.0, "person")])
    (clip,) = clips(tmp_path)
    assert clip.drawn_ms == [0, 100, 370, 400, 401, 1500, 1600]
    assert clip.stamped_ms == clip.drawn_ms


@pytest.mark.parametrize("late_s", [0.0, 0.5, 1.9])
def test_a_late_answer_finds_its_pictures(tmp_path: Path, late_s: float) -> None:
    pictures = film(0, 10)
    at = round((5 + late_s) * RATE_HZ)
    run(saver(tmp_path), [*pictures[:at], found(5.0, "person"), *pictures[at:]])
    assert spans(tmp_path) == [(4000, 6000)]


def test_an_answer_that_comes_before_its_picture_waits_for_it(tmp_path: Path) -> None:
    """Two links end at one thread, and either may be ahead."""
    pictures = film(0, 10)
    run(saver(tmp_path), [*pictures[:45], found(5.0, "person"), *pictures[45:]])
    assert spans(tmp_path) == [(4000, 6000)]


def test_a_clip_begins_no_later_than_its_pre_roll_says(tmp_path: Path) -> None:
    """Where no picture was taken at that instant, with the one before."""
    run(saver(tmp_path, pre_s=1.05), in_time(*film(0, 10), found(5.0, "person")))
    assert spans(tmp_path) == [(3900, 6000)]


def test_what_is_found_again_prolongs_the_clip(tmp_path: Path) -> None:
    seen = [found(t, "person") for t in (5.0, 5.8, 6.6)]
    run(saver(tmp_path), in_time(*film(0, 12), *seen))
    assert spans(tmp_path) == [(4000, 7600)]


def test_clips_that_would_overlap_are_one(tmp_path: Path) -> None:
    """The pre-roll of the second begins before the post-roll of the first ends."""
    run(saver(tmp_path), in_time(*film(0, 12), found(4.0, "person"), found(5.9, "person")))
    assert spans(tmp_path) == [(3000, 6900)]


def test_clips_that_do_not_touch_are_two(tmp_path: Path) -> None:
    run(saver(tmp_path), in_time(*film(0, 15), found(4.0, "person"), found(6.5, "person")))
    assert spans(tmp_path) == [(3000, 5000), (5500, 7500)]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(st.tuples(st.integers(0, 79), st.integers(0, 15)), min_size=1, max_size=5),
)
def test_whatever_comes_when_pictures_are_in_order_and_in_one_clip(
    tmp_path_factory: pytest.TempPathFactory, causes: list[tuple[int, int]]
) -> None:
    """However late the answers, which a stage gives in order: each has its pre- and post-roll."""
    folder = tmp_path_factory.mktemp("law")
    packets: list[tuple[float, Packet[Any]]] = list(enumerate(film(0, 12)))
    arrives = 0.0
    for cause, late in sorted(causes):
        arrives = max(arrives, cause + late + 0.5)
        packets.append((arrives, found(cause / RATE_HZ, "person")))
    run(saver(folder, codec="mjpeg"), [one for _, one in sorted(packets, key=lambda p: p[0])])
    written = [ms for clip in clips(folder) for ms in clip.drawn_ms]
    assert written == sorted(set(written))
    wanted = {n for cause, _ in causes for n in range(cause - 10, cause + 11) if 0 <= n <= 120}
    assert {n * 100 for n in wanted} <= set(written)


def test_a_long_clip_is_cut_and_goes_on_in_the_next(tmp_path: Path) -> None:
    seen = [found(n / RATE_HZ, "person") for n in range(20, 100)]
    run(saver(tmp_path, max_s=3), in_time(*film(0, 15), *seen))
    assert spans(tmp_path) == [(1000, 3900), (4000, 6900), (7000, 9900), (10000, 10900)]


def test_the_next_epoch_begins_a_clip_of_its_own(tmp_path: Path) -> None:
    """A camera that came back: the pictures before the gap are complete in their file."""
    again = [shot(0.5 + n / RATE_HZ, epoch=1) for n in range(40)]
    late = found(5.9, "person")  # of the epoch before, and too late
    run(saver(tmp_path), [*film(0, 5), found(5.0, "person"), *again[:20], late, *again[20:]])
    assert spans(tmp_path) == [(4000, 5000)]


def test_a_stop_completes_the_clip_that_is_open(tmp_path: Path) -> None:
    run(saver(tmp_path), in_time(*film(0, 5.5), found(5.0, "person")))
    assert spans(tmp_path) == [(4000, 5500)]


def test_nothing_found_nothing_written(tmp_path: Path) -> None:
    run(saver(tmp_path), in_time(*film(0, 10), found(5.0)))
    assert names(tmp_path) == []


# -- what causes a clip ---------------------------------------------------------------------------


def test_only_what_matters_causes_a_clip(tmp_path: Path) -> None:
    """By label and score."""
    seen = [found(3.0, "cat"), found(6.0, "person", score=0.4), found(9.0, "cat", "person")]
    run(saver(tmp_path, label="person", min_score=0.5), in_time(*film(0, 12), *seen))
    assert spans(tmp_path) == [(8000, 10000)]


def test_pictures_may_come_with_the_detections(tmp_path: Path) -> None:
    """`from: detect` alone: every picture that was looked at."""
    answers = [
        found(n / 10, *(["person"] if n == 50 else []), image=coded(n * 100_000_000))
        for n in range(100)
    ]
    run(saver(tmp_path), answers)
    assert spans(tmp_path) == [(4000, 6000)]


def test_the_cameras_own_pictures_are_preferred(tmp_path: Path) -> None:
    """Though an answer with a smaller picture comes first."""
    small = coded(0, (64, 64))
    camera = film(0.1, 3)
    run(saver(tmp_path), [found(0.0, "person", image=small), *camera, found(1, "person")])
    assert spans(tmp_path) == [(100, 2000)]
    assert names(tmp_path) == ["test-clip-00000001.mp4"]


def test_an_event_is_in_the_clip_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """`new` may come a while after it began, as from a tracker that confirms."""
    told = [event("new", 5.0, began_s=4.5), event("end", 8.0)]
    run(saver(tmp_path), in_time(*film(0, 15), *told))
    (clip,) = clips(tmp_path)
    assert (clip.drawn_ms[0], clip.drawn_ms[-1]) == (3500, 9000)
    assert clip.about["event"] == "e1"


def test_a_cause_may_come_from_another_source(tmp_path: Path) -> None:
    """A noise, heard by a microphone that was opened more often than the camera."""
    noise = event("new", 5)._replace(origin="microphone", epoch=3)
    over = event("end", 5.5)._replace(origin="microphone", epoch=3)
    run(saver(tmp_path), in_time(*film(0, 10), noise, over))
    assert spans(tmp_path) == [(4000, 6500)]


def test_the_first_answer_of_the_next_epoch_may_be_ahead_of_its_picture(tmp_path: Path) -> None:
    again = [shot(n / RATE_HZ, epoch=1) for n in range(40)]
    early = found(0.0, "person")._replace(epoch=1)
    run(saver(tmp_path), [*film(0, 5), found(4.5, "person"), early, shot(5.1), *again])
    assert spans(tmp_path) == [(3500, 5000), (0, 1000)]


def test_events_that_overlap_are_in_one_clip(tmp_path: Path) -> None:
    told = [event("new", 4, "a"), event("new", 5, "b"), event("end", 6, "a"), event("end", 9, "b")]
    run(saver(tmp_path), in_time(*film(0, 15), *told))
    assert spans(tmp_path) == [(3000, 10000)]


def test_an_event_whose_end_was_lost_is_over_after_max_s(tmp_path: Path) -> None:
    """Else one dropped packet would film for ever, and push out what matters."""
    run(saver(tmp_path, max_s=4), in_time(*film(0, 30), event("new", 5)))
    assert spans(tmp_path)[0][0] == 4000
    assert spans(tmp_path)[-1][1] == 9000


def test_an_update_keeps_an_event_going(tmp_path: Path) -> None:
    told = [event("new", 5), event("update", 8.5), event("end", 12)]
    run(saver(tmp_path, max_s=4), in_time(*film(0, 20), *told))
    assert spans(tmp_path) == [(4000, 7900), (8000, 11900), (12000, 13000)]


def test_events_without_any_pictures_say_what_to_do(tmp_path: Path) -> None:
    told = [event("update", t) for t in range(10)]
    with pytest.raises(BadPacket, match="read the camera, too"):
        run(saver(tmp_path), told)
    assert names(tmp_path) == []


# -- pictures -------------------------------------------------------------------------------------


def size_of(file: Path) -> tuple[int, int]:
    with av.open(str(file)) as mp4:
        return mp4.streams.video[0].width, mp4.streams.video[0].height


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_pictures_are_shrunk_and_their_sides_even(tmp_path: Path, codec: str) -> None:
    pixels = Image(np.zeros((101, 203), np.uint8))
    packets = [packet(pixels, n / 10) for n in range(20)]
    run(saver(tmp_path, codec=codec), [*packets, found(1.0, "person")])
    run(saver(tmp_path, codec=codec, width=99), [*packets, found(1.0, "person")])
    sizes = [size_of(file) for file in sorted((tmp_path / "clips").iterdir())]
    assert sizes == [(202, 100), (98, 48)]


def test_rate_hz_thins_the_pictures(tmp_path: Path) -> None:
    run(saver(tmp_path, rate_hz=4), in_time(*film(0, 10, 20), found(5.0, "person")))
    (clip,) = clips(tmp_path)
    assert clip.drawn_ms == list(range(4000, 6001, 250))


def test_pictures_of_another_size_begin_another_clip(tmp_path: Path) -> None:
    large = [shot(5 + n / 10, size=(320, 192)) for n in range(1, 30)]
    seen = [found(4.8, "person"), found(5.5, "person")]
    run(saver(tmp_path), in_time(*film(0, 5), *large, *seen))
    assert [size_of(file)[0] for file in sorted((tmp_path / "clips").iterdir())] == [160, 320]


# -- memory ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 40)), max_size=60))
def test_ring_is_never_over_its_bytes_and_forgets_nothing_early(
    steps: list[tuple[int, int]],
) -> None:
    """It holds what is younger than its span and the one before, unless bytes are too few."""
    ring, t, all_ = Ring(10, 100), 0, []
    for step, size in steps:
        t += step
        all_.append(Shot(t, bytes(size)))
        spilled = ring.spilled
        ring.add(all_[-1])
        assert ring.bytes <= 100
        held = ring.since(0)
        assert held == all_[len(all_) - len(held) :]
        if ring.spilled == spilled == 0:
            assert len(held) == len(all_) or held[0].t_ns <= t - 10


def test_memory_that_is_too_small_is_said_once(tmp_path: Path) -> None:
    log = LogBook()
    stage = saver(tmp_path, log, codec="mjpeg", max_mb=0.01)
    run(stage, in_time(*film(0, 20), found(5.0, "person"), found(15.0, "person")))
    assert log.said("warning").count("max_mb is too small for pre_s: clips begin late") == 1
    assert stage._ring.bytes <= 5_000


def test_check_tells_what_the_ring_costs() -> None:
    """A hundredfold of what a thumbnail needs does not fit, and the remark says what would."""
    small = SaveClipOptions(folder=Path("clips"), width=320, rate_hz=5)
    (said,) = small.remarks()
    assert said.startswith("the last 7 s are kept in memory: about 0.2 MB at 5 pictures/s of 320x")
    _, short = SaveClipOptions(folder=Path("clips"), pre_s=60, rate_hz=30).remarks()
    assert "give max_mb:" in short


@pytest.mark.slow
def test_the_cost_that_check_tells_is_about_right(tmp_path: Path, data_dir: Path) -> None:
    """On a real clip of a person, within a factor of two."""
    stage = saver(tmp_path, width=640, pre_s=3, codec="mjpeg")
    video = cv2.VideoCapture(str(data_dir / "video" / "one-by-one-person-detection.mp4"))
    with stage:
        for n in range(90):
            stage.act(packet(Image(np.asarray(video.read()[1], np.uint8)), n / 15))
        kept = stage._ring.bytes / 1e6
    told = float(stage._options.remarks()[0].partition("about ")[2].split()[0])
    assert told / 2 < kept < told * 2


# -- the disk -------------------------------------------------------------------------------------


def four_clips(folder: Path, **options: Any) -> LogBook:
    log = LogBook()
    seen = [found(t, "person") for t in (3.0, 9.0, 15.0, 21.0)]
    run(saver(folder, log, codec="mjpeg", **options), in_time(*film(0, 28), *seen))
    return log


def test_the_oldest_clips_go_when_the_quota_is_reached(tmp_path: Path) -> None:
    four_clips(tmp_path / "all")
    sizes = [file.stat().st_size for file in sorted((tmp_path / "all" / "clips").iterdir())]
    four_clips(tmp_path, quota_mb=sum(sizes[:2]) * 1.2 / 1e6)
    assert names(tmp_path) == ["test-clip-00000003.mp4", "test-clip-00000004.mp4"]


def test_a_clip_over_the_quota_alone_is_not_kept(tmp_path: Path) -> None:
    log = LogBook()
    stage = saver(tmp_path, log, codec="mjpeg", quota_mb=0.001)
    run(stage, in_time(*film(0, 2.5), found(1, "person")))
    assert names(tmp_path) == []
    assert "over the quota" in log.events[-1][2]["problem"]


def test_what_others_made_is_never_deleted(tmp_path: Path) -> None:
    foreign = ["holiday.mp4", "test-other-00000001.mp4", "test-clip-1.mp4", ".secret.mp4.part"]
    (tmp_path / "clips").mkdir()
    for name in foreign:
        (tmp_path / "clips" / name).write_bytes(bytes(100_000))
    four_clips(tmp_path, quota_mb=0.05)
    assert set(foreign) < set(names(tmp_path))


def test_no_clip_is_written_into_what_is_to_stay_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own clips go first; when that is not enough, the reason is told."""
    four_clips(tmp_path)
    monkeypatch.setattr(Room, "free", lambda _room: 150_000_000)
    log = LogBook()
    stage = saver(tmp_path, log, keep_free_mb=200)
    run(stage, in_time(*film(0, 2.5), found(1, "person")))
    assert names(tmp_path) == []
    told = "a clip was not saved: the disk has 150 MB free, and 200 MB are to stay free"
    assert log.events[-1][2]["problem"] == told


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_disk_that_fills_up_leaves_no_broken_file(tmp_path: Path, codec: str) -> None:
    """A real refusal of the kernel in the middle of a file; the next clip is whole."""
    noise = np.random.default_rng(1)
    pictures = [
        packet(Image(noise.integers(0, 255, (96, 160, 3), np.uint8)), n / 10) for n in range(50)
    ]
    stage = saver(tmp_path, codec=codec)
    with stage:
        with files_of_at_most(60_000), pytest.raises(BadPacket, match="File too large") as told:
            act_until_told(stage, in_time(*pictures, found(2.0, "person")))
        assert told.value.reason == "disk_full"
        assert names(tmp_path) == []
        for one in in_time(*film(10, 16), found(12.0, "person")):
            stage.act(one)
    assert spans(tmp_path) == [(11000, 13000)]
    assert names(tmp_path) == ["test-clip-00000001.mp4"]


def act_until_told(stage: SaveClip, packets: Iterable[Packet[Any]]) -> None:
    """Let the writer keep up; raise what went wrong."""
    for one in packets:
        stage.act(one)
    wait_until(lambda: bool(stage._writer._problems), "the writer tells what went wrong")
    problem = stage._writer.problem()
    assert problem is not None
    raise problem


def test_a_disk_of_64_kib(tmp_path: Path) -> None:
    """A file system that is really full."""
    (tmp_path / "clips").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path / "clips")]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tiny disk needs root: run the tests in a privileged container")
    try:
        run(saver(tmp_path, codec="mjpeg"), [*film(0, 2.5), found(1, "person")])
        assert names(tmp_path) == ["test-clip-00000001.mp4"]
        seen = [found(n / 10, "person") for n in range(100)]
        with (
            saver(tmp_path, codec="mjpeg") as stage,
            pytest.raises(BadPacket, match=os.strerror(errno.ENOSPC)),
        ):
            act_until_told(stage, in_time(*film(0, 12), *seen))
        assert [name for name in names(tmp_path) if name.startswith(".")] == []
        assert all(read(file) for file in (tmp_path / "clips").iterdir())
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "clips")], check=True)


def test_half_a_file_from_a_power_cut_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / ".test-clip-00000007.mp4.part").write_bytes(b"half")
    run(saver(tmp_path), in_time(*film(0, 5), found(2.0, "person")))
    assert names(tmp_path) == ["test-clip-00000001.mp4"]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        run(saver(tmp_path), in_time(*film(0, 5), found(2.0, "person")))
    (tmp_path / "clips" / "test-clip-00000002.mp4").unlink()
    run(saver(tmp_path), in_time(*film(0, 5), found(2.0, "person")))
    assert names(tmp_path) == ["test-clip-00000001.mp4", "test-clip-00000003.mp4"]


def test_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file is in the way")
    with pytest.raises(Unavailable, match="cannot be saved in"), saver(tmp_path):
        pass


# -- the writer -----------------------------------------------------------------------------------


def test_a_slow_disk_costs_pictures_and_not_memory(tmp_path: Path) -> None:
    """What waits is bounded; the file says nothing false, it only has gaps."""
    log = LogBook()
    stage = saver(tmp_path, log, codec="mjpeg", max_mb=0.05, post_s=9)
    with stage, stage._writer._changed:  # the writer can take nothing now
        for one in in_time(*film(0, 5), found(1.0, "person")):
            stage.act(one)
        assert stage._writer._queued_bytes <= 25_000
    ((_, _, facts),) = [event for event in log.events if event[1] == "clip saved with gaps"]
    (clip,) = clips(tmp_path)
    assert facts["skipped"] > 10
    assert clip.stamped_ms == clip.drawn_ms


def test_too_many_clips_waiting_are_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clip hangs in the disk; some more may wait."""
    disk = threading.Event()
    monkeypatch.setattr("edgeapp.actions._clip_writer._MOST_WAITING", 8)
    monkeypatch.setattr("os.fsync", lambda _fd: disk.wait(60))
    stage = saver(tmp_path, codec="mjpeg", pre_s=0, post_s=0)
    seen = [found(3.0 * n, "person") for n in range(12)]
    with stage:
        with pytest.raises(BadPacket, match="still being written") as told:
            act_until_told(stage, in_time(*film(0, 36, 2), *seen))
        disk.set()
    assert told.value.reason == "slow_disk"
    assert len(clips(tmp_path)) == 8


def test_a_clip_whose_camera_is_gone_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the next picture, which may never come; what comes later is kept too."""
    with saver(tmp_path) as stage:
        for one in in_time(*film(0, 2), found(1.9, "person")):
            stage.act(one)
        monkeypatch.setattr("edgeapp.actions._clip_writer._IDLE_S", 0.02)
        with stage._writer._changed:
            stage._writer._changed.notify()  # it waits for longer
        for _ in range(500):
            if names(tmp_path) == ["test-clip-00000001.mp4"]:
                break
            stage._writer._thread.join(0.01)
        stage.act(shot(2.5))
    assert spans(tmp_path) == [(900, 2000), (2500, 2500)]


def test_pyav_that_is_not_there_is_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(pydantic.ValidationError, match=r"pip install 'edgeapp\[video\]'"):
        SaveClipOptions(folder=Path("clips"))
