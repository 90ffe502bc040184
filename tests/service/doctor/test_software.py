"""Wheels, models and the configuration: what cannot be loaded is named, and ends nothing."""

import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeapp.config.device import DeviceConfig, read_device
from edgeapp.core.needs import Needs
from edgeapp.errors import Complaint, Place
from edgeapp.plan.graph import Plan
from edgeapp.plan.load import load
from edgeapp.service.doctor import configuration, software
from edgeapp.service.doctor.case import Case
from edgeapp.service.doctor.machine import Ran, run_program
from tests.service.doctor.ward import Ward, found, verdicts

MODEL = Path(__file__).resolve().parents[3] / "pipelines" / "models" / "conveyor_96.onnx"


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_wheels_that_can_be_imported_and_one_that_cannot(ward: Ward) -> None:
    said = (
        '{"what": "numpy", "problem": ""}\n{"what": "cv2", "problem": "libGL.so.1: no such file"}\n'
    )
    rest = [name for name in software.NATIVE if name not in {"numpy", "cv2"}]
    more = "".join(f'{{"what": "{name}", "problem": ""}}\n' for name in rest)
    ward.programs["loading imports"] = Ran(0, said + more)
    bad, good = found(software.imports, ward.case(uid=1000))
    assert bad.said == "cv2 cannot be imported: libGL.so.1: no such file"
    assert "libGL.so.1" in bad.fix
    assert good.verdict == "ok"
    assert "numpy" in good.said


def test_what_no_wheel_brings_comes_from_the_system(ward: Ward) -> None:
    """Installing edgeapp again would not bring it."""
    ward.programs["loading imports"] = Ran(
        0, '{"what": "sounddevice", "problem": "PortAudio library not found"}\n'
    )
    bad = next(iter(software.imports(ward.case(uid=1000))))
    assert bad.fix == "sudo apt-get install libportaudio2"


