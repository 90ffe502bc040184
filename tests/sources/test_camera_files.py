"""Video files and images as a camera."""

from pathlib import Path
from random import Random

import pytest

from edgeapp.api import Image, Stopping, Unavailable
from edgeapp.core.opencv import cv2
from edgeapp.sources._camera_options import CameraOptions
from edgeapp.sources.camera import Camera
from edgeapp.testing.stage import context
from tests.sources.conftest import Run, RunCamera, write_image, write_video


def test_video_gives_each_frame_at_its_own_time(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    run = run_camera(device="clip.avi", speed="fast")
    assert run.times_s == [round(0.1 * n, 4) for n in range(20)]
    assert run.greys == pytest.approx([10 * n for n in range(20)], abs=2)
    assert run.shots[0].pixels.shape == (48, 64, 3)


def test_fast_does_not_wait(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    run = run_camera(device="clip.avi", speed="fast")
    assert {shot.clock_ns for shot in run.shots} == {5_000_000_000}


def test_real_time_waits_until_each_frame_is_due(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    run = run_camera(device="clip.avi")
    waited_s = [(shot.clock_ns - 5_000_000_000) / 1e9 for shot in run.shots]
    assert waited_s == pytest.approx(run.times_s)


def test_rate_thins_out_evenly(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    run = run_camera(device="clip.avi", speed="fast", rate_hz=2.5)
    assert run.times_s == [0.0, 0.4, 0.8, 1.2, 1.6]
    assert all(shot.lost == 0 for shot in run.shots), "left out on request is not lost"


def test_rate_above_the_videos_own_gives_every_frame(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    assert len(run_camera(device="clip.avi", speed="fast", rate_hz=60).shots) == 20


def test_loop_goes_on_in_stream_time(tmp_path: Path, run_camera: RunCamera) -> None:
    """The second round follows the first; time never goes back."""
    write_video(tmp_path / "clip.avi", frames=5)
    run = run_camera(device="clip.avi", speed="fast", loop=True, stop_after=12)
    assert run.times_s == [round(0.1 * n, 4) for n in range(12)]
    assert run.greys[5] == run.greys[0]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_stopping_releases_the_file(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    before = open_files()
    run_camera(device="clip.avi", speed="fast", stop_after=3)
    assert open_files() == before


def test_stop_is_noticed_between_the_pictures_that_go_on(tmp_path: Path) -> None:
    """Of a low rate, too: nobody waits for the next picture to be due."""
    write_video(tmp_path / "clip.avi")
    surroundings = context("camera")
    options = CameraOptions.model_validate(
        {"device": str(tmp_path / "clip.avi"), "rate_hz": 0.1, "speed": "fast", "loop": True}
    )
    shots = []

    def emit(value: Image, /, *, t_ns: int | None = None, span_ns: int = 0, lost: int = 0) -> None:
        shots.append((value, t_ns, span_ns, lost))
        surroundings.stopping.set()

    with pytest.raises(Stopping):
        Camera(options, surroundings).run(emit)
    assert len(shots) == 1


def test_truncated_video_gives_what_is_there_and_says_what_is_missing(
    tmp_path: Path, run_camera: RunCamera
) -> None:
    whole = write_video(tmp_path / "clip.avi", frames=200).read_bytes()
    (tmp_path / "clip.avi").write_bytes(whole[: len(whole) // 2])
    run = run_camera(device="clip.avi", speed="fast")
    assert 50 < len(run.shots) < 150
    [(_, event, facts)] = run.log.events
    assert "ends early" in event
    assert facts["frames"] == len(run.shots)
    assert facts["announced"] == 200
    assert facts["missing"] == 200 - len(run.shots)


def test_complete_video_ends_without_a_word(tmp_path: Path, run_camera: RunCamera) -> None:
    write_video(tmp_path / "clip.avi")
    assert run_camera(device="clip.avi", speed="fast").log.events == []


@pytest.mark.parametrize(
    "content", [b"", Random(0).randbytes(50_000), b"RIFF\x00\x00\x00\x00AVI LIST"]
)
def test_no_video_is_said_so_in_one_sentence(
    tmp_path: Path,
    run_camera: RunCamera,
    content: bytes,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither OpenCV nor FFmpeg add noise of their own."""
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(Unavailable, match=r"clip\.mp4' is not a video that can be decoded"):
        run_camera(device="clip.mp4", speed="fast")
    assert capfd.readouterr() == ("", "")


def test_images_come_in_natural_order_at_their_rate(tmp_path: Path, run_camera: RunCamera) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for n in (10, 2, 1):
        write_image(folder / f"shot{n}.png", n)
    (folder / "notes.txt").write_text("no image")
    run = run_camera(device="shots", rate_hz=4)
    assert run.greys == [1, 2, 10]
    assert run.times_s == [0.0, 0.25, 0.5]
    assert [(s.clock_ns - 5_000_000_000) / 1e9 for s in run.shots] == pytest.approx(run.times_s)


def test_images_of_a_pattern(tmp_path: Path, run_camera: RunCamera) -> None:
    write_image(tmp_path / "a1.png", 1)
    write_image(tmp_path / "b1.png", 2)
    assert run_camera(device="a*.png", speed="fast").greys == [1]


def test_broken_image_is_logged_once_and_counted_before_the_next(
    tmp_path: Path, run_camera: RunCamera
) -> None:
    write_image(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.jpg").write_bytes(Random(1).randbytes(500))
    write_image(tmp_path / "4.png", 4)
    run = run_camera(device="*.*", speed="fast", loop=True, stop_after=6)
    assert [shot.lost for shot in run.shots] == [0, 2, 0, 2, 0, 2]
    assert run.times_s == [0.0, 0.3, 0.4, 0.7, 0.8, 1.1]
    assert [facts["file"] for _, _, facts in run.log.events] == [
        str(tmp_path / "2.png"),
        str(tmp_path / "3.jpg"),
    ]


def test_only_broken_images_are_no_camera(tmp_path: Path, run_camera: RunCamera) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    with pytest.raises(Unavailable, match="none of the 1 images"):
        run_camera(device="1.png", speed="fast", loop=True)


def test_real_clip_is_read_whole_and_equals_the_bare_loop(
    data_dir: Path, run_camera: RunCamera
) -> None:
    clip = data_dir / "video" / "bottle-detection.mp4"
    run = Run()
    run_camera(device=str(clip), speed="fast", stop_after=120, into=run)
    bare = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    for shot in run.shots:
        assert (bare.read()[1] == shot.pixels).all()
    bare.release()
    steps = {round(b - a, 3) for a, b in zip(run.times_s, run.times_s[1:], strict=False)}
    assert steps <= {0.033, 0.034}
