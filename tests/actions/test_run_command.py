"""Running commands: what they are told, how they end, and what is refused before anything runs."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from edgeapp.actions.run_command import RunCommand, RunCommandOptions
from edgeapp.api import BadPacket, Detections, Event, Packet, Score, Stopping, Surroundings
from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.errors import ConfigError
from edgeapp.plan.load import load
from edgeapp.testing.stage import LogBook, context
from tests.actions.leaping import Leaping
from tests.servers.mosquitto import PATIENCE_S, wait_until


def options(*command: str, allow: tuple[str, ...] | None = None, **more: Any) -> RunCommandOptions:
    around = Surroundings(Path(), Path(), command[:1] if allow is None else allow)
    return RunCommandOptions.model_validate({"command": command, **more}, context=around)


def runner(*command: str, log: LogBook | None = None, **more: Any) -> RunCommand:
    return RunCommand(options(*command, **more), context("tell", log=log))


def program(folder: Path, text: str) -> str:
    """A program that tells what it was given, one argument a line."""
    file = folder / "program"
    file.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{text}\n")
    file.chmod(0o755)
    return str(file)


def teller(folder: Path) -> str:
    told = folder / "told"
    return program(folder, f"open({str(told)!r}, 'a').write('\\n'.join(sys.argv[1:]) + '\\n')")


def packet(value: Any, t_s: float = 1.5) -> Packet[Any]:
    return Packet(value, "camera", 0, 7, 0, round(t_s * 1e9), 0, 0, 0, ())


def labelled(label: str) -> Packet[Any]:
    return packet(Event("new", "people-1", "track", label, 0, 0.87))


def test_places_are_filled_within_their_argument(tmp_path: Path) -> None:
    """A blank, a quote, a semicolon: one argument stays one argument."""
    stage = runner(
        teller(tmp_path),
        "--label={label}",
        "{score} of {event}",
        "{phase}/{kind}/{seq}",
        "{no brace}",
    )
    stage.act(labelled("a cat; rm -rf '$HOME' `id`"))
    assert (tmp_path / "told").read_text().splitlines() == [
        "--label=a cat; rm -rf '$HOME' `id`", "0.87 of people-1", "new/track/7", "{no brace}",
    ]  # fmt: skip


def test_what_a_packet_does_not_have_is_empty(tmp_path: Path) -> None:
    runner(teller(tmp_path), "[{label}]", "{score}", "{time_s}").act(packet(Score(1.25)))
    assert (tmp_path / "told").read_text().splitlines() == ["[]", "1.25", "1.5"]


def test_detections_tell_their_best_and_their_number(tmp_path: Path) -> None:
    scores, classes = np.array([0.9, 0.5], np.float32), np.array([1, 0], np.int32)
    found = Detections(np.zeros((2, 4), np.float32), scores, classes, ("dog", "person"))
    runner(teller(tmp_path), "{label} {score} {count} {pipeline} {stage}").act(packet(found))
    assert (tmp_path / "told").read_text() == "person 0.9 2 test tell\n"


def test_a_value_never_becomes_an_option(tmp_path: Path) -> None:
    stage = runner(teller(tmp_path), "{label}")
    with pytest.raises(BadPacket, match="would be an option") as told:
        stage.act(labelled("-rf"))
    assert told.value.reason == "option"
    assert not (tmp_path / "told").exists()


def test_a_value_cannot_break_out_of_a_line_or_be_endless(tmp_path: Path) -> None:
    runner(teller(tmp_path), "x{label}").act(labelled("a\nb\0c" + "d" * 10_000))
    (line,) = (tmp_path / "told").read_text().splitlines()
    assert line == "xa?b?c" + "d" * 195


def test_the_environment_and_input_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2")
    told = tmp_path / "told"
    text = (
        f"open({str(told)!r}, 'w').write(repr((dict(os.environ), sys.stdin.read(), os.getcwd())))"
    )
    runner(program(tmp_path, text)).act(labelled("cat"))
    assert "hunter2" not in told.read_text()
    assert told.read_text().endswith(", '', '/')")


def test_a_command_that_fails_says_what_it_wrote_last(tmp_path: Path) -> None:
    """However much that was: what is kept is bounded, and nothing blocks."""
    stage = runner(program(tmp_path, "print('x' * 1_000_000); sys.exit('no paper')"))
    with pytest.raises(BadPacket, match=r"exit code 1; it wrote: x+\s+no paper$") as told:
        stage.act(labelled("cat"))
    assert told.value.reason == "exit_code"
    assert len(str(told.value)) < 5000


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it ignores SIGTERM, and so does its child."""
    clock, pids = Leaping(monkeypatch), tmp_path / "pids"

    def leap() -> None:
        wait_until(lambda: pids.exists() and " " in pids.read_text(), "the command has begun")
        clock.leap(300)

    text = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child: open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child}}")
