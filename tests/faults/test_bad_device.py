"""A device that is full, read-only, damaged or cut off, and files that are no pipelines."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.trial import NEIGHBOUR, attempt, refused, refused_files
from tests.pipelines.device import Running
from tests.servers.mosquitto import Mosquitto, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Unharmed = Callable[..., None]
PIPELINE = """
name: other
stages:
  bearing: {source: bearing, rate_hz: 8000, duration_s: 1, speed: fast}
  features: {transform: features}
  health: {transform: anomaly, learn_windows: 20}
  found: {output: jsonl, file: "FILE"}
"""
BLOCKS = 20


def writing(file: object) -> str:
    return PIPELINE.replace("FILE", str(file))


# -- disks --------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tiny disk needs root: run the tests in a privileged container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_under_jsonl(tmp_path: Path, tiny: Path, unharmed: Unharmed) -> None:
    """What cannot be written is counted, and whole lines are on the disk."""
    with (tiny / "rest").open("wb") as rest:
        rest.write(bytes(60 * 1024))
    (tiny / "found.jsonl").write_bytes(b"{}\n" * (4096 // 3 - 50))
    trial = attempt(tmp_path, writing(tiny / "found.jsonl"))
    unharmed(trial)
    found = trial.stage("other", "found")
    assert 0 < found["dropped"]["unavailable"] <= BLOCKS
    assert trial.told("unavailable, retrying", "No space left on device", level="warning")
    assert trial.code == 0


def test_a_full_disk_under_save_image(tmp_path: Path, tiny: Path, unharmed: Unharmed) -> None:
    """What cannot be saved is counted; no half a picture is left."""
    text = f"""
name: other
stages:
  belt: {{source: conveyor, rate_hz: 20, size: [640, 480]}}
  picture: {{action: save_image, folder: {tiny}}}
"""
    trial = attempt(tmp_path, text, until=lambda log: "No space left" in log)
    unharmed(trial)
    assert trial.stage("other", "picture")["dropped"]["unavailable"]
    assert not list(tiny.glob(".*"))
    assert all(file.read_bytes().endswith(b"\xff\xd9") for file in tiny.glob("*.jpg"))
    assert trial.code == 0


@pytest.mark.parametrize("file", ["/dev/full", "/proc/found.jsonl", "/dev/null/found.jsonl"])
def test_a_file_that_takes_nothing(tmp_path: Path, unharmed: Unharmed, file: str) -> None:
    """Every line is counted."""
    trial = attempt(tmp_path, writing(file))
    unharmed(trial)
    assert trial.stage("other", "found")["dropped"] == {"unavailable": BLOCKS}
    assert trial.told("unavailable, retrying", file, level="warning")
    assert trial.code == 0


@pytest.mark.parametrize("kind", ["file", "unwritable"])
def test_a_data_directory_that_cannot_be_one(tmp_path: Path, kind: str) -> None:
    """The pipelines run; what they would write is counted, and each cause is said."""
    data = tmp_path / "place"
    if kind == "file":
        data.write_text("x")
    else:
        data = Path("/proc/edgeapp")
    file = tmp_path / "p.yaml"
    file.write_text(NEIGHBOUR)
    with Running(tmp_path, file, data_dir=data) as running:
        code, summary = running.wait()
        log = running.log()
    assert code == 0
    assert "Traceback" not in log
    assert "run number cannot be written" in log
    [pipeline] = summary["pipelines"]
    results = pipeline["stages"][-1]
    assert pipeline["unaccounted"] == []
    assert results["dropped"] == {"unavailable": results["taken"]}


# -- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"rubbish", bytes(1000), b"\xff" * 100_000])
def test_state_that_is_damaged(tmp_path: Path, unharmed: Unharmed, content: bytes) -> None:
    """Learned anew and counted on from the clock; both are said."""
    state = tmp_path / "data" / "other" / "health" / "baseline"
    state.parent.mkdir(parents=True)
    state.write_bytes(content)
    (tmp_path / "data" / "run").write_bytes(content)
    trial = attempt(tmp_path, writing("found.jsonl"))
    unharmed(trial)
    assert trial.told("baseline cannot be read, learning again", level="warning")
    assert trial.told("run number cannot be read", level="warning")
    assert trial.stage("other", "found")["done"] == BLOCKS
    assert trial.code == 0


def test_folders_where_state_should_be(tmp_path: Path, unharmed: Unharmed) -> None:
    """The same, and what cannot be stored is said too."""
    (tmp_path / "data" / "other" / "health" / "baseline").mkdir(parents=True)
    (tmp_path / "data" / "run").mkdir()
    trial = attempt(tmp_path, writing("found.jsonl"))
    unharmed(trial)
    assert trial.told("baseline cannot be stored", level="warning")
    assert trial.stage("other", "found")["done"] == BLOCKS
    assert trial.code == 0


# -- brokers ------------------------------------------------------------------------------------

SENDING = """
name: other
stages:
  bearing: {source: bearing, rate_hz: 8000, duration_s: 1, speed: fast}
  features: {transform: features}
  found: {output: mqtt}
