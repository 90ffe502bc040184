"""Saving pictures: names, numbers, how many stay, and what is drawn."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.actions._drawing import with_boxes
from edgeapp.actions.save_image import SaveImage, SaveImageOptions
from edgeapp.api import (
    BadPacket,
    Detections,
    Event,
    Image,
    Packet,
    Phase,
    Tracks,
    Unavailable,
    View,
)
from edgeapp.core.opencv import cv2
from edgeapp.testing.stage import context


def picture(grey: int = 0, size: tuple[int, int] = (64, 48), view: View | None = None) -> Image:
    return Image(np.full((size[1], size[0], 3), grey, np.uint8), view or View())


def found(image: Image | None, *boxes: tuple[float, float, float, float]) -> Detections:
    """Detections of a cat in each of the boxes."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.87, np.float32),
        np.zeros(count, np.int32),
        ("cat",),
        image,
    )


def saver(folder: Path, **options: Any) -> SaveImage:
    checked = SaveImageOptions.model_validate({"folder": folder / "shots", **options})
    return SaveImage(checked, context("snapshot", state_dir=folder / "state"))


def save(stage: SaveImage, *values: Detections | Image | Event) -> None:
    for value in values:
        stage.act(Packet(value, "camera", 0, 0, 0, 0, 0, 0, 0, ()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "shots").iterdir())


def greys(folder: Path) -> list[int]:
    """Brightness of the saved pictures, in the order of their names."""
    return [
        round(float(np.asarray(cv2.imread(str(path))).mean()))
        for path in sorted((folder / "shots").glob("*.jpg"))
    ]


def test_names_sort_by_capture(tmp_path: Path) -> None:
    save(saver(tmp_path), *(picture(10 * n) for n in range(12)))
    assert greys(tmp_path) == [10 * n for n in range(12)]
    assert names(tmp_path)[0] == "test-snapshot-00000001.jpg"


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    save(saver(tmp_path), picture(10), picture(20))
    save(saver(tmp_path), picture(30))
    assert greys(tmp_path) == [10, 20, 30]


def test_numbers_go_on_though_the_files_were_taken_away(tmp_path: Path) -> None:
    """Whoever collects the files never meets a name twice."""
    save(saver(tmp_path), picture(), picture())
    for path in (tmp_path / "shots").iterdir():
        path.unlink()
    save(saver(tmp_path), picture())
    assert names(tmp_path) == ["test-snapshot-00000003.jpg"]


def test_numbers_go_on_though_the_memory_was_lost(tmp_path: Path) -> None:
    save(saver(tmp_path), picture(), picture())
    (tmp_path / "state" / "last_number").write_bytes(b"\x00\x00")
    save(saver(tmp_path), picture())
    assert names(tmp_path)[-1] == "test-snapshot-00000003.jpg"


def test_only_the_newest_stay_those_of_earlier_runs_included(tmp_path: Path) -> None:
    save(saver(tmp_path), *(picture(10 * n) for n in range(5)))
    save(saver(tmp_path, keep_newest=3), picture(90))
    assert greys(tmp_path) == [30, 40, 90]


def test_what_others_made_is_never_deleted(tmp_path: Path) -> None:
    foreign = ["holiday.jpg", "test-snapshot-1.jpg", "test-other-00000001.jpg", ".secret.jpg.part"]
    (tmp_path / "shots").mkdir()
    for name in foreign:
        (tmp_path / "shots" / name).write_text("mine")
    save(saver(tmp_path, keep_newest=1), picture(), picture(), picture())
    assert names(tmp_path) == sorted([*foreign, "test-snapshot-00000003.jpg"])


def test_half_a_file_from_a_power_cut_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / ".test-snapshot-00000007.jpg.part").write_bytes(b"half")
    save(saver(tmp_path), picture())
    assert names(tmp_path) == ["test-snapshot-00000001.jpg"]


