"""`edgeapp support-bundle`: secrets are planted everywhere, and none is in it."""

import base64
import gzip
import json
import os
import stat
import subprocess
import sys
import tarfile
import urllib.parse
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.service.doctor import machine
from edgeapp.service.doctor.machine import Ran
from tests.cli.conftest import PUMP

Capture = pytest.CaptureFixture[str]

PLANTED = {
    "mqtt_password": "broker-p4ss/word+1",
    "camera_password": "rtsp%s3cret&x",
    "webhook": "https://hooks.local/AbCdEf123456",
    "key": "MIIEvgIBADANBgkqhkiG9w0BAQEFAASC",
    "variable": "tok3n-of-the-environment",
    "comment": "old-passw0rd-in-a-comment",
}
USER = "line-3"

pytestmark = pytest.mark.slow


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device whose every file, variable and program tells its secrets."""
    etc, cred = tmp_path / "etc", tmp_path / "cred"
    for folder in (etc / "pipelines", cred, tmp_path / "state" / "costs"):
        folder.mkdir(parents=True)
    for name in ("mqtt_password", "camera_password", "webhook"):
        (cred / name).write_text(PLANTED[name] + "\n")
    (cred / "mqtt_user").write_text(USER)
    key = etc / "device.key"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{PLANTED['key']}\n-----END PRIVATE KEY-----\n")
    (etc / "device.crt").write_text("x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(cred))
    monkeypatch.setenv("HOOK_TOKEN", PLANTED["variable"])
    (etc / "edgeapp.yaml").write_text(
        "device: line-3\n"
        f"# was: rtsp://cam:{PLANTED['comment']}@10.0.0.9/s\n"
        "mqtt:\n  host: 127.0.0.1\n  port: 1\n"
        "  username: cred:mqtt_user\n  password: cred:mqtt_password\n"
        "  tls: {cert: device.crt, key: device.key}\n"
    )
    (etc / "pipelines" / "pump.yaml").write_text(f"# {PLANTED['camera_password']}\n{PUMP}")
    (etc / "pipelines" / "broken.yaml").write_text(f"}}{{ {PLANTED['mqtt_password']}\n")
    (tmp_path / "state" / "costs" / "pump.json").write_text(json.dumps(PLANTED))

    def told(command: object, _most_s: float) -> Ran:
        """Every program tells everything, in every disguise."""
        return Ran(0, f"{command}\n" + "\n".join(_disguises()))

    monkeypatch.setattr(machine, "run_program", told)
    return tmp_path


def _disguises() -> list[str]:
    found = []
    for name, secret in PLANTED.items():
        data = secret.encode()
        found += [
            f"{name}: {secret}",
            f"rtsp://cam:{urllib.parse.quote(secret, '')}@10.0.0.9/s",
            json.dumps({"said": secret}),
            repr(secret),
            base64.b64encode(data).decode(),
            base64.b64encode(f"{USER}:{secret}".encode()).decode(),
            data.hex(),
        ]
    return found


def test_no_planted_secret_is_in_the_bundle(device: Path, capsys: Capture) -> None:
    assert main(["support-bundle", "b.tar.gz"]) == exits.OK
    file = device / "b.tar.gz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    whole = gzip.decompress(file.read_bytes()).decode("utf-8", "replace")
    printed = capsys.readouterr()
    for disguise in _disguises():
        for secret in PLANTED.values():
            assert secret not in whole
            assert secret not in printed.out + printed.err
        if disguise.startswith(("rtsp", "'", "{")) or ": " in disguise:
            continue  # the words around it may stay
        assert disguise not in whole
    assert "***" in whole


def test_what_helps_is_in_it(device: Path) -> None:
    assert main(["support-bundle", "b.tar.gz"]) == exits.OK
    with tarfile.open(device / "b.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        left_out = archive.extractfile("edgeapp-line-3/left_out.json")
        assert left_out is not None
        assert "status.json" in json.load(left_out), "nothing runs"
        doctor = archive.extractfile("edgeapp-line-3/doctor.json")
        assert doctor is not None
        checks = {one["check"] for one in json.load(doctor)}
    assert {"configuration", "disk", "python"} <= checks
    assert {
        *("versions.txt", "journal.txt", "unit/cat.txt", "config/edgeapp.yaml"),
        *("config/pipelines/pump.yaml", "config/effective.json", "data/costs/pump.json"),
        *("machine/kernel.txt", "machine/proc_meminfo.txt", "data/names.txt"),
    } <= names


def test_a_name_that_is_taken_is_refused(device: Path, capsys: Capture) -> None:
    (device / "b.tar.gz").write_text("mine")
    assert main(["support-bundle", "b.tar.gz"]) == exits.USAGE
    assert "there is a file 'b.tar.gz' already" in capsys.readouterr().err
    assert (device / "b.tar.gz").read_text() == "mine"


def texts_of(file: Path) -> dict[str, str]:
    """The parts of a bundle."""
    with tarfile.open(file) as archive:
        return {
            member.name.partition("/")[2]: stream.read().decode()
            for member in archive
            if (stream := archive.extractfile(member)) is not None
        }


def test_links_that_the_service_lays_lead_root_nowhere(device: Path) -> None:
    """Its data directory is its own: who took it over must not get the keys of root in a bundle."""
    roots = device / "roots"
    roots.mkdir()
    (roots / "config.json").write_text("what root alone may read")
    (device / "state" / "calibration.json").symlink_to(roots / "config.json")
    (device / "state" / "costs" / "pump.json").unlink()
    (device / "state" / "costs").rmdir()
    (device / "state" / "costs").symlink_to(roots)
    assert main(["support-bundle", "b.tar.gz"]) == exits.OK
    texts = texts_of(device / "b.tar.gz")
    assert not any("root alone" in text for text in texts.values())
    assert {"data/calibration.json", "data/costs/config.json"} <= json.loads(
        texts["left_out.json"]
    ).keys()


def test_names_that_are_no_text_end_no_bundle(device: Path) -> None:
    Path(os.fsdecode(os.fsencode(device / "state") + b"/\xff\xfe.tmp")).touch()
    os.mkfifo(device / "state" / "calibration.json")
    assert main(["support-bundle", "b.tar.gz"]) == exits.OK
    texts = texts_of(device / "b.tar.gz")
    assert "??.tmp" in texts["data/names.txt"]
    assert "data/calibration.json" in texts["left_out.json"]


def test_secrets_in_the_environment_of_the_service_are_known(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a drop-in, whoever wrote it, and of the process, which may have them from a file."""
    unit = r'''Environment=LANG=C "EDGEAPP_MQTT__PASSWORD=a b,c d\"e" "CAMERA_TOKEN=two words"'''
    with subprocess.Popen(["sleep", "60"], env={"HOOK_SECRET": "of the process"}) as process:
        said = f"MainPID={process.pid}\n{unit}\nsaid: of the process, two words, c d"
        monkeypatch.setattr(machine, "run_program", lambda *_: Ran(0, said))
        assert main(["support-bundle", "b.tar.gz"]) == exits.OK
        process.kill()
    journal = texts_of(device / "b.tar.gz")["journal.txt"]
    assert "said: ***, ***, c d" in journal
    assert "two words" not in journal
    assert "a b,c d" not in journal


def test_of_a_long_log_the_end_is_kept() -> None:
    long = "import sys; sys.stdout.write(''.join(f'{n} {chr(120) * 90}\\n' for n in range(20000)))"
    said = machine.run_program([sys.executable, "-c", long], 30).out.splitlines()
    assert said[-1].startswith("19999 ")
    assert all(len(line.split()) == 2 for line in said)
