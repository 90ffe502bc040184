"""A bundle is whole or not there, bounded, for its owner alone, and never holds a secret."""

import errno
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from edgeapp.service import bundle
from edgeapp.service.bundle import LeakError, Part, write_bundle
from edgeapp.service.redaction import Redaction

SECRET = "correct horse battery"


def texts_in(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        found = {}
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read().decode()
        return found


def made(
    folder: Path, parts: list[Part], redaction: Redaction | None = None
) -> tuple[Path, dict[str, str]]:
    file = folder / "b.tar.gz"
    known = redaction or Redaction([SECRET])
    return file, write_bundle(file, iter(parts), known, top="edgeapp-line-3", made_s=1e9)


def text(content: str) -> Callable[[], str]:
    return lambda: content


def fails() -> NoReturn:
    raise PermissionError(13, f"Permission denied: {SECRET}")


def test_what_cannot_be_had_is_left_out_and_said(tmp_path: Path) -> None:
    file, left_out = made(tmp_path, [Part("a.txt", text("hello")), Part("b.txt", fails)])
    found = texts_in(file)
    assert found["edgeapp-line-3/a.txt"] == "hello"
    assert json.loads(found["edgeapp-line-3/left_out.json"]) == left_out
    assert "Permission denied" in left_out["b.txt"]
    assert SECRET not in str(left_out)


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    os.umask(0)
    file, _ = made(tmp_path, [Part("a.txt", text("x"))])
    os.umask(0o022)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_stays_small_and_of_a_long_log_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MOST_BYTES", 100_000)
    monkeypatch.setattr(bundle, "MOST_PART_BYTES", 20_000)
    log = "".join(f"line {n} of the log\n" for n in range(10_000))
    file, left_out = made(tmp_path, [Part(f"{n}.txt", text(log)) for n in range(9)])
    found = texts_in(file)
    assert sum(map(len, found.values())) <= bundle.MOST_BYTES + 10_000
    assert found["edgeapp-line-3/0.txt"].endswith("line 9999 of the log\n")
    assert "no room left" in left_out["8.txt"]


def test_a_secret_that_slips_through_ends_the_bundle(tmp_path: Path) -> None:
    """Whatever was wrong with taking it out: it is searched for in what was written."""

    class Blind(Redaction):
        def clean(self, text: str) -> str:
            return text

    with pytest.raises(LeakError, match=r"b\.txt"):
        made(tmp_path, [Part("b.txt", text(f"x{SECRET}x"))], Blind([SECRET]))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    for there in ("file", "dangling link"):
        file = tmp_path / "b.tar.gz"
        if there == "file":
            file.write_text("mine")
        else:
            file.unlink()
            file.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileExistsError):
            made(tmp_path, [Part("a.txt", text("x"))])
    assert not (tmp_path / "elsewhere").exists()


def test_on_a_full_disk_nothing_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        made(tmp_path, [Part("a.txt", text("x"))])
    assert list(tmp_path.iterdir()) == []
