"""The last good text of a configuration file is kept, whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeapp.document.reader import MAX_BYTES
from edgeapp.service.starts import good
from edgeapp.service.starts.good import GoodFiles


def test_a_text_comes_back_by_the_path_it_was_read_from(tmp_path: Path) -> None:
    files = GoodFiles(tmp_path / "data")
    belt, yard = tmp_path / "etc" / "belt.yaml", tmp_path / "etc" / "yard.yaml"
    assert files.text_of(belt) is None
    assert files.originals() == ()
    files.keep(yard, b"name: yard\n")
    files.keep(belt, b"name: belt\n\n")
    files.keep(belt, b"name: belt\nabout: x\n")
    again = GoodFiles(tmp_path / "data")
    assert again.text_of(belt) == b"name: belt\nabout: x\n"
    assert again.text_of(yard) == b"name: yard\n"
    assert again.originals() == (belt, yard)
    again.forget(yard)
    assert files.originals() == (belt,)
    files.forget(yard)  # of what is gone there is nothing to forget


@given(text=st.binary(max_size=200), name=st.text(min_size=1, max_size=20))
def test_any_bytes_come_back_whatever_the_file_is_called(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, name: str
) -> None:
    files = GoodFiles(tmp_path_factory.mktemp("good"))
    path = Path("/etc/edgeapp/pipelines") / name.replace("\0", "_")
    files.keep(path, text)
    assert files.text_of(path) == text
    assert files.originals() == (path,)


def test_what_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    files = GoodFiles(tmp_path)
    files.keep(tmp_path / "belt.yaml", b"name: belt")
    [kept] = files.folder.iterdir()
    os.utime(kept, ns=(1, 1))
    files.keep(tmp_path / "belt.yaml", b"name: belt")
    assert kept.stat().st_mtime_ns == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"belt", b"bolt"),
        lambda _: b"",
        lambda _: b"[" * 100_000,
        lambda _: b"{}\nname: belt",
    ],
)
def test_what_is_damaged_counts_as_not_kept(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    files = GoodFiles(tmp_path)
    belt = tmp_path / "belt.yaml"
    files.keep(belt, b"name: belt")
    [kept] = files.folder.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert files.text_of(belt) is None
    assert files.originals() == ()
    files.keep(belt, b"name: belt")
    assert files.text_of(belt) == b"name: belt"


def test_files_of_other_kinds_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    files = GoodFiles(tmp_path)
    files.folder.mkdir()
    os.mkfifo(files.folder / "pipe.good")
    (files.folder / "folder.good").mkdir()
    (files.folder / "note.txt").write_text("x")
    assert files.originals() == ()


def test_no_more_than_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(good, "MOST", 3)
    files = GoodFiles(tmp_path)
    for number in range(5):
        path = tmp_path / f"{number}.yaml"
        files.keep(path, b"x")
        for kept in files.folder.iterdir():  # as if a minute went by
            state = kept.stat()
            os.utime(kept, ns=(state.st_atime_ns, state.st_mtime_ns - 60_000_000_000))
    assert files.originals() == tuple(tmp_path / f"{n}.yaml" for n in (2, 3, 4))


def test_what_is_too_large_or_cannot_be_written_leaves_what_was_kept(tmp_path: Path) -> None:
    files = GoodFiles(tmp_path / "data")
    belt = tmp_path / "belt.yaml"
    files.keep(belt, b"name: belt")
    with pytest.raises(ValueError, match="larger than 256 KiB"):
        files.keep(belt, bytes(MAX_BYTES + 1))
    assert files.text_of(belt) == b"name: belt"
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        GoodFiles(tmp_path / "file").keep(belt, b"name: belt")