time.sleep(600)"""
    stage = runner(program(tmp_path, text), limit_s=300)
    began = time.monotonic()
    threading.Thread(target=leap).start()
    with pytest.raises(BadPacket, match="was ended after") as told:
        stage.act(labelled("cat"))
    assert told.value.reason == "timeout"
    assert time.monotonic() - began < 60
    ended = pids.read_text().split()
    assert len(ended) == 2
    assert not any(is_running(pid) for pid in ended)


def is_running(pid: str) -> bool:
    """Whether a process is there and no zombie, looked at until it is not, for a while."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        if status.rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.02)
    return True


def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    """It holds the output open, too, which is not waited for."""
    text = f"""
child = os.fork()
if not child: time.sleep(600)
open({str(tmp_path / "pid")!r}, "w").write(str(child))"""
    runner(program(tmp_path, text), limit_s=60).act(labelled("cat"))
    assert not is_running((tmp_path / "pid").read_text())


def test_a_stop_does_not_wait_for_a_long_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeapp.actions._last_words._STOP_S", 0.1)
    around = context("tell")
    stage = RunCommand(options(program(tmp_path, "time.sleep(600)"), limit_s=500), around)
    timer = threading.Timer(0.1, around.stopping.set)
    timer.start()
    with pytest.raises(BadPacket, match="was ended after"):
        stage.act(labelled("cat"))
    timer.join()


def test_what_waits_at_a_stop_shares_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue of commands would else outlive the pipeline, and its process."""
    monkeypatch.setattr("edgeapp.actions._last_words._STOP_S", 0.1)
    around = context("tell")
    stage = RunCommand(options(program(tmp_path, "time.sleep(600)"), limit_s=500), around)
    around.stopping.set()
    with pytest.raises(BadPacket, match="was ended after"):
        stage.act(labelled("cat"))
    for _ in range(16):
        with pytest.raises(Stopping):
            stage.act(labelled("cat"))


def test_a_command_ended_by_a_signal_has_failed(tmp_path: Path) -> None:
    stage = runner(program(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"))
    with pytest.raises(BadPacket, match=f"exit code -{signal.SIGKILL:d}"):
        stage.act(labelled("cat"))


def test_a_program_that_is_gone_is_told(tmp_path: Path) -> None:
    stage = runner(file := teller(tmp_path))
    Path(file).unlink()
    with pytest.raises(BadPacket, match="cannot be started: No such file"):
        stage.act(labelled("cat"))


# -- what the device allows -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "allow", "problem"),
    [
        (["true"], (), r"does not let pipelines run 'true'.*'allow_commands: \[true\]'"),
        (["/bin/true"], ("false",), "does not let pipelines run '/bin/true'"),
        (["/bin/../bin/sh"], ("true",), "does not let pipelines run"),
        (["./true"], ("./true",), "absolute path"),
        (["/nowhere/at-all"], ("/nowhere/at-all",), "there is no program"),
        (["/etc/passwd"], ("/etc/passwd",), "there is no program '/etc/passwd' that can be run"),
        (["/etc"], ("/etc",), "there is no program '/etc' that can be run"),
        (["true", "{lable}"], ("true",), r"there is no \{lable\}; an argument may hold"),
        (["true", "a\0b"], ("true",), "NUL"),
    ],
)
def test_what_is_refused(command: list[str], allow: tuple[str, ...], problem: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=problem):
        options(*command, allow=allow)


def test_a_name_and_its_path_are_the_same_program() -> None:
    assert (
        options("true", allow=("/bin/true",)).command
        == options("/usr/bin/true", allow=("true",)).command
    )


def test_nothing_is_allowed_where_nobody_said_so() -> None:
    with pytest.raises(pydantic.ValidationError, match="does not let pipelines run"):
        RunCommandOptions.model_validate({"command": ["true"]})


def test_the_device_file_decides(tmp_path: Path) -> None:
    """The complaint stands at the command, and says what to write."""
    pipeline = tmp_path / "a.yaml"
    pipeline.write_text(
        "name: a\nstages:\n  s: {source: bearing}\n  f: {transform: features}\n"
        "  t:\n    action: run_command\n    command: ['true', '{seq}']\n"
    )

    def check(*lines: str) -> DeviceConfig:
        (tmp_path / "device.yaml").write_text("\n".join(["device: d", *lines]))
        device = read_device(tmp_path / "device.yaml")
        load([pipeline], device=device)
        return device

    with pytest.raises(ConfigError) as refused:
        check()
    (complaint,) = refused.value.complaints
    assert complaint.place
    assert (complaint.place.line, "allow_commands: [true]" in complaint.problem) == (7, True)
    assert check("allow_commands: ['true']").allow_commands == ("true",)
    assert os.access("/usr/bin/true", os.X_OK)