def test_full_disk_is_unavailable_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once there is room again, the same stage goes on with the next number."""
    stage = saver(tmp_path)
    save(stage, picture())

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(Unavailable, match="No space left on device"):
            save(stage, picture())
    assert names(tmp_path) == ["test-snapshot-00000001.jpg"]
    save(stage, picture())
    assert names(tmp_path)[-1] == "test-snapshot-00000002.jpg"


def test_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "shots").write_text("a file is in the way")
    with pytest.raises(Unavailable, match="cannot be saved in"):
        save(saver(tmp_path), picture())


def test_boxes_are_drawn_on_the_file_and_not_on_the_picture(tmp_path: Path) -> None:
    image = picture(0, (640, 480))
    save(saver(tmp_path), found(image, (0.25, 0.25, 0.75, 0.75)))
    assert not image.pixels.any()
    assert greys(tmp_path)[0] > 0


def test_boxes_may_be_left_off(tmp_path: Path) -> None:
    save(saver(tmp_path, boxes=False), found(picture(0, (640, 480)), (0.25, 0.25, 0.75, 0.75)))
    assert greys(tmp_path) == [0]


def test_detections_without_a_picture_are_a_bad_packet(tmp_path: Path) -> None:
    with pytest.raises(BadPacket, match="carry no picture"):
        save(saver(tmp_path), found(None, (0, 0, 1, 1)))


def event(phase: Phase, image: Image | None) -> Event:
    return Event(phase, "people-1", "track", "cat", 0, 0.9, (0.2, 0.2, 0.8, 0.8), image)


def test_the_best_picture_of_an_event_is_saved_at_its_end(tmp_path: Path) -> None:
    """Once, and without the box of another moment."""
    best = picture(70, (640, 480))
    save(saver(tmp_path), event("new", picture(10)), event("update", best), event("end", best))
    assert greys(tmp_path) == [70]


def test_the_picture_of_an_event_may_be_saved_at_its_beginning(tmp_path: Path) -> None:
    save(saver(tmp_path, phase="new"), event("new", picture(10)), event("end", picture(70)))
    assert greys(tmp_path) == [10]


def test_an_event_without_a_picture_is_a_bad_packet(tmp_path: Path) -> None:
    with pytest.raises(BadPacket, match="event carries no picture"):
        save(saver(tmp_path), event("end", None))


def test_tracks_are_drawn_with_their_number() -> None:
    """The same box and label, and something more beside it."""
    image = picture(0, (640, 480))
    plain = found(image, (0.25, 0.5, 0.75, 0.875))
    tracks = Tracks(
        plain.xyxy, plain.scores, plain.classes, plain.labels, image, ids=np.array([12], np.int64)
    )
    color = (0, 158, 230)
    label, longer = (
        int((with_boxes(image, one)[:235] == color).all(axis=2).any(axis=0).sum())
        for one in (plain, tracks)
    )
    assert longer > label * 1.2


def edges_of(drawn: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what was drawn on black."""
    y, x = np.nonzero(drawn.any(axis=2))
    return int(x.min()), int(y.min()), int(x.max()), int(y.max())


def test_box_is_drawn_where_it_is() -> None:
    """The label stands above it, so the top is looked for below the label."""
    image = picture(0, (640, 480))
    drawn = with_boxes(image, found(image, (0.25, 0.5, 0.75, 0.875)))
    assert edges_of(drawn[235:])[:3] == pytest.approx((160, 0, 480), abs=3)
    assert edges_of(drawn)[3] == pytest.approx(420, abs=3)


def test_box_is_drawn_where_it_is_in_a_part_of_the_source() -> None:
    """The picture is the right half of the source; the box was found in the whole."""
    image = picture(0, (320, 480), View(0.5, 0, 0.5, 1))
    drawn = with_boxes(image, found(image, (0.625, 0.5, 0.875, 0.75)))
    left, _, right, bottom = edges_of(drawn)
    assert (left, right, bottom) == pytest.approx((80, 240, 360), abs=3)


def test_box_outside_the_picture_is_not_drawn() -> None:
    image = picture(0, (320, 480), View(0.5, 0, 0.5, 1))
    assert not with_boxes(image, found(image, (0.1, 0.1, 0.3, 0.3))).any()


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (0.9, 0, 1, 0.1), (0.95, 0.95, 1, 1), (0, 0.4, 0.01, 0.41)]
)
def test_label_stays_within_the_picture(box: tuple[float, float, float, float]) -> None:
    """At any edge the letters are on the picture: its label's background is all there."""
    image = picture(0, (640, 480))
    drawn = with_boxes(image, found(image, box))
    color = (drawn == (0, 158, 230)).all(axis=2)
    assert color.sum() > 500


def test_grey_pictures_are_drawn_on_in_colour() -> None:
    image = Image(np.zeros((480, 640), np.uint8))
    drawn = with_boxes(image, found(image, (0.25, 0.25, 0.75, 0.75)))
    assert drawn.shape == (480, 640, 3)
    assert drawn.any()