"""


def _nothing_sent(trial: Any, *words: str) -> None:
    assert trial.code == 0
    uplink = trial.uplink
    assert uplink["sent_messages"] == sum(uplink["dropped_messages"].values()) == 0
    assert uplink["offered_messages"] == BLOCKS == uplink["outbox_waiting_messages"]
    assert trial.told("no connection to the broker, trying again", *words), trial.events
    assert "SECRET" not in str(trial.events)


def test_a_broker_where_nobody_listens(tmp_path: Path, unharmed: Unharmed) -> None:
    """The pipelines run; the messages are kept for the next start."""
    trial = attempt(tmp_path, SENDING, port=free_port())
    unharmed(trial)
    _nothing_sent(trial)


def test_a_wrong_password(
    tmp_path: Path, unharmed: Unharmed, system_program: Callable[[str, str], str]
) -> None:
    """It is said, without the password; the messages are counted."""
    program = system_program("mosquitto", "mosquitto")
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    config = ("allow_anonymous false", f"password_file {passwords}")
    with Mosquitto(program, tmp_path, *config) as broker:
        more = (
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}, "
            "username: env:BROKER_USER, password: env:BROKER_PASSWORD}"
        )
        kept = {"BROKER_USER": "SECRETuser", "BROKER_PASSWORD": "SECRETpass"}
        trial = attempt(tmp_path, SENDING, more=more, environment=kept)
    unharmed(trial)
    _nothing_sent(trial)


@pytest.mark.parametrize("ca", ["", "rubbish"])
def test_a_broker_without_tls_where_tls_is_asked_for(
    tmp_path: Path, unharmed: Unharmed, system_program: Callable[[str, str], str], ca: str
) -> None:
    """Also with a file of certificates that holds none."""
    program = system_program("mosquitto", "mosquitto")
    (tmp_path / "ca.pem").write_text(ca)
    with Mosquitto(program, tmp_path) as broker:
        tls = "{ca: ca.pem}" if ca else "{}"
        more = f"mqtt: {{host: 127.0.0.1, port: {broker.port}, tls: {tls}}}"
        trial = attempt(tmp_path, SENDING, more=more)
    unharmed(trial)
    _nothing_sent(trial)


# -- pipeline files and arguments ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero", "/dev/null", "binary", "large"])
def test_what_is_no_pipeline_file(tmp_path: Path, kind: str) -> None:
    """Said at once; a pipe that nobody writes to is not waited for."""
    file = Path(kind) if kind.startswith("/") else tmp_path / "p.yaml"
    match kind:
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "binary":
            file.write_bytes(bytes(range(256)) * 10)
        case "large":
            file.write_bytes(b"# " * 200_000)
    assert f"{file}:" in refused_files(tmp_path, file)


def test_two_pipelines_of_one_name(tmp_path: Path) -> None:
    assert "another pipeline is called 'neighbour' already" in refused(
        tmp_path, NEIGHBOUR, NEIGHBOUR
    )


@pytest.mark.parametrize(
    "change",
    [
        "x",
        "=",
        "a=b",
        "bearing.",
        "bearing.rate_hz",
        "bearing.rate_hz=",
        "bearing.rate_hz=[",
        ".",
        "bearing.rate_hz=nan",
        "bearing.rate_hz=-1",
        "nobody.rate_hz=3",
        "bearing.\x01=3",
        "a.b.c=1",
        "bearing.source=camera",
        "bearing.rate_hz=" + "9" * 5000,
        "bearing.geometry.balls=x",
    ],
)
def test_set_nonsense(tmp_path: Path, change: str) -> None:
    """A complaint, whatever is given."""
    assert "mistake" in refused(tmp_path, NEIGHBOUR, arguments=("--set", change))


@pytest.mark.parametrize(
    "more",
    [
        "mqtt: 3",
        "mqtt: {host: ''}",
        "mqtt: {host: a, password: hunter2SECRET, username: env:A}",
        "plugins: nowhere",
        "mqtt: {host: a, tls: {ca: nowhere.pem}}",
        "device: again",
        "{",
        "x: y",
    ],
)
def test_mistakes_in_the_device_file(tmp_path: Path, more: str) -> None:
    """A complaint that shows no secret."""
    said = refused(tmp_path, NEIGHBOUR, more=more)
    assert "device.yaml" in said
    assert "hunter2" not in said.replace("| mqtt", "")
