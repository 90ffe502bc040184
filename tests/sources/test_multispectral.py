"""Red and near-infrared from two cameras, or from two channels of one."""

import threading
import time
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeapp.api import Bands, ConfigError, FakeClock, Image, Stopping, Surroundings, Unavailable
from edgeapp.config.device import read_device
from edgeapp.core.clock import MonotonicClock
from edgeapp.core.link import LinkSettings
from edgeapp.core.opencv import cv2
from edgeapp.plan.load import load
from edgeapp.sources._bands import DEPTH, Band, matched
from edgeapp.sources.camera import Camera
from edgeapp.sources.multispectral import Multispectral, MultispectralOptions
from edgeapp.testing import Ran, run_source
from edgeapp.testing.stage import LogBook, context
from tests.servers.motion_jpeg import motion_jpeg
from tests.sources.conftest import write_image, write_video

MS = 1_000_000


def shots(folder: Path, band: str, *greys: int) -> None:
    """Small images of a band, red_1.png and so on."""
    for number, grey in enumerate(greys, 1):
        write_image(folder / f"{band}_{number}.png", grey)


def run(
    folder: Path, *, clock: FakeClock | None = None, limit: int | None = None, **options: Any
) -> Ran:
    options = {"red": "red_*.png", "nir": "nir_*.png", "speed": "fast", **options}
    return run_source(Multispectral, options, folder=folder, clock=clock, limit=limit)


def greys(ran: Ran) -> list[tuple[int, int]]:
    """The brightness of red and near-infrared of each pair."""
    assert all(value.names == ("red", "nir") for value in ran.values)
    return [(int(v.planes[0].mean()), int(v.planes[1].mean())) for v in ran.values]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "/source/" in thread.name]


def test_pictures_go_together_in_natural_order_at_their_rate(tmp_path: Path) -> None:
    shots(tmp_path, "red", *range(1, 12))
    shots(tmp_path, "nir", *range(101, 112))
    ran = run(tmp_path, rate_hz=4)
    assert greys(ran) == [(n, 100 + n) for n in range(1, 12)]
    assert [packet.t_ns for packet in ran.packets] == [n * 250 * MS for n in range(11)]
    assert [packet.lost for packet in ran.packets] == [0] * 11
    assert ran.values[0].planes.shape == (2, 48, 64)
    assert threads() == []


def test_one_camera_gives_both_bands_in_two_channels(tmp_path: Path) -> None:
    for number in (1, 2):
        pixels = np.full((4, 6, 3), (70, 20, number), np.uint8)  # blue, green, red
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
    one = {"device": "*.png", "channel": "red"}, {"device": "*.png", "channel": "blue"}
    ran = run(tmp_path, red=one[0], nir=one[1])
    assert greys(ran) == [(1, 70), (2, 70)]
    green = run(tmp_path, red=one[0], nir={"device": "1.png", "channel": "green"})
    assert greys(green) == [(1, 20)]


def test_a_picture_without_its_partner_is_left_out_and_counted_once(tmp_path: Path) -> None:
    """However it came: nir_2 is broken, red_3 too; so two pairs are missing."""
    shots(tmp_path, "red", 1, 2, 3, 4, 5)
    shots(tmp_path, "nir", 11, 12, 13, 14, 15)
    (tmp_path / "nir_2.png").write_bytes(b"broken")
    (tmp_path / "red_3.png").write_bytes(b"broken")
    ran = run(tmp_path)
    assert greys(ran) == [(1, 11), (4, 14), (5, 15)]
    assert [packet.lost for packet in ran.packets] == [0, 2, 0]


def test_the_shorter_band_ends_it_and_the_longer_is_told_of(tmp_path: Path) -> None:
    shots(tmp_path, "red", 1, 2)
    shots(tmp_path, "nir", 11, 12, 13)
    ran = run(tmp_path)
    assert greys(ran) == [(1, 11), (2, 12)]
    assert [facts["band"] for level, _, facts in ran.log.events if level == "warning"] == ["nir"]


def test_a_loop_begins_both_bands_again_and_stream_time_goes_on(tmp_path: Path) -> None:
    shots(tmp_path, "red", 1, 2)
    shots(tmp_path, "nir", 11, 12, 13)
    ran = run(tmp_path, loop=True, limit=5)
    assert greys(ran) == [(1, 11), (2, 12), (1, 11), (2, 12), (1, 11)]
    assert [packet.t_ns for packet in ran.packets] == [n * 100 * MS for n in range(5)]
    assert threads() == []


def test_real_time_waits_until_a_pair_is_due(tmp_path: Path) -> None:
    shots(tmp_path, "red", 1, 2, 3)
    shots(tmp_path, "nir", 11, 12, 13)
    clock = FakeClock()
    run(tmp_path, clock=clock, speed="real_time", rate_hz=2)
    assert clock.now_ns() == 1000 * MS


