"""Files of the kernel: bounded, never a hang; and the tree in memory answers as a disk would."""

import contextlib
import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeapp.watchdog.signals.files import MOST_BYTES, MOST_KEPT, Files, RealFiles, TreeFiles


def error_of(files: Files, path: str) -> int | None:
    with pytest.raises(OSError, match=r"\S") as caught:
        files.read(path)
    return caught.value.errno


def test_value_and_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "temp").write_bytes(b"48200\n")
    (tmp_path / "link").symlink_to("temp")
    assert RealFiles().read(f"{tmp_path}/link") == b"48200\n"
    assert sorted(RealFiles().names(str(tmp_path))) == ["link", "temp"]


def test_huge_file_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(b"1" * (MOST_BYTES * 4))
    assert RealFiles().read(str(path)) == b"1" * MOST_BYTES


@pytest.mark.timeout(60)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe that nobody writes to would hold up a reader for ever, /dev/zero one that reads all."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert error_of(RealFiles(), f"{tmp_path}/pipe") == errno.EINVAL
    assert error_of(RealFiles(), f"{tmp_path}/loop") == errno.ELOOP
    assert error_of(RealFiles(), str(tmp_path)) in {errno.EISDIR, errno.EINVAL}
    assert error_of(RealFiles(), "/dev/zero") == errno.EINVAL
    assert error_of(RealFiles(), f"{tmp_path}/nothing") == errno.ENOENT


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "temp").write_bytes(b"1")
    before, files = open_files(), RealFiles()
    for name in ("pipe", "temp", "gone") * 20:
        with contextlib.suppress(OSError):
            files.read(f"{tmp_path}/{name}")
    assert open_files() == before


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is taken for one of the kernel's."""
    monkeypatch.setattr("edgeapp.watchdog.signals.files._KERNEL", (str(tmp_path),))
    return tmp_path


def test_file_of_the_kernel_is_kept_open_and_says_what_is_true_now(kernel: Path) -> None:
    path = kernel / "temp"
    before, files = open_files(), RealFiles()
    for value in (b"1", b"22", b"3", b"444"):
        path.write_bytes(value)
        assert files.read(str(path)) == value
    assert open_files() == before + 1
    del files
    assert open_files() == before


def test_only_so_many_are_kept_open(kernel: Path) -> None:
    before, files = open_files(), RealFiles()
    for n in range(MOST_KEPT + 10):
        path = kernel / f"temp{n}"
        path.write_bytes(b"1")
        for _ in range(3):
            assert files.read(str(path)) == b"1"
    assert open_files() == before + MOST_KEPT


def test_file_whose_device_was_taken_away_fails_once_and_is_opened_anew(
    kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kernel / "temp"
    path.write_bytes(b"1")
    before, files = open_files(), RealFiles()
    for _ in range(3):
        files.read(str(path))

    def gone(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", gone)
        assert error_of(files, str(path)) == errno.ENODEV
    assert open_files() == before
    path.unlink()
    path.write_bytes(b"2")
    assert files.read(str(path)) == b"2"


def test_counters_of_this_kernel_move_in_a_file_that_is_kept_open() -> None:
    files = RealFiles()
    seen = {files.read("/proc/stat") for _ in range(3)}
    until = time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < until:
        seen.add(files.read("/proc/stat"))
    assert len(seen) >= 3


def test_file_in_memory_fails_as_it_is_told() -> None:
    files = TreeFiles({"/sys/temp": OSError(errno.EIO, "Input/output error")})
    assert error_of(files, "/sys/temp") == errno.EIO
    assert error_of(files, "/sys/temp") == errno.EIO
    files["/sys/temp"] = "48200\n"
    assert files.read("/sys/temp") == b"48200\n"


PATHS = st.sampled_from(["/a/x", "/a/y", "/a/b/x", "/a/b/c/x", "/d/x"])


@settings(max_examples=25)
@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=20))
def test_tree_in_memory_is_like_a_folder_on_disk(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool]]
) -> None:
    """After any writing and removing both list the same names, and fail alike."""
    root = tmp_path_factory.mktemp("tree")
    memory, disk = TreeFiles(), RealFiles()
    for path, write in steps:
        real = root / path[1:]
        if write:
            real.parent.mkdir(parents=True, exist_ok=True)
            real.write_text(path)
            memory[path] = path
        elif path in memory:
            del memory[path]
            real.unlink()
            while real.parent != root and not any(real.parent.iterdir()):
                real = real.parent
                real.rmdir()
    for folder in ("/a", "/a/b", "/a/b/c", "/d", "/a/x"):
        expected: list[str] | int | None
        actual: list[str] | int | None
        try:
            expected = sorted(disk.names(f"{root}{folder}"))
        except OSError as error:
            expected = error.errno
        try:
            actual = sorted(memory.names(folder))
        except OSError as error:
            actual = error.errno
        assert actual == expected
    for path in memory:
        assert memory.read(path) == disk.read(f"{root}{path}")