@pytest.mark.parametrize(
    ("device", "verdict"), [("", "warning"), ("sound.wav", "warning"), ("default", "failed")]
)
def test_without_portaudio_only_a_pipeline_that_listens_cannot_run(
    ward: Ward, device: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeapp.sources._audio_options.find_spec", lambda _: object())
    with wave.open(str(ward.root / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 16_000))
    file = ward.root / "hall.yaml"
    source = f"audio, device: {device}" if device else "sounds"
    file.write_text(f"name: hall\nstages:\n  ear: {{source: {source}}}\n")
    config = read_device(None, environment={"STATE_DIRECTORY": str(ward.root)})
    plans = load([file], device=config, open_models=False)
    ward.programs["loading imports"] = Ran(
        0, '{"what": "sounddevice", "problem": "PortAudio library not found"}\n'
    )
    case = ward.case(uid=1000, device=config, plans=plans)
    first = next(iter(software.imports(case)))
    assert (first.verdict, first.fix) == (verdict, "sudo apt-get install libportaudio2")


def test_pipelines_that_are_wrong_may_be_ones_that_listen(ward: Ward) -> None:
    ward.programs["loading imports"] = Ran(
        0, '{"what": "sounddevice", "problem": "PortAudio library not found"}\n'
    )
    wrong = Complaint(Place("porch.yaml", 9, 5), "no option 'rate_hx'")
    first = next(iter(software.imports(ward.case(complaints=(wrong,)))))
    assert first.verdict == "failed"


def test_a_wheel_for_another_processor_is_named_and_the_rest_is_looked_at(ward: Ward) -> None:
    """It ends the process with SIGILL, so that those behind it are imported by another one."""
    asked: list[list[str]] = []

    def run(command: Sequence[str], _most_s: float) -> Ran:
        names = list(command)[4:]
        asked.append(names)
        said = ""
        for name in names:
            if name == "onnxruntime":
                return Ran(-4, said)
            said += f'{{"what": "{name}", "problem": ""}}\n'
        return Ran(0, said)

    ward.answer = run
    bad, good = found(software.imports, ward.case())
    assert bad.said == (
        "onnxruntime ends the process: an instruction that this processor does not have"
    )
    assert len(asked) == 2
    assert "msgspec" in good.said


@pytest.mark.slow
def test_the_wheels_of_this_machine_can_be_imported(ward: Ward) -> None:
    ward.answer = run_program
    assert ("wheels", "ok") in verdicts(software.imports, ward.case())


@pytest.mark.parametrize(
    ("out", "verdict"),
    [("systemd 257 (257.6)\n", "ok"), ("systemd 250\n", "warning"), ("systemd 241\n", "failed")],
)
def test_systemd(ward: Ward, out: str, verdict: str) -> None:
    ward.programs["systemctl --version"] = Ran(0, out)
    assert verdicts(software.systemd, ward.case()) == [("systemd", verdict)]


def test_a_machine_without_systemd(ward: Ward) -> None:
    assert verdicts(software.systemd, ward.case()) == [("systemd", "ok")]


def test_python_and_packages(ward: Ward) -> None:
    assert verdicts(software.python, ward.case()) == [("python", "ok")]
    assert verdicts(software.packages, ward.case()) in (
        [("packages", "ok")],
        [("packages", "unseen")],
    )


def test_every_mistake_in_the_configuration_has_its_place(ward: Ward) -> None:
    wrong = Complaint(Place("/etc/edgeapp/pipelines/porch.yaml", 9, 5), "no option 'rate_hx'", "x?")
    [finding] = found(configuration.configuration, ward.case(complaints=(wrong,)))
    assert finding.said == "/etc/edgeapp/pipelines/porch.yaml:9: no option 'rate_hx'"
    many = found(configuration.configuration, ward.case(complaints=(wrong,) * 9))
    assert many[-1].said == "6 more mistakes"
    assert verdicts(configuration.configuration, ward.case()) == [("configuration", "ok")]


def test_secrets_that_are_there_and_that_are_not(ward: Ward) -> None:
    needs = Needs(credentials=frozenset({"mqtt_password", "camera"}))
    ward.write("/etc/edgeapp/secrets/camera", "x", 0o600)
    there, missing = sorted(found(configuration.secrets, ward.installed(needs=needs)), key=str)[
        ::-1
    ]
    found_by = {finding.verdict: finding for finding in (there, missing)}
    assert found_by["ok"].said == "cred:camera is there"
    assert "install -m 600 /dev/stdin /etc/edgeapp/secrets/mqtt_password" in found_by["failed"].fix


def _plan(folder: Path, model: Path) -> tuple[DeviceConfig, tuple[Plan, ...]]:
    file = folder / "belt.yaml"
    file.write_text(
        "name: belt\nstages:\n  camera: {source: conveyor}\n"
        f"  find: {{model: detector, labels: [a, b, c, d], variants: [{{file: {model}}}]}}\n"
    )
    config = read_device(None, environment={"STATE_DIRECTORY": str(folder)})
    return config, load([file], device=config, open_models=False)


def _case(ward: Ward, model: Path) -> Case:
    config, plans = _plan(ward.root, model)
    return ward.case(device=config, plans=plans)


@pytest.mark.slow
def test_models_are_loaded_by_the_real_onnxruntime(ward: Ward) -> None:
    ward.answer = run_program
    assert verdicts(configuration.models, _case(ward, MODEL)) == [("models", "ok")]
    broken = ward.root / "broken.onnx"
    broken.write_bytes(MODEL.read_bytes()[:2_000])
    [finding] = found(configuration.models, _case(ward, broken))
    assert finding.verdict == "failed"
    assert "broken.onnx" in finding.said


def test_a_model_that_ends_the_process_is_named(ward: Ward) -> None:
    ward.programs[f"{sys.executable} -m edgeapp.service.doctor.loading models"] = Ran(-11, "")
    [finding] = found(configuration.models, _case(ward, MODEL))
    assert finding.said == f"loading '{MODEL}' ends the process (code -11)"


def test_models_that_take_too_long_are_left(ward: Ward) -> None:
    assert verdicts(configuration.models, _case(ward, MODEL)) == [("models", "unseen")]


def test_costs_that_nobody_measured(ward: Ward) -> None:
    [finding] = found(configuration.costs, _case(ward, MODEL))
    assert finding.verdict == "warning"
    assert "edgeapp bench" in finding.fix