def test_videos_of_different_rates_are_paired_by_time(tmp_path: Path) -> None:
    """What only the faster one has is no loss; rate_hz thins out pairs."""
    write_video(tmp_path / "red.avi", frames=20, fps=10)
    write_video(tmp_path / "nir.avi", frames=10, fps=5)
    videos: dict[str, Any] = {"red": "red.avi", "nir": "nir.avi", "skew_ms": 20}
    ran = run(tmp_path, **videos)
    assert [packet.t_ns // MS for packet in ran.packets] == [n * 200 for n in range(10)]
    assert greys(ran)[3] == pytest.approx((60, 30), abs=2)
    assert [packet.lost for packet in ran.packets] == [0] * 10
    thinned = run(tmp_path, **videos, rate_hz=2.5)
    assert [packet.t_ns // MS for packet in thinned.packets] == [n * 400 for n in range(5)]


def source(folder: Path, log: LogBook | None = None, **options: Any) -> Multispectral:
    checked = MultispectralOptions.model_validate(options, context=Surroundings(folder, folder))
    return Multispectral(checked, context("source", log=log, clock=MonotonicClock()))


def nothing(value: Bands, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0) -> None:
    """An emit that keeps nothing."""


def test_pictures_of_different_sizes_are_refused_with_both(tmp_path: Path) -> None:
    shots(tmp_path, "red", 1)
    assert cv2.imwrite(str(tmp_path / "nir_1.png"), np.zeros((24, 32), np.uint8))
    with pytest.raises(Unavailable, match=r"64 x 48 pixels and nir of 32 x 24"):
        source(tmp_path, red="red_1.png", nir="nir_1.png").run(nothing)


def test_a_band_that_cannot_be_read_is_named_and_ends_both(tmp_path: Path) -> None:
    shots(tmp_path, "red", 1, 2, 3, 4, 5, 6, 7)
    (tmp_path / "nir_1.png").write_bytes(b"broken")
    with pytest.raises(Unavailable, match=r"^nir: none of the 1 images"):
        source(tmp_path, red="red_*.png", nir="nir_1.png", speed="fast").run(nothing)
    assert threads() == []


def test_a_bug_in_a_reader_comes_through_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots(tmp_path, "red", 1)
    shots(tmp_path, "nir", 11)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Camera, "run", broken)
    with pytest.raises(ZeroDivisionError):
        source(tmp_path, red="red_1.png", nir="nir_1.png").run(nothing)
    assert threads() == []


def test_bands_that_never_fit_are_said_so(tmp_path: Path) -> None:
    """In files at the end: without a pair there is nothing to loop over."""
    shots(tmp_path, "red", 1, 2)
    shots(tmp_path, "nir", 11, 12)
    (tmp_path / "red_1.png").write_bytes(b"broken")
    (tmp_path / "nir_2.png").write_bytes(b"broken")
    with pytest.raises(Unavailable, match=r"within 0 ms"):
        source(tmp_path, red="red_*.png", nir="nir_*.png", speed="fast", skew_ms=0).run(nothing)


def test_a_stop_ends_the_readers(tmp_path: Path) -> None:
    shots(tmp_path, "red", *range(20))
    shots(tmp_path, "nir", *range(20))

    def stop(*_: Any, **__: Any) -> None:
        raise Stopping

    with pytest.raises(Stopping):
        source(tmp_path, red="red_*.png", nir="nir_*.png", speed="fast", loop=True).run(stop)
    assert threads() == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"red": "a.png", "nir": "a.png"}, "give each its 'channel'"),
        ({"red": "a.png", "nir": 0}, "both cameras or both files"),
        ({"red": 0, "nir": 1, "speed": "fast"}, "'speed' means nothing for cameras"),
        ({"red": 0, "nir": {"device": 0, "channel": "red", "silence_s": 9}}, "same options"),
        ({"red": "gone.png", "nir": 0}, "there is no file"),
        ({"red": {"device": 0, "rate_hz": 5}, "nir": 1}, "Extra inputs"),
        ({"red": True, "nir": 1}, "dictionary"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, options: dict[str, Any], complaint: str
) -> None:
    write_image(tmp_path / "a.png", 1)
    with pytest.raises(ValidationError, match=complaint):
        MultispectralOptions.model_validate(options, context=Surroundings(tmp_path, tmp_path))


def band(name: str, times_ms: list[int], *, waits: bool = False) -> Band:
    """A band whose pictures have come already."""
    made = Band(name, Condition(), waits=waits)
    for t_ms in times_ms:
        made.put(PICTURE, t_ns=t_ms * MS)
    return made


PICTURE = Image(np.zeros((2, 2), np.uint8))


