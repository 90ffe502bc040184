"""Record and replay: the same packets, the same messages, nothing that a mask hides."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.core.clock import FakeClock
from edgeapp.core.packet import Packet
from edgeapp.core.payload import Bands, Detections, Image, Signal
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.runtime.stepped import run_stepped
from edgeapp.service.privacy import Masked, masked
from edgeapp.service.recordings import recorder as recorder_module
from edgeapp.service.recordings.dry_run import Said, dry, without_effects
from edgeapp.service.recordings.recorder import RecordedPipeline, Recorder
from edgeapp.service.recordings.recording import Recording, RecordingWriter
from edgeapp.service.recordings.replay import header_of, other_models, plan_of, replay
from edgeapp.testing.stage import LogBook

BELT = """\
name: belt
stages:
  belt: {source: conveyor, speed: fast, duration_s: 1, rate_hz: 12, size: [320, 180]}
  detect:
    model: detector
    layout: yolox
    variants: [MODELS/conveyor_160.onnx]
    labels: MODELS/conveyor_labels.txt
  faulty: {transform: keep, label: [scratched, missing_cap]}
  parts: {output: mqtt, from: detect}
  log: {output: jsonl, from: faulty, file: faulty.jsonl}
  save: {action: save_image, from: detect, folder: pictures}
"""
TWO = """\
name: two
stages:
  room: {source: sounds, speed: fast, duration_s: 6, seed: 1}
  bit: {transform: window, length_s: 0.2, hop_s: 0.1}
  numbers: {transform: features}
  unusual: {transform: anomaly, learn_s: 3}
  noises: {transform: episodes, enter: 1.0, label: noise}
  tell: {output: mqtt}
  pump: {source: bearing, speed: fast, duration_s: 3}
  second: {transform: window, length_s: 0.5}
  features: {transform: features}
  trend: {output: mqtt}
