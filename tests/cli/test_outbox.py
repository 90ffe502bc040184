"""`edgeapp outbox`: what waits on the disk, seen and removed by a person at the device."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import main
from edgeapp.core.clock import MonotonicClock
from edgeapp.core.message import Message, Priority
from edgeapp.testing.stage import LogBook
from edgeapp.uplink.durable_outbox import DurableOutbox
from edgeapp.uplink.wall_clock import WallClock

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def device(tmp_path: Path) -> str:
    """A device file that names a broker."""
    file = tmp_path / "device.yaml"
    file.write_text("{device: pump-7, data_dir: data, mqtt: {host: 127.0.0.1, port: 1}}")
    return str(file)


@contextmanager
def outbox(tmp_path: Path, run: int = 1) -> Iterator[DurableOutbox]:
    """The outbox of that device."""
    clock = MonotonicClock()
    with closing(
        DurableOutbox(
            tmp_path / "data" / "outbox",
            run=run,
            clock=clock,
            wall=WallClock(clock),
            log=LogBook(),
            device="pump-7",
        )
    ) as made:
        yield made


def message(n: int, priority: Priority = "normal", **more: Any) -> Message:
    body = b'{"n": %d}' % n
    return Message(f"pump/{priority}", body, MonotonicClock().now_ns(), priority, **more)


@pytest.fixture
def kept(tmp_path: Path) -> None:
    """Two runs: what waits of each class, a picture, and two messages that the broker refused."""
    with outbox(tmp_path) as first:
        for n in range(3):
            first.put(message(n))
        first.put(message(3, "critical"))
    with outbox(tmp_path, run=2) as second:
        second.step()
        taken_ns = MonotonicClock().now_ns()
        for n in (4, 5):
            second.put(message(n, "bulk"))
        second.put(
            Message("pump/snapshot", b"\xff\xd8", taken_ns, "bulk", True, content_type="image/jpeg")
        )
        for reason, n in (("not authorised", 6), ("too large \x1b[2J", 7)):
            second.put(message(n, "critical"))
            [entry] = second.take(1)
            second.refuse(entry.key, reason)


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `edgeapp outbox ...`."""
    code = main(["outbox", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def rows(capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.usefixtures("kept")
def test_status_says_what_waits_of_each_class(device: str, capsys: Capture) -> None:
    [facts] = rows(capsys, "status", "--device", device)
    waiting = {name: one["messages"] for name, one in facts["classes"].items()}
    assert waiting == {"critical": 1, "normal": 3, "bulk": 3}
    assert all(0 <= one["oldest_s"] < 600 for one in facts["classes"].values())
    assert all(0 < one["bytes"] < one["quota_bytes"] for one in facts["classes"].values())
    assert (facts["running"], facts["dead"], facts["problem"]) == (False, 2, "")
    assert [file["problem"] for file in facts["files"]] == [""]

    code, out, err = run(capsys, "--device", device)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "not running"
    assert "  normal               3" in out
    assert "2 messages refused for good by the broker: " in out
    assert max(map(len, out.splitlines()[1:])) <= 80


@pytest.mark.usefixtures("kept")
def test_peek_shows_the_oldest_or_the_newest_by_class(device: str, capsys: Capture) -> None:
    everything = rows(capsys, "peek", "--device", device)
    assert [row["id"] for row in everything] == [
        *("pump-7/1/4", "pump-7/1/1", "pump-7/1/2", "pump-7/1/3"),
        *("pump-7/2/1", "pump-7/2/2", "pump-7/2/3"),
    ]
    newest = rows(capsys, "peek", "--class", "normal", "--newest", "2", "--device", device)
    assert [(row["body"], row["topic"]) for row in newest] == [
        ({"n": 1}, "pump/normal"),
        ({"n": 2}, "pump/normal"),
    ]
    [picture] = rows(capsys, "peek", "--class", "bulk", "--newest", "1", "--device", device)
    assert (picture["content_type"], picture["base64"]) == ("image/jpeg", "/9g=")
    code, out, _ = run(capsys, "peek", "--oldest", "1", "--class", "critical", "--device", device)
    assert code == 0
    assert out.startswith("pump-7/1/4  critical  ")
    assert out.endswith('  pump/critical  8 B  {"n": 3}\n')


@pytest.mark.usefixtures("kept")
def test_what_the_broker_refused_is_shown_with_its_reason(device: str, capsys: Capture) -> None:
    dead = rows(capsys, "peek", "--dead", "--device", device)
    assert [(row["body"]["n"], row["refused"]) for row in dead] == [
        (6, "not authorised"),
        (7, "too large \x1b[2J"),
    ]
    _, out, _ = run(capsys, "peek", "--dead", "--newest", "1", "--device", device)
    assert "refused: too large \N{REPLACEMENT CHARACTER}[2J" in out
    assert "\x1b" not in out


@pytest.mark.usefixtures("kept")
def test_purge_removes_what_is_named_and_nothing_else(
    device: str, tmp_path: Path, capsys: Capture
) -> None:
    assert rows(capsys, "purge", "--class", "bulk", "--yes", "--device", device) == [{"count": 3}]
    [facts] = rows(capsys, "status", "--device", device)
    assert {name: one["messages"] for name, one in facts["classes"].items()} == {
        "critical": 1,
        "normal": 3,
        "bulk": 0,
    }
    assert run(capsys, "purge", "--dead", "--yes", "--device", device)[1] == "2 messages removed\n"
    assert run(capsys, "purge", "--yes", "--device", device)[1] == "4 messages removed\n"
    assert run(capsys, "peek", "--device", device)[1] == "nothing waits on the disk\n"
    assert run(capsys, "peek", "--dead", "--device", device)[1] == "the broker refused none\n"
    with outbox(tmp_path, run=3) as again:
        again.step()
        assert again.statistics().found == 0


@pytest.mark.usefixtures("kept")
def test_purge_asks_and_takes_only_yes_for_an_answer(device: str, capsys: Capture) -> None:
    code, _, err = run(capsys, "purge", "--device", device)  # nobody is at a terminal
    assert (code, err) == (2, "edgeapp: say --yes to remove 7 messages for good\n")
    assert len(rows(capsys, "peek", "--device", device)) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("typed", "code", "left"), [("no", 2, 7), ("", 2, 7), ("purge", 0, 0)])
def test_purge_asks_whoever_is_at_the_terminal(
    typed: str, code: int, left: int, device: str, capsys: Capture
) -> None:
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "edgeapp", "outbox", "purge", "--device", device],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    ) as process:
        os.write(terminal, f"{typed}\n".encode())
        out, _ = process.communicate(timeout=60)
    os.close(terminal)
    os.close(end)
    assert process.returncode == code
    assert out.startswith("This removes 7 messages for good. Type 'purge' to go on: ")
    assert len(rows(capsys, "peek", "--device", device)) == left


