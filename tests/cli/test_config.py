"""`edgeapp config show`: what counts, and where it came from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.cli import exits, main
from edgeapp.config.device import read_device

Capture = pytest.CaptureFixture[str]

DEVICE = """\
device: line-3
mqtt:
  host: broker.example.com
  username: cred:mqtt_user
  password: cred:mqtt_password
  tls: {}
  commands: [pin, enable]
allow_commands: [espeak-ng, "a b", "yes: no"]
watchdog: {battery: {for_h: 8}}
"""
SITE = """\
# of this site
mqtt:
  host: 10.0.0.7
  keepalive_s: 20
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A configuration folder with a device file, a drop-in and a pipeline."""
    folder = tmp_path / "etc"
    for inner in ("conf.d", "pipelines"):
        (folder / inner).mkdir(parents=True)
    (folder / "edgeapp.yaml").write_text(DEVICE)
    (folder / "conf.d" / "10-site.yaml").write_text(SITE)
    (folder / "pipelines" / "porch.yaml").write_text("name: porch")
    return folder


def shown(capsys: Capture, *arguments: str) -> str:
    assert main(["config", "show", *arguments]) == exits.OK
    return capsys.readouterr().out


def test_what_is_shown_is_a_device_file_that_says_the_same(
    etc: Path, tmp_path: Path, capsys: Capture
) -> None:
    copy = tmp_path / "copy" / "device.yaml"
    copy.parent.mkdir()
    copy.write_text(shown(capsys))

    there, here = read_device(etc / "edgeapp.yaml"), read_device(copy)

    assert replace(here, run_dir=None) == replace(there, run_dir=None)
    assert f"#   {etc}/pipelines/porch.yaml" in copy.read_text()


def test_the_origin_of_each_value_is_the_layer_that_won(
    etc: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAPP_OUTBOX__BULK_MB", "2.5")

    out = shown(capsys, "--origin", "--set", "mqtt.prefix=plant/north")

    origins = {
        line.split(":")[0].strip(): line.rpartition("  # ")[2]
        for line in out.splitlines()
        if "  # " in line.lstrip()
    }
    assert origins["device"] == f"{etc}/edgeapp.yaml:1"
    assert origins["host"] == f"{etc}/conf.d/10-site.yaml:3"
    assert origins["password"] == f"{etc}/edgeapp.yaml:5"
    assert origins["port"] == origins["reserve"] == "default"
    assert origins["bulk_mb"] == "environment variable EDGEAPP_OUTBOX__BULK_MB"
    assert origins["prefix"] == "--set mqtt.prefix"
    assert read_device(etc / "edgeapp.yaml").outbox.bulk_bytes == 2.5 * 1024 * 1024


def test_json_has_settings_files_and_pipelines(etc: Path, capsys: Capture) -> None:
    facts = json.loads(shown(capsys, "--json", "--origin"))

    assert facts["settings"]["mqtt"]["host"] == "10.0.0.7"
    assert facts["settings"]["mqtt"]["port"] == 8883
    assert facts["settings"]["watchdog"]["trip_c"] is None
    assert facts["origins"]["mqtt.keepalive_s"] == f"{etc}/conf.d/10-site.yaml:4"
    assert [Path(file).name for file in facts["files"]] == ["edgeapp.yaml", "10-site.yaml"]
    assert facts["pipelines"] == [str(etc / "pipelines" / "porch.yaml")]


@pytest.mark.parametrize("form", [(), ("--origin",), ("--json", "--origin")])
def test_secrets_are_shown_as_references(
    etc: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    monkeypatch.setenv("EDGEAPP_MQTT__PASSWORD", "env:BROKER_PASSWORD")

    out = shown(capsys, *form)

    assert "env:BROKER_PASSWORD" in out, etc
    assert "hunter2" not in out


def test_a_file_that_is_named_is_shown_alone(etc: Path, tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("device: mine")

    out = shown(capsys, str(mine))

    assert "device: mine" in out
    assert str(etc / "edgeapp.yaml") not in out
    assert f"# There are no pipelines in {tmp_path}/pipelines." in out


def test_without_any_file_the_defaults_are_shown(tmp_path: Path, capsys: Capture) -> None:
    out = shown(capsys)

    assert f"# There is no device file in {tmp_path}/etc." in out
    assert f"data_dir: {tmp_path}/state" in out
    assert "# mqtt: not set" in out


def test_mistakes_are_said_instead(etc: Path, capsys: Capture) -> None:
    (etc / "conf.d" / "20.yaml").write_text("mqtt: {hots: a}")

    assert main(["config", "show"]) == exits.CONFIG
    said = capsys.readouterr()
    assert f"{etc}/conf.d/20.yaml:1:8: mqtt of the device file has no option 'hots'" in said.err
    assert not said.out