"""


@pytest.fixture
def device(tmp_path: Path) -> DeviceConfig:
    (tmp_path / "device.yaml").write_text("device: test\ndata_dir: data\n")
    return read_device(tmp_path / "device.yaml")


def pipeline(tmp_path: Path, repo: Path, text: str) -> Path:
    models = repo / "pipelines" / "models"
    if "MODELS" in text and not list(models.glob("*.onnx")):
        pytest.skip(f"no models in {models}")
    file = tmp_path / "pipeline.yaml"
    file.write_text(text.replace("MODELS", str(models)))
    return file


def record_stepped(plan: Plan, file: Path, *, seed: int = 11) -> list[bytes]:
    """Run a plan stepped, record it, and return what it said."""
    said: list[bytes] = []
    redact = masked(plan)
    header = header_of(plan, sets=(), seed=seed, masked={})
    with Recorder(
        RecordingWriter(file, header, max_bytes=10**8),
        plan,
        clock=FakeClock(),
        log=LogBook(),
        redact=redact,
        over=lambda: None,
    ) as recorder:
        quiet, _ = without_effects(plan)
        with dry(
            quiet,
            seed=seed,
            log=LogBook(),
            say=lambda one: said.append(one.line),
            make=lambda plan, kit: RecordedPipeline(plan, kit, recorder),
        ) as running:
            outcome = run_stepped(running)
        recorder.finish(outcome.ending)
    return said


def replayed(file: Path, device: DeviceConfig) -> list[bytes]:
    recording = Recording(file)
    plan = plan_of(recording, pipeline=None, folder=None, sets=(), device=device)
    said: list[bytes] = []

    def say(one: Said) -> None:
        said.append(one.line)

    outcome, _ = replay(recording, without_effects(plan)[0], log=LogBook(), say=say)
    assert outcome.ending == "finished"
    return said


# -- the same again -------------------------------------------------------------------------


@pytest.mark.parametrize("text", [BELT, TWO], ids=["camera and model", "two signals with events"])
def test_a_replay_says_what_the_stepped_run_said_and_says_it_twice(
    text: str, tmp_path: Path, repo: Path, device: DeviceConfig
) -> None:
    [plan] = load([pipeline(tmp_path, repo, text)], device=device)
    said = record_stepped(plan, tmp_path / "a.edgerec")
    first, second = (replayed(tmp_path / "a.edgerec", device) for _ in range(2))
    assert len(said) > 10
    assert first == said
    assert second == said


def test_events_of_a_replay_have_the_same_ids_and_another_seed_has_others(
    tmp_path: Path, repo: Path, device: DeviceConfig
) -> None:
    [plan] = load([pipeline(tmp_path, repo, TWO)], device=device)
    said = record_stepped(plan, tmp_path / "a.edgerec", seed=1)
    other = record_stepped(plan, tmp_path / "b.edgerec", seed=2)
    events = [line for line in said if b'"phase":"new"' in line]
    assert events
    assert replayed(tmp_path / "a.edgerec", device) == said != other


def test_a_replay_touches_nothing(tmp_path: Path, repo: Path, device: DeviceConfig) -> None:
    [plan] = load([pipeline(tmp_path, repo, BELT)], device=device)
    record_stepped(plan, tmp_path / "a.edgerec")
    replayed(tmp_path / "a.edgerec", device)
    assert not (tmp_path / "data").exists()


def test_options_that_a_run_was_given_are_those_of_the_replay(
    tmp_path: Path, repo: Path, device: DeviceConfig
) -> None:
    file = pipeline(tmp_path, repo, TWO)
    sets = ["pump.duration_s=1", "second.length_s=0.25"]
    [plan] = load([file], sets=sets, device=device)
    header = header_of(plan, sets=sets, seed=0, masked={})
    with RecordingWriter(tmp_path / "a", header, max_bytes=10**6) as writer:
        writer.add(Packet(Signal(np.zeros((1, 8), np.float32), 9.0, ("x",), ("1",)), "pump",
                          0, 0, 0, 0, 0, 0, 0, ()))  # fmt: skip
    played = plan_of(Recording(writer.draft), pipeline=None, folder=None, sets=(), device=device)
    assert played.stages["second"].options == plan.stages["second"].options


def test_another_model_under_the_same_name_is_noticed(
    tmp_path: Path, repo: Path, device: DeviceConfig
) -> None:
    file = pipeline(tmp_path, repo, BELT)
    model = tmp_path / "conveyor_160.onnx"
    original = repo / "pipelines" / "models" / model.name
    model.write_bytes(original.read_bytes())
    file.write_text(file.read_text().replace(str(original), str(model)))
    [plan] = load([file], device=device)
    record_stepped(plan, tmp_path / "a.edgerec")
    recording = Recording(tmp_path / "a.edgerec")
    assert other_models(recording, plan) == []
    model.write_bytes((original.parent / "conveyor_96.onnx").read_bytes())
    [said] = other_models(recording, plan)
    assert said.startswith("detect: 'conveyor_160' is another file")


# -- recording beside a running pipeline ----------------------------------------------------


def recorder_of(
    plan: Plan, file: Path, *, over: Callable[[], None] = lambda: None, max_bytes: int = 10**8
) -> Recorder:
    header = header_of(plan, sets=(), seed=0, masked={})
    writer = RecordingWriter(file, header, max_bytes=max_bytes)
    return Recorder(writer, plan, clock=FakeClock(), log=LogBook(), redact={}, over=over)


def signal(seq: int, origin: str = "s") -> Packet[Signal]:
    value = Signal(np.full((1, 2000), seq, np.float32), 1000.0, ("x",), ("1",))
    return Packet(value, origin, 0, seq, 0, seq, 0, 0, 0, ())


def plan_with(tmp_path: Path, device: DeviceConfig, source: str) -> Plan:
    file = tmp_path / "s.yaml"
    file.write_text(f"name: s\nstages:\n  s: {source}\n  w: {{transform: features}}\n")
    [plan] = load([file], device=device)
    return plan


def test_a_file_waits_for_the_disk_and_nothing_is_missing(
    tmp_path: Path, device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING_BYTES", 20_000)
    plan = plan_with(tmp_path, device, "{source: bearing}")
    assert not plan.sources[0].live
    with recorder_of(plan, tmp_path / "a.edgerec") as recorder:
        for seq in range(200):
            recorder.take(signal(seq))
        recorder.finish("finished")
    assert not recorder.missing
    assert [p.seq for p in Recording(tmp_path / "a.edgerec").packets()] == list(range(200))


def test_a_live_source_never_waits_and_what_is_missing_is_counted(
    tmp_path: Path, device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is stopped while 50 packets come; 2 of them may wait."""
    monkeypatch.setattr(recorder_module, "MOST_WAITING_BYTES", 20_000)
    plan = plan_with(tmp_path, device, "{source: sounds}")
    assert plan.sources[0].live
    recorder = recorder_of(plan, tmp_path / "a.edgerec")
    for seq in range(50):
        recorder.take(signal(seq))
    with recorder:
        while recorder.packets < 2:
            threading.Event().wait(0.001)
        recorder.take(signal(50))
        recorder.finish("stopped")
    recording = Recording(tmp_path / "a.edgerec")
    *_, last = packets = list(recording.packets())
    assert recorder.missing == {"s": 51 - len(packets)}
    assert recording.ending
    assert recording.ending.missing == dict(recorder.missing)
    assert (last.seq, last.lost) == (50, recorder.missing["s"])


