"""`record` and `replay`, as a user calls them."""

import io
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgeapp.cli import exits, main
from edgeapp.cli.replay import replay
from edgeapp.service.recordings.recording import Recording
from edgeapp.uplink.wire import Envelope
from tests.cli.conftest import Start

Capture = pytest.CaptureFixture[str]

PUMP = """\
name: pump
stages:
  bearing: {source: bearing, speed: fast, duration_s: 3, rate_hz: 4000, resonance_hz: 1500}
  second: {transform: window, length_s: 0.2}
  features: {transform: features}
  trend: {output: jsonl, file: trend.jsonl}
  note: {action: log, from: features}
"""


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    file = tmp_path / "pump.yaml"
    file.write_text(PUMP)
    return file


def run(capsys: Capture, *arguments: str | Path, code: int = exits.OK) -> tuple[str, str]:
    """What a command prints on both outputs, once it has ended with `code`."""
    ended = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert ended == code, shown.err
    assert "Traceback" not in shown.err
    return shown.out, shown.err


def record(capsys: Capture, file: Path, *more: str) -> dict[str, Any]:
    out, _ = run(capsys, "record", file, "--json", *more)
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert said["type"] == "recording"
    return said


VOLATILE = frozenset(Envelope.__struct_fields__)


def bodies(lines: list[str]) -> list[dict[str, Any]]:
    """Messages without what depends on when they were sent."""
    return [
        {key: value for key, value in json.loads(line).items() if key not in VOLATILE}
        for line in lines
    ]


