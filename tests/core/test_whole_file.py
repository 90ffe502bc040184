"""Small files of our own: whole or not there, whatever happens meanwhile; and nobody writes else."""

import ast
import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
import pytest

import edgeapp
from edgeapp.actions._numbered import NumberedFiles
from edgeapp.core.clock import FakeClock
from edgeapp.core.payload import Signal
from edgeapp.core.whole_file import read_start, write_whole
from edgeapp.service.discovery.memory import Memory, write_memory
from edgeapp.service.starts.good import GoodFiles
from edgeapp.service.starts.healthy import Healthy
from edgeapp.service.starts.start import Start
from edgeapp.testing import context
from edgeapp.transforms._alarm_store import Alarm, AlarmStore
from edgeapp.transforms._learned import Learned
from edgeapp.uplink.run_number import next_run
from edgeapp.watchdog.costs import VERSION, Costs, costs_file, this_device, write_costs


class Step(NamedTuple):
    """What was asked of the system, in order."""

    what: str
    path: str


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Every fsync and rename from here on, which are done as well."""
    seen: list[Step] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        seen.append(Step("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def renamed(old: Path, new: Path) -> None:
        seen.append(Step("rename", f"{old} {new}"))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return seen


def _alarm(folder: Path) -> Path:
    AlarmStore(folder, keep=2).save(3, Alarm(3, "C", 7.1, "x"))
    return folder / "alarm.json"


def _window(folder: Path) -> Path:
    signal = Signal(np.zeros((1, 8), np.float32), 100.0, ("x",), ("g",))
    return folder / AlarmStore(folder, keep=2).keep_window(3, signal, {})


def _learned(folder: Path) -> Path:
    Learned(("rms",), ("g",), "").save(folder / "learned")
    return folder / "learned"


def _number(folder: Path) -> Path:
    around = context("still", state_dir=folder)
    NumberedFiles(folder / "pictures", ".jpg", around).keep(5)
    return folder / "last_number"


def _run(folder: Path) -> Path:
    next_run(folder, context("run").log, chance=random.Random(1))
    return folder / "run"


def _memory(folder: Path) -> Path:
    write_memory(folder, Memory())
    return folder / "discovery.json"


def _costs(folder: Path) -> Path:
    file = costs_file(folder, "porch")
    write_costs(file, Costs(VERSION, "porch", "2026-01-01T00:00:00Z", this_device(), ()))
    return file


def _good(folder: Path) -> Path:
    original = folder / "etc" / "porch.yaml"
    GoodFiles(folder).keep(original, b"name: porch\n")
    [file] = (folder / "good").glob("*.good")
    return file


def _healthy(folder: Path) -> Path:
    start = Start(id="0a1b2c3d-1")
    Healthy(start, folder, list, clock=FakeClock(), log=context("x").log).mark()
    return folder / "healthy"


WRITERS: list[Callable[[Path], Path]] = [
    _alarm,
    _window,
    _learned,
    _number,
    _run,
    _memory,
    _costs,
    _good,
    _healthy,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[1:])
def test_state_is_on_the_disk_under_its_draft_name_before_it_gets_its_own(
    write: Callable[[Path], Path], tmp_path: Path, steps: list[Step]
) -> None:
    """Then its folder is synced, or a power cut could still take the name away."""
    file = write(tmp_path)
    at = next(i for i, s in enumerate(steps) if s.path.endswith(f" {file}"))
    draft = steps[at].path.split(" ")[0]
    assert steps[at - 1 : at + 2] == [
        Step("sync", draft),
        Step("rename", f"{draft} {file}"),
        Step("sync", str(file.parent)),
    ]
    assert not Path(draft).exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_was_there_stays_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """And the draft does not take what little is left."""
    file = tmp_path / "state"
    write_whole(file, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_folders_are_made_and_a_draft_left_by_a_power_cut_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "state"
    write_whole(file, b"1")
    (tmp_path / "a" / "b" / "state.tmp").write_bytes(b"half of something longer")
    write_whole(file, b"2")
    assert [one.name for one in file.parent.iterdir()] == ["state"]
    assert file.read_bytes() == b"2"


def test_no_more_is_read_than_asked_for_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"x" * 100)
    os.mkfifo(pipe)
    assert read_start(file, 7) == b"x" * 7
    for other in (pipe, tmp_path):
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            read_start(other, 7)


OWN_WAY = {
    "core/whole_file.py": "this is it",
    "actions/_clip_file.py": "a stream: written for as long as the clip lasts, then published",
    "service/recordings/recording.py": "a stream, the same",
    "outputs/jsonl.py": "lines are appended; the file is turned over when it is full",
    "uplink/disk/store_folder.py": "SQLite syncs its files; here is only its lock",
    "service/bundle.py": "streamed into an archive, searched, and linked to a name that is free",
    "uplink/broker.py": "a file in /tmp for the broker that ends with us",
    "sources/_iio.py": "the kernel's files",
    "cli/new.py": "a project for a person, who has nothing in the place of it",
    "cli/tap.py": "what a person asked to have in a file, to look at",
    "cli/plugins.py": "what a person asked to have in a file",
}
"""Who writes files without `write_whole`, and why that is right."""


def test_nobody_else_writes_files_in_a_way_of_their_own() -> None:
    """A writer that forgets to sync is noticed here, and not after a power cut."""
    root = Path(edgeapp.__file__).parent
    writers = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if any(map(_writes, ast.walk(ast.parse(file.read_bytes()))))
    }
    assert writers - OWN_WAY.keys() == set()


def _writes(node: ast.AST) -> bool:
    """Whether this is a call that writes, names or syncs a file."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in {"write_text", "write_bytes", "fsync", "fdatasync", "rename", "mkstemp"}:
        return True
    if name == "replace":  # a path's has one argument, a text's two, a record's names
        return len(node.args) == 1 and not node.keywords and _path_like(node.func)
    if name == "open":
        words = [str(a.value) for a in (*node.args, *(k.value for k in node.keywords)) if _text(a)]
        written = any(set(w) & set("wax+") and set(w) <= set("rwaxbt+") for w in words)
        return written or "O_CREAT" in ast.dump(node)
    return False


def _text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _path_like(function: ast.expr) -> bool:
    """`governor.replace(tenants)` is none of ours."""
    owner = function.value if isinstance(function, ast.Attribute) else function
    said = ast.unparse(owner).lower()
    return any(word in said for word in ("path", "file", "draft", "part", "temp", "newer", "os"))


@pytest.mark.parametrize("what", ["pipe", "link"])
def test_what_lies_in_the_place_of_the_draft_does_no_harm(tmp_path: Path, what: str) -> None:
    """A pipe would be waited for, for good; a link leads to a file that is not ours."""
    other, draft = tmp_path / "other", tmp_path / "state.tmp"
    other.write_text("somebody's")
    if what == "pipe":
        os.mkfifo(draft)
    else:
        draft.symlink_to(other)
    write_whole(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"new"
    assert not (tmp_path / "state").is_symlink()
    assert other.read_text() == "somebody's"


def test_a_link_that_leads_out_of_the_folder_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    (theirs / "folder").symlink_to(ours)
    (theirs / "link").symlink_to(ours / "file")
    assert read_start(theirs / "file", 100, inside=theirs) == b"theirs"
    for path in (theirs / "folder/file", theirs / "link"):
        assert read_start(path, 100) == b"ours"
        with pytest.raises(OSError, match=r"elsewhere|symbolic links"):
            read_start(path, 100, inside=theirs)