def test_a_full_recording_ends_and_says_so_once(tmp_path: Path, device: DeviceConfig) -> None:
    plan = plan_with(tmp_path, device, "{source: bearing}")
    overs = []
    noise = np.random.default_rng(0).normal(size=(1, 20_000)).astype(np.float32)
    packet = signal(0)._replace(value=Signal(noise, 1.0, ("x",), ("1",)))
    with recorder_of(
        plan, tmp_path / "a.edgerec", over=lambda: overs.append(1), max_bytes=500_000
    ) as recorder:
        for _ in range(20):
            recorder.take(packet)
        recorder.finish("stopped")
    assert recorder.full
    assert overs == [1]
    recording = Recording(tmp_path / "a.edgerec")
    assert recording.ending
    assert recording.ending.why == "full"
    assert len(recording) == recorder.packets == 5 or len(recording) == 6
    assert recording.file.stat().st_size <= 500_000


def test_a_disk_that_fails_ends_the_recording_and_not_the_pipeline(
    tmp_path: Path, device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_with(tmp_path, device, "{source: bearing}")
    with recorder_of(plan, tmp_path / "a.edgerec") as recorder:
        recorder.take(signal(0))
        while not recorder.packets:
            threading.Event().wait(0.001)

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("edgeapp.service.recordings.recording.os.write", full)
        for seq in range(1, 2000):
            recorder.take(signal(seq))
        recorder.finish("stopped")
    assert recorder.problem == "No space left on device"
    assert not (tmp_path / "a.edgerec").exists()
    assert len(Recording(tmp_path / "a.edgerec.part")) == 1


# -- privacy --------------------------------------------------------------------------------

SECRET = np.frombuffer(b"\xdePLANTED-SECRET\xad" * 4, np.uint8)[:63].reshape(1, 21, 3)
MASKED = """\
name: door
stages:
  camera: {source: camera, device: pictures, speed: fast}
  half: {transform: resize, size: [80, 45]}
  private: {transform: mask, regions: {desk: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}
  again: {transform: mask, from: camera, regions: {sky: [[0.5, 0], [1, 0], [1, 0.2]]}}
  show: {action: log, from: again}
  note: {action: log, from: private}
"""


def planted(tmp_path: Path, at: int) -> Path:
    """A folder with a picture that holds the pattern from a column on."""
    import cv2

    (tmp_path / "pictures").mkdir()
    pixels = np.full((90, 160, 3), 40, np.uint8)
    for row in range(20, 80, 6):
        pixels[row : row + 1, at : at + 21] = SECRET
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), pixels)
    file = tmp_path / "door.yaml"
    file.write_text(MASKED)
    return file