def test_looking_changes_nothing_also_after_a_crash(
    device: str, tmp_path: Path, capsys: Capture
) -> None:
    """What is in the write-ahead log alone is seen, and stays there for the next start."""
    with outbox(tmp_path) as writing:
        writing.put(message(1, "critical"))
        writing.step()
        folder = tmp_path / "data" / "outbox"
        before = {path.name: path.read_bytes() for path in folder.glob("outbox-1.db*")}
        assert before["outbox-1.db-wal"]
        assert [row["body"] for row in rows(capsys, "peek", "--device", device)] == [{"n": 1}]
        rows(capsys, "status", "--device", device)
        after = {path.name: path.read_bytes() for path in folder.glob("outbox-1.db*")}
        for name in ("outbox-1.db", "outbox-1.db-wal"):
            assert after[name] == before[name]


@pytest.mark.usefixtures("kept")
def test_purge_leaves_a_store_alone_that_another_process_uses(
    device: str, tmp_path: Path, capsys: Capture
) -> None:
    """One that does not answer: the lock of the folder holds."""
    with outbox(tmp_path, run=3) as running:
        running.step()
        code, _, err = run(capsys, "purge", "--yes", "--device", device)
        assert code == 69
        assert "nothing was removed: another process uses" in err
        assert len(rows(capsys, "peek", "--device", device)) == 7


def test_where_nothing_was_ever_kept_that_is_said(
    device: str, tmp_path: Path, capsys: Capture
) -> None:
    for verb in ("status", "peek", "purge"):
        code, out, err = run(capsys, verb, "--device", device)
        assert (code, out) == (66, "")
        assert "nothing was ever sent from there; is it the right --device?" in err
    code, _, err = run(capsys, "status")
    assert code == 66
    assert "no broker is named; give the --device that names one" in err
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "outbox").write_text("no folder")
    code, _, err = run(capsys, "status", "--device", device)
    assert code == 66
    assert "cannot be read: Not a directory" in err
    assert main(["outbox", "peek", "--newest", "0", "--device", device]) == 2
    assert main(["outbox", "peek", "--newest", "1", "--oldest", "1", "--device", device]) == 2


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("damage", ["text", "cut", "foreign", "rows"])
def test_a_damaged_store_is_said_in_a_sentence(
    damage: str, device: str, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "data" / "outbox" / "outbox-1.db"
    if damage == "text":
        file.write_text("this is no database, whatever its name says\n" * 100)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[: 3 * 1024])
    elif damage == "foreign":
        with closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA application_id=7")
    else:
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("UPDATE normal SET body = '{' WHERE number = 2")
    code, out, err = run(capsys, "status", "--device", device)
    if damage == "rows":  # seen by whoever looks at the message
        damaged = rows(capsys, "peek", "--class", "normal", "--device", device)[1]
        assert damaged == {"id": "pump-7/1/2", "problem": "damaged on the disk"}
        return
    assert code == 1
    said = {"text": "not a database", "cut": "malformed", "foreign": "is no outbox"}[damage]
    assert said in out
    assert "Traceback" not in out + err


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_store_of_another_user_is_said_and_not_called_empty(
    device: str, tmp_path: Path, system_program: Callable[[str, str], str]
) -> None:
    folder = tmp_path / "data" / "outbox"
    file = folder / "outbox-1.db"
    command = [sys.executable, "-m", "edgeapp", "outbox"]
    if os.geteuid() == 0:  # root without its powers, and files of somebody else
        setpriv = system_program("setpriv", "util-linux")
        command = [setpriv, "--inh-caps=-all", "--bounding-set=-all", *command]
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65_534, 65_534)

    def ask(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*command, *arguments, "--device", device],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        return done.returncode, done.stdout, done.stderr

    folder.chmod(0o555)
    code, _, err = ask("purge", "--yes")
    assert (code, err) == (66, f"edgeapp: '{folder}' belongs to another user: ask as that user\n")
    file.chmod(0)
    code, out, _ = ask("status")
    assert code == 1
    assert "outbox-1.db, " in out
    assert ": Permission denied" in out
    assert ask("peek") == (1, "", "outbox-1.db: Permission denied\n")
    folder.chmod(0)
    code, _, err = ask("status")
    folder.chmod(0o700)
    assert (code, err) == (66, f"edgeapp: '{folder}' belongs to another user: ask as that user\n")