def all_matched(red: Band, nir: Band, skew_ms: int) -> list[tuple[int, int]]:
    pairs = []
    while pair := matched(red, nir, skew_ms * MS):
        pairs.append((pair[0].t_ns // MS, pair[1].t_ns // MS))
    return pairs


def test_the_better_partner_is_taken_where_it_is_there_already() -> None:
    """Two cameras at 30 pictures a second, 3 ms apart, of which one has been waiting."""
    assert all_matched(band("red", [0, 33, 67]), band("nir", [36, 70]), 50) == [(33, 36), (67, 70)]


def test_files_are_asked_for_the_better_partner() -> None:
    red, nir = band("red", [0], waits=True), band("nir", [36], waits=True)
    assert all_matched(red, nir, 50) == []
    red.put(PICTURE, t_ns=33 * MS)
    red.over = True
    assert all_matched(red, nir, 50) == [(33, 36)]


def test_of_a_camera_the_newest_pictures_wait() -> None:
    red = band("red", list(range(0, 100, 10)))
    assert [shot.t_ns // MS for shot in red.shots] == [60, 70, 80, 90]
    assert len(red.shots) == DEPTH
    assert red.alone == 6


TIMES = st.lists(st.integers(0, 400), max_size=DEPTH, unique=True).map(sorted)


@settings(max_examples=50)
@given(st.lists(st.tuples(TIMES, TIMES), max_size=6), st.integers(0, 100))
def test_pairs_fit_rise_and_every_picture_is_accounted_for(
    arrivals: list[tuple[list[int], list[int]]], skew_ms: int
) -> None:
    red, nir = band("red", []), band("nir", [])
    put = {"red": 0, "nir": 0}
    pairs: list[tuple[int, int]] = []
    lost = [0, 0]
    for turn, both in enumerate(arrivals):
        for one, times in zip((red, nir), both, strict=True):
            for t_ms in times:
                one.put(PICTURE, t_ns=(turn * 500 + t_ms) * MS)
                put[one.name] += 1
        while pair := matched(red, nir, skew_ms * MS):
            pairs.append((pair[0].t_ns // MS, pair[1].t_ns // MS))
            lost = [so_far + shot.lost for so_far, shot in zip(lost, pair, strict=True)]
    assert all(abs(one - other) <= skew_ms for one, other in pairs)
    assert pairs == sorted(set(pairs))
    for one, gone in zip((red, nir), lost, strict=True):
        assert len(pairs) + gone + one.alone + len(one.shots) == put[one.name]


@pytest.mark.slow
def test_two_cameras_give_pairs_until_one_goes() -> None:
    """Over the network: the one that went is named, and the other one let go."""
    pytest.importorskip("av", reason="streams need PyAV: pip install 'edgeapp[video]'")
    red_goes, nir_goes = threading.Event(), threading.Event()
    with (
        motion_jpeg(2000, red_goes, grey=50, period_s=0.02) as red,
        motion_jpeg(2000, nir_goes, grey=90, period_s=0.02) as nir,
    ):
        seen: list[tuple[int, int]] = []
        went_s = 0.0

        def emit(value: Bands, /, **_: int | None) -> None:
            nonlocal went_s
            seen.append((int(value.planes[0].mean()), int(value.planes[1].mean())))
            if len(seen) == 10:
                went_s = time.monotonic()
                nir_goes.set()

        with pytest.raises(Unavailable, match=r"^nir: "):
            source(Path(), red=red, nir=nir, skew_ms=100).run(emit)
        took_s = time.monotonic() - went_s
    assert seen[9] == pytest.approx((50, 90), abs=2)
    assert took_s < 20, "the other one would have gone on for longer"
    assert threads() == []


@pytest.mark.slow
def test_cameras_that_never_fit_are_told_of_and_a_stop_comes_through() -> None:
    """A skew of 0 fits no two cameras."""
    pytest.importorskip("av", reason="streams need PyAV: pip install 'edgeapp[video]'")
    log = LogBook()
    with (
        motion_jpeg(2000, threading.Event(), period_s=0.01) as red,
        motion_jpeg(2000, threading.Event(), period_s=0.01) as nir,
    ):
        two = source(Path(), log, red=red, nir=nir, skew_ms=0)
        stopping = two._context.stopping

        def stop_once_told() -> None:
            deadline_s = time.monotonic() + 60
            while not log.said("warning") and time.monotonic() < deadline_s:
                time.sleep(0.02)
            stopping.set()

        watcher = threading.Thread(target=stop_once_told)
        watcher.start()
        with pytest.raises(Stopping):
            two.run(nothing)
        watcher.join()
    assert "too far apart in time" in log.said("warning")[0]
    assert threads() == []


def test_of_two_cameras_the_freshest_pair_waits_for_a_busy_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "field.yaml"
    file.write_text(
        "name: field\nstages:\n  eyes: {source: multispectral, red: 0, nir: 1}\n"
        "  index: {transform: ndvi}\n  tell: {output: console}\n"
    )
    [plan] = load([file], device=read_device())
    assert plan.stages["eyes"].link == LinkSettings(1, "drop_oldest")


def test_a_slip_in_a_bands_keys_is_answered_with_the_keys(tmp_path: Path) -> None:
    """Though a band has a short form, too."""
    file = tmp_path / "field.yaml"
    file.write_text(
        "name: field\nstages:\n  eyes: {source: multispectral, red: 0, nir: {device: 1, chanel: red}}\n"
        "  index: {transform: ndvi}\n  tell: {output: console}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load([file], device=read_device())
    [complaint] = refused.value.complaints
    assert complaint.problem == "nir of source 'multispectral' has no option 'chanel'"
    assert "did you mean 'channel'?" in complaint.remedy