def found(file: Path) -> bool:
    """Whether the pattern is in a recording: in its bytes, or in any picture of it."""
    pattern = SECRET.tobytes()
    pictures = [packet.value.pixels.tobytes() for packet in Recording(file).packets()]
    assert pictures
    return any(pattern in content for content in (file.read_bytes(), *pictures))


@pytest.mark.parametrize(("at", "hidden"), [(10, True), (120, False)])
def test_no_pixel_of_a_masked_region_is_in_a_recording(
    at: int, hidden: bool, tmp_path: Path, device: DeviceConfig
) -> None:
    """What lies outside is found, so the search can find."""
    [plan] = load([planted(tmp_path, at)], device=device)
    record_stepped(plan, tmp_path / "a.edgerec")
    assert found(tmp_path / "a.edgerec") is not hidden


def test_the_regions_of_all_masks_downstream_are_blacked_out(
    tmp_path: Path, device: DeviceConfig
) -> None:
    [plan] = load([planted(tmp_path, 10)], device=device)
    record_stepped(plan, tmp_path / "a.edgerec")
    [packet] = Recording(tmp_path / "a.edgerec").packets()
    pixels = packet.value.pixels
    assert not pixels[:, :80].any()
    assert not pixels[0, 100:].any()
    assert pixels[60:, 90:].all()


def test_pictures_within_other_payloads_are_blacked_out_too() -> None:
    hide = Masked((((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
    picture = Image(np.full((10, 20, 3), 9, np.uint8))
    nothing: Any = np.zeros
    seen = Detections(
        nothing((0, 4), np.float32), nothing(0, np.float32), nothing(0, np.int32), (), picture
    )
    hidden = hide(seen)
    assert isinstance(hidden, Detections)
    assert hidden.image is not None
    assert not hidden.image.pixels[:, :10].any()
    bands = hide(Bands(np.full((2, 10, 20), 9, np.uint16), ("a", "b")))
    assert isinstance(bands, Bands)
    assert not bands.planes[:, :, :10].any()
    assert bands.planes[:, :, 12:].all()


# -- on another Python ----------------------------------------------------------------------


def other_python() -> str | None:
    """Another Python that edgeapp runs on, with its newest patch level."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = [minor for minor in ("3.13", "3.12", "3.11") if minor != here]
    folders = [Path.home() / ".pyenv" / "versions", Path("/opt/python")]
    for minor in wanted:
        for folder in folders:
            for built in sorted(folder.glob(f"{minor}.*/bin/python3"), reverse=True):
                return str(built)
        for on_path in os.environ.get("PATH", "").split(os.pathsep):
            named = Path(on_path) / f"python{minor}"
            tried = (
                subprocess.run([named, "-c", "import venv"], capture_output=True, check=False)
                if named.is_file()
                else None
            )
            if tried is not None and tried.returncode == 0:
                return str(named)
    return None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_python_version_says_the_same_bytes(
    tmp_path: Path, repo: Path, device: DeviceConfig
) -> None:
    python = other_python()
    if python is None:
        pytest.skip("no other Python from 3.11 to 3.13 is installed")
    for name, text in {"belt": BELT, "two": TWO}.items():
        [plan] = load([pipeline(tmp_path, repo, text)], device=device)
        said = record_stepped(plan, tmp_path / f"{name}.edgerec")
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in said))
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True, capture_output=True)
    other = tmp_path / "venv" / "bin" / "python"
    installed = subprocess.run(
        [other, "-m", "pip", "install", "-q", "--only-binary", ":all:",
         "-c", repo / "constraints.txt", *dependencies(repo)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f"packages cannot be installed for {python}: {installed.stderr[-300:]}")
    for name in ("belt", "two"):
        ran = subprocess.run(
            [other, "-m", "edgeapp", "replay", tmp_path / f"{name}.edgerec"],
            check=True, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(repo)},
        )  # fmt: skip
        assert ran.stdout == (tmp_path / f"{name}.jsonl").read_bytes(), name


def dependencies(repo: Path) -> list[str]:
    """What edgeapp needs to run."""
    import tomllib

    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    return [str(one) for one in project["dependencies"]]