def test_a_live_run_and_its_replay_say_the_same(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    """On real threads, with a file of messages; the envelope has the time, which differs."""
    said = record(capsys, pump)
    assert (said["file"], said["packets"], said["missing"]) == ("pump.edgerec", 60, {})
    out, err = run(capsys, "replay", "pump.edgerec")
    live = (tmp_path / "state" / "pump" / "trend.jsonl").read_text().splitlines()
    assert bodies(out.splitlines()) == bodies(live)
    assert len(live) == 15
    assert "15 messages." in err
    assert "Left out, for they would act: note." in err


def test_the_same_replay_gives_the_same_bytes(capsys: Capture, pump: Path) -> None:
    record(capsys, pump)
    first, _ = run(capsys, "replay", "pump.edgerec")
    second, _ = run(capsys, "replay", "pump.edgerec")
    assert first == second
    assert json.loads(first.splitlines()[0])["id"] == "replay/1/1"


def test_a_replay_into_another_pipeline(capsys: Capture, pump: Path, tmp_path: Path) -> None:
    record(capsys, pump)
    other = tmp_path / "other.yaml"
    other.write_text(
        "name: other\nstages:\n  sensor: {source: bearing}\n"
        "  tenth: {transform: window, length_s: 0.1}\n"
        "  numbers: {transform: features}\n  out: {output: mqtt}\n"
    )
    out, _ = run(capsys, "replay", "pump.edgerec", "--pipeline", other)
    [first, *_] = lines = bodies(out.splitlines())
    assert len(lines) == 30
    assert (first["origin"], first["stage"]) == ("sensor", "out")


def test_a_pipeline_that_reads_something_else_is_a_mistake_with_its_place(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    record(capsys, pump)
    other = tmp_path / "other.yaml"
    other.write_text(
        "name: other\nstages:\n  cam: {source: conveyor}\n"
        "  small: {transform: resize, size: [32, 32]}\n  n: {action: log}\n"
    )
    _, err = run(capsys, "replay", "pump.edgerec", "--pipeline", other, code=exits.CONFIG)
    assert "other.yaml:4:22: transform 'resize' reads Image, but 'cam' gives Signal" in err


def test_a_source_that_was_not_recorded_is_named(capsys: Capture, pump: Path) -> None:
    record(capsys, pump)
    pump.write_text(pump.read_text() + "  mic: {source: sounds}\n  f: {transform: features}\n")
    _, err = run(capsys, "replay", "pump.edgerec", "--pipeline", pump, code=exits.BAD_DATA)
    assert "has nothing of the source 'mic': it is of bearing" in err


def test_set_changes_what_is_replayed(capsys: Capture, pump: Path) -> None:
    record(capsys, pump)
    out, _ = run(capsys, "replay", "pump.edgerec", "--set", "second.length_s=0.5")
    assert len(out.splitlines()) == 6


def test_replay_as_json_ends_with_a_summary(capsys: Capture, pump: Path) -> None:
    record(capsys, pump)
    out, _ = run(capsys, "replay", "pump.edgerec", "--json")
    summary = json.loads(out.splitlines()[-1])
    assert (summary["packets"], summary["messages"], summary["cut_off"]) == (60, 15, False)


def test_a_replay_that_nobody_reads_ends_without_a_word(
    capsys: Capture, pump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind `| head`: it is no fault of the output that it happens in."""
    record(capsys, pump)
    closed = _Closed()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(BrokenPipeError):
        replay(Path("pump.edgerec"))
    assert closed.tries == 1
    assert not capsys.readouterr().err


class _Closed(io.StringIO):
    """An output whose reader has gone."""

    tries = 0

    def write(self, _text: str) -> int:
        self.tries += 1
        raise BrokenPipeError


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_recording_cannot_be_a_folder(capsys: Capture, pump: Path, out: str) -> None:
    assert main(["record", str(pump), "--out", out]) == exits.USAGE
    assert f"'{out}' is a folder" in capsys.readouterr().err


def test_a_pipe_is_not_waited_for(capsys: Capture, tmp_path: Path) -> None:
    """Nobody writes to it."""
    os.mkfifo(tmp_path / "pipe")
    assert main(["replay", str(tmp_path / "pipe")]) == exits.BAD_DATA
    assert "it is no file" in capsys.readouterr().err


def test_a_recording_ends_at_its_greatest_size_and_so_does_the_run(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    """The source has no end."""
    pump.write_text(pump.read_text().replace("duration_s: 3", "block_s: 10"))
    said = record(capsys, pump, "--max-mb", "1", "--out", "short")
    assert said["full"]
    assert said["bytes"] <= 1_000_000
    assert said["packets"] == len(Recording(tmp_path / "short.edgerec")) > 3


def test_a_recording_is_never_overwritten(capsys: Capture, pump: Path, tmp_path: Path) -> None:
    (tmp_path / "pump.edgerec").write_text("precious")
    _, err = run(capsys, "record", pump, code=exits.USAGE)
    assert "is there already: name another file with --out" in err
    _, err = run(capsys, "record", pump, "--out", "no/where", code=exits.NO_INPUT)
    assert "there is no folder 'no'" in err
    (tmp_path / "b.edgerec.part").write_text("precious")
    _, err = run(capsys, "record", pump, "--out", "b", code=exits.USAGE)
    assert "a recording that was cut off" in err


def test_credentials_in_an_address_are_not_recorded(
    capsys: Capture, pump: Path, tmp_path: Path
) -> None:
    pump.write_text("# rtsp://admin:hunter2@10.0.0.7/main\n" + pump.read_text())
    record(capsys, pump)
    content = (tmp_path / "pump.edgerec").read_bytes()
    assert b"hunter2" not in content
    assert b"rtsp://***@10.0.0.7/main" in content


def test_damaged_and_cut_off_recordings(capsys: Capture, pump: Path, tmp_path: Path) -> None:
    record(capsys, pump)
    whole = tmp_path / "pump.edgerec"
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    out, err = run(capsys, "replay", whole)
    assert "The recording was cut off" in err
    assert 0 < len(out.splitlines()) < 15
    whole.write_bytes(content[:5000] + b"\0" + content[5001:])
    out, err = run(capsys, "replay", whole, code=exits.BAD_DATA)
    assert "is damaged at byte" in err
    assert not out
    whole.write_text("no recording")
    assert "is no recording" in run(capsys, "replay", whole, code=exits.BAD_DATA)[1]
    assert "there is no file" in run(capsys, "replay", "x.edgerec", code=exits.NO_INPUT)[1]


def test_another_model_ends_a_replay_unless_any_will_do(
    capsys: Capture, tmp_path: Path, repo: Path
) -> None:
    models = repo / "pipelines" / "models"
    if not list(models.glob("*.onnx")):
        pytest.skip(f"no models in {models}")
    model = tmp_path / "m.onnx"
    model.write_bytes((models / "conveyor_160.onnx").read_bytes())
    (tmp_path / "belt.yaml").write_text(
        "name: belt\nstages:\n"
        "  belt: {source: conveyor, speed: fast, duration_s: 0.5, rate_hz: 4}\n"
        "  detect: {model: detector, layout: yolox, variants: [m.onnx], labels: [a, b, c]}\n"
        "  out: {output: jsonl, file: x.jsonl}\n"
    )
    record(capsys, tmp_path / "belt.yaml")
    model.write_bytes((models / "conveyor_96.onnx").read_bytes())
    _, err = run(capsys, "replay", "belt.edgerec", code=exits.FAILED)
    assert "detect: 'm' is another file: sha256" in err
    assert "--any-model" in err
    out, _ = run(capsys, "replay", "belt.edgerec", "--any-model")
    assert len(out.splitlines()) == 2


@pytest.mark.slow
def test_what_a_kill_leaves_behind_can_be_replayed(
    start: Start, pump: Path, tmp_path: Path
) -> None:
    """After SIGKILL, as good as a power cut for the process, the draft holds what was written."""
    pump.write_text(pump.read_text().replace("speed: fast, duration_s: 3", "block_s: 0.01"))
    process = start("record", pump, "--plain")
    draft = tmp_path / "pump.edgerec.part"
    deadline_s = time.monotonic() + 60
    while not draft.exists() or draft.stat().st_size < 20_000:
        assert time.monotonic() < deadline_s, process.poll()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    replay = start("replay", draft, "--json")
    out, err = replay.communicate(timeout=60)
    assert replay.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert summary["cut_off"]
    assert summary["packets"] > 50


@pytest.mark.slow
def test_a_stop_ends_a_live_recording_whole(start: Start, pump: Path, tmp_path: Path) -> None:
    pump.write_text(pump.read_text().replace("speed: fast, duration_s: 3", "block_s: 0.01"))
    process = start("record", pump, "--plain", "--out", "a")
    draft = tmp_path / "a.edgerec.part"
    deadline_s = time.monotonic() + 60
    while not draft.exists() or draft.stat().st_size < 20_000:
        assert time.monotonic() < deadline_s, process.poll()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "a.edgerec: " in out
    recording = Recording(tmp_path / "a.edgerec")
    assert recording.ending
    assert recording.ending.why == "stopped"
